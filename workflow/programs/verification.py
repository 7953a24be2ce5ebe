"""Verify on its own device that a model is steered right."""

from actadd.program import run
from actadd.verification import verified


def work(spec, inputs, outputs):
    verified(spec, inputs["model"], outputs["record"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model", outputs="record")
