"""Time forward passes with and without steering."""

from actadd.measure.overhead import measure
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    return measure(spec, model_dir=inputs["model"], output=outputs["times"])


if __name__ == "__main__":
    run(__doc__, work, inputs="model? verified?", outputs="times")
