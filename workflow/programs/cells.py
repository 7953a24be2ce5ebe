"""Measure an experiment's conditions, cell by cell: completions, log-probabilities, divergence."""

from pathlib import Path

from actadd.measure import measurement
from actadd.pipeline.program import run
from actadd.store import failed_cells


def work(spec, inputs, outputs, store, shard, failures, note):
    facts = measurement.measure(
        spec,
        model_dir=inputs["model"],
        texts_file=inputs["prompts"],
        vector_files=inputs["vectors"],
        norms=inputs["norms"],
        thresholds=inputs["thresholds"],
        choice=inputs["choice"],
        store=Path(store),
        output=outputs["table"],
        shards=inputs["shards"],
        shard=measurement.shard_of(shard),
        note=note,
    )
    failed_cells.write(failures, facts["failed"])
    return facts


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="model prompts vectors{vector} norms? thresholds? choice? verified? rows? shards*",
        outputs="table?",
        options="store shard? failures? note?",
    )
