"""Derive a steering vector at every layer from activations, other vectors or a file."""

from actadd.pipeline.program import run
from actadd.vectors.derivation import derive_all_layers


def work(spec, inputs, outputs):
    return derive_all_layers(
        spec,
        inputs["activations"],
        outputs["vector"],
        outputs["norms"],
        inputs["file"],
        inputs["vectors"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="activations* file? vectors*", outputs="vector norms")
