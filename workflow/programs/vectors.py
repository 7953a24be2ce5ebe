"""Derive a steering vector at every layer from cached activations."""

from actadd.program import run
from actadd.vectors import derive_all_layers


def work(spec, inputs, outputs):
    return derive_all_layers(spec, inputs["activations"], outputs["layers"], outputs["norms"])


if __name__ == "__main__":
    run(__doc__, work, inputs="activations*", outputs="layers* norms")
