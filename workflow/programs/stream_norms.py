"""Tabulate how large a model's residual stream is at each layer, which doses are shares of."""

from actadd.pipeline.program import run
from actadd.vectors.stream_norms import tabulate_norms


def work(spec, inputs, outputs):
    return tabulate_norms(spec, inputs["model"], inputs["texts"], outputs["norms"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model verified texts", outputs="norms")
