"""Fetch one source: a model, a scorer or data, checked by sha256."""

from pathlib import Path

from actadd.fetch import fetch
from actadd.program import run


def work(spec, inputs, outputs, index):
    source = {**spec["source"], "index": index} if index else spec["source"]
    return fetch(spec["name"], source, outputs["folder"], Path("sources.lock.json"))


if __name__ == "__main__":
    run(__doc__, work, outputs="folder", options="index?")
