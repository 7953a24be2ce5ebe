"""Compare our tables with the published numbers and the paper's claims."""

from actadd.pipeline.program import run
from actadd.results.comparison import compare


def work(spec, inputs, outputs):
    return compare(spec, **inputs, **outputs)


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="published? summaries* norms{model,vector}",
        outputs="csv markdown latex parquet",
    )
