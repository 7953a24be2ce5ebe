"""Choose the thresholds of an experiment's gates on a development split."""

from actadd.measure.gates import choose_thresholds
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    return choose_thresholds(
        spec,
        model_dir=inputs["model"],
        texts=inputs["texts"],
        vectors=inputs["vectors"],
        output=outputs["thresholds"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="model verified texts{dataset} vectors{vector}", outputs="thresholds")
