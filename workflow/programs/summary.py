"""Summarise an experiment: each condition's metrics with intervals."""

from actadd.pipeline.program import run
from actadd.results.summaries.kinds import SUMMARIES


def work(spec, inputs, outputs):
    files = {"csv": outputs["csv"], "parquet": outputs["parquet"]}
    return SUMMARIES[spec["measure"]](spec, inputs["cells"], inputs["scores"], **files)


if __name__ == "__main__":
    run(__doc__, work, inputs="cells scores{scorer}", outputs="csv parquet")
