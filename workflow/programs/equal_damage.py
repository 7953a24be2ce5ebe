"""Compare the methods of one comparison at equal damage."""

from actadd.pipeline.program import run
from actadd.results.equal_damage.compare import write_comparison


def work(spec, inputs, outputs):
    return write_comparison(spec, inputs["cells"], inputs["scores"], **outputs)


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="cells{experiment} scores{scorer}",
        outputs="curves curves_csv readings readings_csv",
    )
