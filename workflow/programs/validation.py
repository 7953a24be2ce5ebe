"""Compare a scorer with human labels."""

from actadd.program import run
from actadd.scores import validate
from actadd.sizes import resolved


def work(spec, inputs, outputs):
    return validate(
        resolved(spec, inputs["shape"]),
        texts_file=inputs["texts"],
        inputs=inputs["needs"],
        output=outputs["figures"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="texts needs? shape?", outputs="figures")
