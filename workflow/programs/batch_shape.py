"""Propose the rows of a batch for a model on this machine, once."""

from actadd.program import run
from actadd.sizes import propose


def work(spec, inputs, outputs):
    return propose(spec, inputs["model"], outputs["shape"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model", outputs="shape")
