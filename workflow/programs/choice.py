"""Choose layer and coefficient on the development split."""

from actadd.measure.choice import choose
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    summaries = dict(zip(spec["tables"], inputs["tables"], strict=True))
    return choose(spec, summaries=summaries, output=outputs["choice"])


if __name__ == "__main__":
    run(__doc__, work, inputs="tables*", outputs="choice")
