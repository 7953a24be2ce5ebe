"""Generate an experiment's completions, steered and not, cell by cell."""

from pathlib import Path

from actadd.completions import complete
from actadd.program import run
from actadd.sizes import resolved


def work(spec, inputs, outputs, store, shard):
    return complete(
        resolved(spec, inputs["shape"]),
        model_dir=inputs["model"],
        prompts_file=inputs["prompts"],
        vector_files=inputs["vectors"],
        choice=inputs["choice"],
        store=Path(store),
        output=outputs["completions"],
        shard=tuple(int(part) for part in (shard or "0/1").split("/")),
    )


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="model prompts vectors* choice? shape?",
        outputs="completions?",
        options="store shard?",
    )
