"""Score an experiment's completions with one scorer, cell by cell."""

from pathlib import Path

from actadd.program import run
from actadd.scores import score_completions
from actadd.sizes import resolved


def work(spec, inputs, outputs, store):
    return score_completions(
        resolved(spec, inputs["shape"]),
        completions=inputs["completions"],
        inputs=inputs["needs"],
        store=Path(store),
        output=outputs["scores"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="completions needs? shape?", outputs="scores", options="store")
