"""Score an experiment's completions with one scorer, cell by cell."""

from pathlib import Path

from actadd.measure.measurement import shard_of
from actadd.pipeline.program import run
from actadd.scorers.scores import score_completions, with_answers
from actadd.store import failed_cells


def work(spec, inputs, outputs, store, shard, failures, note, answers):
    facts = score_completions(
        with_answers(spec, answers),
        completions=inputs["completions"],
        inputs=inputs["needs"],
        store=Path(store),
        output=outputs["scores"],
        shards=inputs["shards"],
        shard=shard_of(shard),
        note=note,
    )
    failed_cells.write(failures, facts["failed"])
    return facts


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="completions needs? verified? rows? shards*",
        outputs="scores?",
        options="store shard? failures? note? answers?",
    )
