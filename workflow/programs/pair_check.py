"""Measure what can be known of contrast pairs before anything is sampled."""

from actadd.pipeline.program import run
from actadd.vectors.pair_check import check_pairs


def work(spec, inputs, outputs):
    return check_pairs(spec, model_dir=inputs["model"], output=outputs["table"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model verified", outputs="table")
