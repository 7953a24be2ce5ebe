"""Tabulate results to be read."""

from actadd.program import run
from actadd.tables import tabulate


def work(spec, inputs, outputs):
    return tabulate(spec, sources=inputs["sources"], **outputs)


if __name__ == "__main__":
    run(__doc__, work, inputs="sources*", outputs="csv markdown latex")
