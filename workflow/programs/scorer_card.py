"""Tabulate how well each scorer agrees with people."""

from actadd.program import run
from actadd.scores import scorer_card


def work(spec, inputs, outputs):
    return scorer_card(spec, validations=inputs["validations"], output=outputs["card"])


if __name__ == "__main__":
    run(__doc__, work, inputs="validations*", outputs="card")
