"""Measure an experiment's conditions, cell by cell: completions, log-probabilities, divergence."""

from pathlib import Path

from actadd import attempts, measures
from actadd.program import run
from actadd.sizes import resolved


def work(spec, inputs, outputs, store, shard, attempt, failures):
    facts = measures.measure(
        resolved(spec, inputs["shape"]),
        model_dir=inputs["model"],
        texts_file=inputs["prompts"],
        vector_files=inputs["vectors"],
        choice=inputs["choice"],
        store=Path(store),
        output=outputs["table"],
        shards=inputs["shards"],
        shard=measures.shard_of(shard),
    )
    attempts.note(failures, attempt, facts["failed"])
    return facts


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="model prompts vectors* choice? shape? shards*",
        outputs="table?",
        options="store shard? attempt? failures?",
    )
