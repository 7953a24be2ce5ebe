"""Propose the rows of a batch for a model on this machine, once."""

from actadd.models.batch_rows import propose
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    return propose(spec, inputs["model"], outputs["rows"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model verified", outputs="rows")
