"""Compare a scorer with human labels."""

from actadd.pipeline.program import run
from actadd.scorers.scores import validate, with_answers


def work(spec, inputs, outputs, answers):
    return validate(
        with_answers(spec, answers),
        texts_file=inputs["texts"],
        inputs=inputs["needs"],
        output=outputs["figures"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="texts needs? verified? rows?", outputs="figures", options="answers?")
