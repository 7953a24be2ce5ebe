"""Compare a scorer with human labels."""

from actadd.program import run
from actadd.scores import validate


def work(spec, inputs, outputs):
    return validate(
        spec,
        texts_file=inputs["texts"],
        inputs=inputs["needs"],
        output=outputs["figures"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="texts needs?", outputs="figures")
