"""Measure how an experiment's conditions move next-token distributions, cell by cell."""

from pathlib import Path

from actadd.divergence import measure
from actadd.program import run


def work(spec, inputs, outputs, store):
    return measure(
        spec,
        model_dir=inputs["model"],
        texts_file=inputs["prompts"],
        vector_files=inputs["vectors"],
        choice=inputs["choice"],
        store=Path(store),
        output=outputs["divergence"],
    )


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="model prompts vectors* choice?",
        outputs="divergence",
        options="store",
    )
