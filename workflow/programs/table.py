"""Tabulate results to be read."""

from actadd.program import run
from actadd.tables import tabulate


def work(spec, inputs, outputs):
    files = {"csv": outputs["csv"], "markdown": outputs["markdown"]}
    return tabulate(spec, sources=inputs["sources"], **files)


if __name__ == "__main__":
    run(__doc__, work, inputs="sources*", outputs="csv markdown")
