"""`actadd plan`: the cells that a run would compute, those in the store, and the costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from actadd.base.errors import UserError
from actadd.base.progress import readable
from actadd.cli.project import conditions
from actadd.cli.terminal import size, table
from actadd.measure.measurement import cells_of
from actadd.measure.measures import MEASURES
from actadd.measure.work import Work, of_cells
from actadd.pipeline import layout
from actadd.pipeline.costs import Costs
from actadd.pipeline.decisions import resolved
from actadd.pipeline.graph import Graph
from actadd.pipeline.job import Job
from actadd.pipeline.small_jobs import small_jobs
from actadd.scorers.kinds import reads
from actadd.scorers.scores import keyed
from actadd.store.cells import CellStore
from actadd.store.provenance import record_of


@dataclass(frozen=True)
class Forecast:
    """The work that remains for one experiment on one model.

    cells: number of different cells. stored: number in the store, None if unknown. unknown: why it
    is unknown. missing: the most cells to compute. work: of these cells, with assumed lengths of
    texts if something is unknown. seconds: of one job for all cells, and one for each scorer.
    rough: whether the time follows from rough rates, without finished jobs to compare with.
    """

    experiment: str
    model: str
    measure: str
    cells: int
    stored: int | None
    missing: int
    work: Work
    unknown: str = ""
    seconds: float = 0.0
    rough: bool = False

    @property
    def bytes(self) -> float:
        return MEASURES[self.measure].token_bytes * (self.work.drawn or self.work.read)


def inputs(graph: Graph, model: str, experiment: str, fresh: bool = True) -> dict[str, Any]:
    """The files that an experiment's job reads, as arguments of `cells_of`.

    Raises UserError if one is missing or, with `fresh`, was made from another config or code.
    """
    job = graph.cells(model, experiment)

    def paths(name: str) -> list[Path]:
        for file in job.inputs[name]:
            if not Path(file.path).exists():
                raise UserError(f"{file.path} is not made yet")
            if fresh and file.job and not made_by(Path(file.path), file.job):
                raise UserError(f"{file.path} will be made again")
        return [Path(file.path) for file in job.inputs[name]]

    [model_dir], [texts_file] = paths("model"), paths("prompts")
    vectors = {
        file.job.names["vector"]: path
        for file, path in zip(job.inputs["vectors"], paths("vectors"), strict=True)
        if file.job
    }
    norms, thresholds, choice, rows_file, verified = (
        next(iter(paths(name)), None)
        for name in ("norms", "thresholds", "choice", "rows", "verified")
    )
    files = {"model_dir": model_dir, "texts_file": texts_file, "vector_files": vectors}
    return {
        "spec": resolved(job.slice, rows_file, verified),
        **files,
        "norms": norms,
        "thresholds": thresholds,
        "choice": choice,
    }


def made_by(path: Path, job: Job) -> bool:
    """Whether exactly this job made a file, by its record; the file's bytes are not read."""
    return record_of(path).get("job") == job.digest


def cell_keys(graph: Graph, model: str, experiment: str, fresh: bool = True) -> list[str]:
    """Keys of an experiment's cells, as in its job; raises the errors of `inputs`."""
    return list(cells_of(**inputs(graph, model, experiment, fresh))[-1].keys)


def score_cells(completions: Path, entry: dict[str, Any]) -> list[tuple[str, int]]:
    """(key, rows) of the cells of a scorer's table, as in its job; [] without completions.

    entry: the scorer's entry in the job's spec. Raises UserError if another input of the scorer is
    missing.
    """
    if not completions.exists():
        return []
    kind = reads(entry["kind"]) or ""
    stages = {"classifier": ("classifier", "scorer", "name"), "source": ("fetch", "source", kind)}
    stage, name, key = stages.get(kind, (kind, kind, kind))
    folder = layout.output(stage, "folder", **{name: entry[key]}) if kind else None
    rows_file = None
    if entry.get("batch_rows") == "auto":
        rows_file = layout.output("batch_rows", "rows", model=entry["model"])
    verified = folder if "dtype" in entry else None
    if verified and entry["compute"]["device"] == "cuda":
        verified = layout.output("verification", "record", model=entry["model"])
    for path in filter(None, (folder, rows_file, verified)):
        if not path.exists():
            raise UserError(f"{path} is not made yet")
    spec = resolved({"scorer": entry}, rows_file, verified)["scorer"]
    return [(key, len(group)) for key, group in keyed(spec, completions, folder)]


def up_to_date(graph: Graph, model: str, experiment: str) -> bool:
    """Whether an experiment's table was made by its present job."""
    job = graph.cells(model, experiment)
    path = Path(job.outputs["table"][0])
    return path.exists() and made_by(path, job)


