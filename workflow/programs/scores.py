"""Score an experiment's completions with one scorer, cell by cell."""

from pathlib import Path

from actadd import attempts
from actadd.measures import shard_of
from actadd.program import run
from actadd.scores import score_completions
from actadd.sizes import resolved


def work(spec, inputs, outputs, store, shard, attempt, failures):
    facts = score_completions(
        resolved(spec, inputs["shape"]),
        completions=inputs["completions"],
        inputs=inputs["needs"],
        store=Path(store),
        output=outputs["scores"],
        shards=inputs["shards"],
        shard=shard_of(shard),
    )
    attempts.note(failures, attempt, facts["failed"])
    return facts


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="completions needs? shape? shards*",
        outputs="scores?",
        options="store shard? attempt? failures?",
    )
