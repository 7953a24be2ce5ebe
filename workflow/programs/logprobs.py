"""Measure the log-probabilities of given texts, steered and not, cell by cell."""

from pathlib import Path

from actadd.logprobs import measure
from actadd.program import run
from actadd.sizes import resolved


def work(spec, inputs, outputs, store):
    return measure(
        resolved(spec, inputs["shape"]),
        model_dir=inputs["model"],
        texts_file=inputs["prompts"],
        vector_files=inputs["vectors"],
        choice=inputs["choice"],
        store=Path(store),
        output=outputs["logprobs"],
    )


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="model prompts vectors* choice? shape?",
        outputs="logprobs",
        options="store",
    )
