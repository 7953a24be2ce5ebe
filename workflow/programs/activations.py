"""Cache the residual stream of a contrast's prompts at every layer."""

from actadd.pipeline.program import run
from actadd.vectors.activations import cache_activations


def work(spec, inputs, outputs):
    return cache_activations(spec, inputs["model"], outputs["layers"], inputs["pairs"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model verified pairs?", outputs="layers*")
