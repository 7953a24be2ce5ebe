"""Fit a scorer's classifier on labelled texts."""

from actadd.data import datasets
from actadd.pipeline.program import run
from actadd.scorers.kinds import SCORERS


def work(spec, inputs, outputs):
    entry = spec["scorer"]
    split = entry["fit"]["split"]
    texts = datasets.read(inputs["texts"], split, f"scorers.{entry['name']}.fit.split")
    return SCORERS[entry["kind"]].fit_on(texts, entry, outputs["folder"])


if __name__ == "__main__":
    run(__doc__, work, inputs="texts", outputs="folder")
