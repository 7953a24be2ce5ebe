"""Tabulate how well each scorer agrees with people."""

from actadd.program import run
from actadd.scorer_card import scorer_card


def work(spec, inputs, outputs):
    return scorer_card(spec, validations=inputs["validations"], **outputs)


if __name__ == "__main__":
    run(__doc__, work, inputs="validations*", outputs="csv markdown latex")
