"""Summarise an experiment: each condition's metrics with intervals."""

from actadd.pipeline.program import run
from actadd.results.summaries import summarise_completions, summarise_divergence, summarise_logprobs


def work(spec, inputs, outputs):
    files = {"csv": outputs["csv"], "parquet": outputs["parquet"]}
    if spec["measure"] == "logprobs":
        return summarise_logprobs(spec, logprobs=inputs["cells"], **files)
    if spec["measure"] == "divergence":
        return summarise_divergence(spec, divergence=inputs["cells"], **files)
    return summarise_completions(
        spec, completions=inputs["cells"], scores=inputs["scores"], **files
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="cells scores*", outputs="csv parquet")
