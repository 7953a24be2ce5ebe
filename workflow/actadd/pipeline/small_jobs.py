"""The time of jobs that compute neither cells nor judges' scores, such as vectors and figures."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from statistics import mean

from actadd.base.errors import DamagedFile
from actadd.measure.work import Work
from actadd.pipeline import layout
from actadd.pipeline.costs import Costs, benchmark_seconds
from actadd.pipeline.job import Job
from actadd.store import provenance

# --- assumptions ----------------------------------------------------------------------------------
# Stages that run a model -> tokens that they read with it.
READ: Mapping[str, int] = {
    "model": 1000,
    "verification": 500,
    "batch_rows": 500,
    "activations": 100,
    "stream_norms": 1000,
    "thresholds": 2000,
    "pair_check": 20_000,
    "lens": 0,
}
# Seconds of other stages, and of those that are not named here.
SECONDS: Mapping[str, float] = {"classifier": 8, "figure": 4, "overhead": 60, "summary": 3}
USUAL_SECONDS = 2


def small_jobs(costs: Costs, jobs: Iterable[Job]) -> list[float]:
    """Seconds of each of these jobs that is still to run, and is not counted by its cells.

    Those that finished jobs of its stage and model took on average; rough ones without any.
    """
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    waiting = []
    for job in jobs:
        if _counts_cells(costs, job):
            continue
        if _is_made(costs, job):
            with suppress(OSError, KeyError, ValueError):
                path = costs.locate(layout.benchmark(job.stage, **job.names))
                took[_alike(job)].append(benchmark_seconds(path))
        else:
            waiting.append(job)
    return [mean(took.get(_alike(job)) or [_rough(costs, job)]) for job in waiting]


def _alike(job: Job) -> tuple[str, str]:
    return job.stage, job.names.get("model", "")


def _counts_cells(costs: Costs, job: Job) -> bool:
    if job.stage in ("cells", "cells_shard"):
        return True
    return job.stage in ("scores", "scores_shard") and bool(
        costs.rough(job, Work(completions=1)).cells
    )


def _is_made(costs: Costs, job: Job) -> bool:
    with suppress(OSError, DamagedFile):
        record = provenance.read(costs.locate(job.record))
        return record is not None and record["job"] == job.digest
    return False


def _rough(costs: Costs, job: Job) -> float:
    entry = costs.config["models"].get(job.names.get("model"))
    if entry is None or job.stage not in READ:
        return SECONDS.get(job.stage, USUAL_SECONDS)
    compute = costs.config["compute"]
    read = READ[job.stage]
    return costs.model_time(entry["parameters"], entry["dtype"], compute, read=read).seconds
