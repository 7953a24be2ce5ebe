"""Verify on the device of the experiments that a model is steered correctly."""

from actadd.models.verification.verify import verified
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    verified(spec, inputs["model"], outputs["record"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model", outputs="record")