def forecast(costs: Costs, model: str, experiment: str) -> Forecast:
    """The work that remains for one experiment on one model."""
    graph = costs.graph
    store = CellStore(layout.STORE)
    known = (experiment, model, graph.experiment(experiment)["measure"])
    try:
        definition, texts, cells = cells_of(**inputs(graph, model, experiment))
    except UserError as error:
        count = len(conditions(graph.config, model, experiment))
        work = costs.work(model, experiment)
        estimate = Forecast(*known, count, None, count, work, str(error))
        return _timed(costs, estimate, work)
    first = {key: index for index, key in reversed(list(enumerate(cells.keys)))}
    missing = [index for key, index in first.items() if not store.path(key).exists()]
    stored = len(first) - len(missing)
    if up_to_date(graph, model, experiment):
        # The job does not run, even if cells are missing from the store.
        missing = []
    work = of_cells(definition, cells, texts, sorted(missing))
    estimate = Forecast(*known, len(first), stored, len(missing), work)
    # All cells only if there are scorers, since counting takes a while.
    scorers = graph.experiment(experiment).get("scorers")
    whole = of_cells(definition, cells, texts, sorted(first.values())) if scorers else work
    return _timed(costs, estimate, whole)


def _timed(costs: Costs, forecast: Forecast, whole: Work) -> Forecast:
    """The forecast with its time. whole: the work of all cells, stored or not."""
    graph, model, experiment = costs.graph, forecast.model, forecast.experiment
    jobs = [(graph.cells(model, experiment), forecast.work)]
    for scorer in graph.experiment(experiment).get("scorers", []):
        job = graph.scores(model, experiment, scorer)
        # Scorers without a model or a server take almost no time.
        if costs.rough(job, Work(completions=1)).cells:
            jobs.append((job, Work(completions=to_score(job, forecast, whole))))
    seconds, rough = 0.0, False
    for job, work in jobs:
        assumed = costs.rough(job, work)
        if assumed.cells:
            measured = costs.measured(job, work)
            seconds += (measured or assumed).seconds
            rough |= measured is None
    return replace(forecast, seconds=seconds, rough=rough)


def to_score(job: Job, forecast: Forecast, whole: Work) -> int:
    """The most completions that a job of scores still has to score."""
    path = Path(job.outputs["scores"][0])
    if path.exists() and made_by(path, job):
        return 0
    try:
        cells = score_cells(Path(job.inputs["completions"][0].path), job.slice["scorer"])
    except UserError:
        cells = []
    if not cells or forecast.stored is None:
        return whole.completions
    store = CellStore(layout.STORE)
    rows = sum(rows for key, rows in cells if not store.path(key).exists())
    return min(whole.completions, forecast.work.completions + rows)


def runs(graph: Graph, part: str = "") -> list[tuple[str, str]]:
    """(model, experiment) pairs of a part's target, or of the default target."""
    names = graph.experiments_in(part)
    return [(model, name) for name in names for model in graph.experiment(name)["models"]]


def others(costs: Costs, part: str = "") -> list[float]:
    """Seconds of each job of a part's target that is not in a forecast, such as a figure's."""
    return small_jobs(costs, costs.graph.target(part or "all"))


def show(forecasts: list[Forecast], others: Sequence[float] = ()) -> None:
    """Print a line for each experiment and model, the total, and what is assumed or unknown.

    others: seconds of the jobs that are in no forecast.
    """

    def row(forecast: Forecast) -> tuple[str, ...]:
        work = forecast.work
        # With assumed lengths of texts.
        about = "~ " if forecast.unknown else ""
        return (
            forecast.experiment,
            forecast.model,
            str(forecast.cells),
            "?" if forecast.stored is None else str(forecast.stored),
            f"<= {forecast.missing}" if forecast.unknown else str(forecast.missing),
            "?" if work.passes is None else f"{about}{work.passes:,}",
            f"{about}{work.drawn + work.read:,}",
            f"{about}{size(forecast.bytes)}",
            f"{'~ ' if forecast.rough else about}{readable(forecast.seconds)}",
        )

    columns = ("experiment", "model", "cells", "in store", "to compute")
    numbers = ("cells", "in store", "to compute", "passes", "tokens", "disk", "time")
    table((*columns, *numbers[3:]), [row(forecast) for forecast in forecasts], numbers)
    typer.echo(total(forecasts, others))
    why: dict[str, list[str]] = {}
    for forecast in forecasts:
        run = f"{forecast.experiment} on {forecast.model}"
        if forecast.unknown:
            why.setdefault(forecast.unknown, []).append(run)
        if forecast.rough:
            why.setdefault("time by rough rates, as no job like it has run here", []).append(run)
    for reason, names in why.items():
        more = f" and {len(names) - 2} more" if len(names) > 3 else ""
        typer.echo(f"{reason}: {', '.join(names[: 2 if more else 3])}{more}")


def total(forecasts: list[Forecast], others: Sequence[float] = ()) -> str:
    """All experiments together, in one line."""
    cells, missing = (sum(getattr(f, name) for f in forecasts) for name in ("cells", "missing"))
    limit = "at most " if any(forecast.unknown for forecast in forecasts) else ""
    about = "about " if any(forecast.rough for forecast in forecasts) else ""
    seconds = sum(forecast.seconds for forecast in forecasts)
    time = f"{about}{readable(seconds)} of one job's time"
    if others:
        small = f"{len(others)} other jobs, such as vectors and figures"
        time += f", and about {readable(sum(others))} for {small}"
    return f"{cells} cells, {limit}{missing} to compute; {time}"
