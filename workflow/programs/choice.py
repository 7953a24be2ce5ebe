"""Choose layer and strength on the development split."""

from actadd.measure.choice import choose
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    return choose(spec, summaries=inputs["tables"], output=outputs["choice"])


if __name__ == "__main__":
    run(__doc__, work, inputs="tables{experiment}", outputs="choice")
