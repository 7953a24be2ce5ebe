"""`actadd why`: what made a target outdated, and what a run would compute of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import typer

from actadd.base.errors import UserError
from actadd.base.names import unknown
from actadd.base.progress import readable
from actadd.cli.plan import forecast, to_score
from actadd.cli.terminal import table
from actadd.measure.work import Work
from actadd.pipeline.costs import Costs
from actadd.pipeline.freshness import Freshness
from actadd.pipeline.graph import Graph
from actadd.pipeline.job import Job, walk
from actadd.pipeline.small_jobs import small_jobs
from actadd.pipeline.targets import problem


@dataclass(frozen=True)
class Outdated:
    """An outdated job: why, what it would compute, and the seconds that it is expected to take."""

    name: str
    why: str
    computes: str
    seconds: float


def outdated(costs: Costs, target: str) -> list[Outdated]:
    """The outdated jobs of a target, those above first. Raises UserError if it is not a target."""
    jobs = jobs_of(costs.graph, target)
    freshness = Freshness(lambda: jobs, costs.locate)
    states = {job: freshness.state(job).outdated for job in jobs if job.stage != "complete"}
    return [Outdated(job.name, why, *_computes(costs, job)) for job, why in states.items() if why]


def jobs_of(graph: Graph, target: str) -> list[Job]:
    """Every job that a target needs: a named target, a path of results, or the name of a job."""
    if target in graph.targets:
        return graph.target(target)
    path = target.rstrip("/")
    for job in graph.everything():
        if path == job.name or any(path in paths for paths in job.outputs.values()):
            return list(walk([job]))
    message = problem(path, graph.config, graph.targets)
    raise UserError(f"TARGET: {message or unknown('target', target, graph.targets)}")


def _computes(costs: Costs, job: Job) -> tuple[str, float]:
    """What an outdated job computes, and its seconds; cells that are in the store are not."""
    names, shards = job.names, int(job.names.get("shards", 1))
    if job.stage in ("cells", "cells_shard"):
        cells = forecast(costs, names["model"], names["experiment"])
        time = costs.measured(job, cells.work) or costs.rough(job, cells.work)
        most = "at most " if cells.unknown else ""
        return f"{most}{cells.missing} of {cells.cells} cells", time.seconds / shards
    if job.stage in ("scores", "scores_shard") and costs.rough(job, Work(completions=1)).cells:
        model, experiment = names["model"], names["experiment"]
        table_job = costs.graph.scores(model, experiment, names["scorer"])
        whole = costs.work(model, experiment)
        work = Work(
            completions=to_score(table_job, forecast(costs, model, experiment), whole) // shards
        )
        time = costs.measured(job, work) or costs.rough(job, work)
        return f"at most {work.completions} scores", time.seconds
    return "", sum(small_jobs(costs, [job]))


def show(target: str, jobs: Sequence[Outdated]) -> None:
    """Print each outdated job with its reason, and the time of all."""
    if not jobs:
        typer.echo(f"{target} is up to date")
        return
    rows = [(job.name, job.why, job.computes, readable(job.seconds)) for job in jobs]
    table(("job", "why", "computes", "about"), rows, numbers=("about",))
    time = readable(sum(job.seconds for job in jobs))
    typer.echo(f"{len(jobs)} job{'s' * (len(jobs) != 1)}, about {time} of one job's time")
