"""Convert a dataset to one plain table of texts with splits."""

from actadd.data.datasets import prepare
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    return prepare(spec["dataset"], inputs["source"], outputs["table"], punkt=inputs["punkt"])


if __name__ == "__main__":
    run(__doc__, work, inputs="source? punkt?", outputs="table")
