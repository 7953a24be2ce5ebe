"""Compare the texts of an experiment or a validation with those that scorers are fitted on."""

from actadd.data.overlaps import check
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    return check(spec, inputs["datasets"], outputs["record"])


if __name__ == "__main__":
    run(__doc__, work, inputs="datasets{dataset}", outputs="record")
