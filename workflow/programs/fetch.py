"""Fetch one source: a model, a scorer or data, checked by sha256."""

from pathlib import Path

from actadd.data.sources.fetch import fetch
from actadd.pipeline.layout import SOURCES_LOCK
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    return fetch(spec["name"], spec["source"], outputs["folder"], Path(SOURCES_LOCK))


if __name__ == "__main__":
    run(__doc__, work, outputs="folder", network=True)
