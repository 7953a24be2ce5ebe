"""`actadd plan`: what a run would compute, what the store already holds, and what that takes."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from actadd.base.errors import UserError
from actadd.base.files import digest
from actadd.base.progress import readable
from actadd.cli import rates
from actadd.cli.project import conditions
from actadd.cli.terminal import size, table
from actadd.measure.experiment import Experiment
from actadd.measure.measurement import cells_of
from actadd.measure.measures import MEASURES, Cells
from actadd.models.batch_rows import ROWS_PER_TEXT, resolved
from actadd.pipeline import layout
from actadd.pipeline.graph import Graph
from actadd.pipeline.job import Job
from actadd.scorers.kinds import reads
from actadd.scorers.scores import keyed
from actadd.store.cells import CellStore
from actadd.store.provenance import job_of

# Bytes that a token drawn, or a token read, leaves in the store and in the table together.
BYTES = {"completions": 9.0, "logprobs": 20.0}
MOST_BYTES = 40.0


@dataclass(frozen=True)
class Work:
    """What some cells take, at most: rows may end early.

    passes: forward passes of a batch. drawn, read: tokens of completions and of prompts and texts.
    computed: tokens drawn with those that only fill batches. judged: tokens that a judge of the
    completions reads, prompts and completions.
    """

    passes: int = 0
    drawn: int = 0
    read: int = 0
    computed: int = 0
    judged: int = 0


@dataclass(frozen=True)
class Forecast:
    """What is to be done for one experiment on one model.

    cells: different ones. stored: how many the store holds, None if that cannot be told yet, and
    then unknown says why. missing: cells to compute, at most. work: None if not even a limit is
    known. seconds: of one job that did it all and had a language model judge it, if one does; None
    without a rate of this machine.
    """

    experiment: str
    model: str
    measure: str
    cells: int
    stored: int | None
    missing: int
    work: Work | None
    unknown: str = ""
    seconds: float | None = None

    @property
    def bytes(self) -> float | None:
        if self.work is None:
            return None
        return BYTES.get(self.measure, MOST_BYTES) * (self.work.drawn or self.work.read)


def inputs(graph: Graph, model: str, experiment: str, fresh: bool = True) -> dict[str, Any]:
    """The files that an experiment's job reads, as arguments of `cells_of`.

    Raises UserError if one is not there or, if fresh is set, was made from another config or code.
    """
    job = graph.cells(model, experiment)

    def paths(name: str) -> list[Path]:
        for file in job.inputs[name]:
            if not Path(file.path).exists():
                raise UserError(f"{file.path} is not made yet")
            if fresh and file.job and not made_by(Path(file.path), file.job):
                raise UserError(f"{file.path} will be made again")
        return [Path(file.path) for file in job.inputs[name]]

    [model_dir], [texts_file], vectors = paths("model"), paths("prompts"), paths("vectors")
    choice, rows_file = (next(iter(paths(name)), None) for name in ("choice", "rows"))
    files = {"model_dir": model_dir, "texts_file": texts_file, "vector_files": vectors}
    return {"spec": resolved(job.slice, rows_file), **files, "choice": choice}


def made_by(path: Path, job: Job) -> bool:
    """Whether a job, and none of another config or code, made a file; its bytes are not read."""
    return job_of(path) == job.digest


def cell_keys(graph: Graph, model: str, experiment: str, fresh: bool = True) -> list[str]:
    """Keys of an experiment's cells, as its job finds them; raises UserError as `inputs` does."""
    return list(cells_of(**inputs(graph, model, experiment, fresh))[1].keys)


def score_cells(completions: Path, entry: dict[str, Any]) -> list[tuple[str, int]]:
    """(key, rows) of the cells of a scorer's table, as its job finds them in the completions.

    entry: the scorer's, as its job has it. Nothing without completions; raises UserError if what
    the scorer reads besides is not there.
    """
    if not completions.exists():
        return []
    kind = reads(entry["kind"]) or ""
    stages = {"classifier": ("classifier", "scorer", "name"), "source": ("fetch", "source", kind)}
    stage, name, key = stages.get(kind, (kind, kind, kind))
    folder = one_output(stage, "folder", **{name: entry[key]}) if kind else None
    rows_file = None
    if entry.get("batch_rows") == "auto":
        rows_file = one_output("batch_rows", "rows", model=entry["model"])
    for path in filter(None, (folder, rows_file)):
        if not path.exists():
            raise UserError(f"{path} is not made yet")
    spec = resolved({"scorer": entry}, rows_file)["scorer"]
    return [(key, len(group)) for key, group in keyed(spec, completions, folder)]


def one_output(stage: str, output: str, **names: str) -> Path:
    """Where an output of one file or folder lies."""
    [path] = layout.outputs(stage, 0, **names)[output]
    return Path(path)


def up_to_date(graph: Graph, model: str, experiment: str) -> bool:
    """Whether an experiment's table is what its job would write."""
    job = graph.cells(model, experiment)
    path = Path(job.outputs["table"][0])
    return path.exists() and made_by(path, job)


def forecast(graph: Graph, model: str, experiment: str, known: list[dict[str, Any]]) -> Forecast:
    """What is to be done for one experiment on one model. known: rates of this machine."""
    entry = graph.experiment(experiment)
    store = CellStore(layout.STORE)
    try:
        arguments = inputs(graph, model, experiment)
        definition, cells = cells_of(**arguments)
    except UserError as error:
        count = len(conditions(graph.config, model, experiment))
        estimate = Forecast(
            *(experiment, model, entry["measure"], count, None, count),
            _expected(graph.config, experiment, count),
            str(error),
        )
        return replace(estimate, seconds=_seconds(graph, estimate, known, estimate.work))
    first = {key: index for index, key in reversed(list(enumerate(cells.keys)))}
    missing = [index for key, index in first.items() if not store.path(key).exists()]
    stored = len(first) - len(missing)
    if up_to_date(graph, model, experiment):
        # Its job does not run, whatever has become of the store.
        missing = []
    work = WORK.get(entry["measure"], _unknown)
    estimate = Forecast(
        *(experiment, model, entry["measure"], len(first), stored, len(missing)),
        work(definition, cells, sorted(missing)),
    )
    # Of all cells only where somebody judges: to count what is read takes a while.
    whole = (
        work(definition, cells, sorted(first.values())) if entry.get("scorers") else estimate.work
    )
    return replace(estimate, seconds=_seconds(graph, estimate, known, whole))


def _completions(experiment: Experiment, cells: Any, wanted: list[int]) -> Work:
    spec = experiment.spec
    units: Counter[Any] = Counter()
    drawn = judged = 0
    for cell in (cells.cells[index] for index in wanted):
        for prompt in range(len(cell.texts)):
            kind = cell.batch_kind(prompt, spec["batch_rows"])
            units[kind] += -(-spec["samples"] // kind.samples)
            judged += spec["samples"] * (kind.width + spec["max_new_tokens"])
        drawn += len(cell.texts) * spec["samples"] * spec["max_new_tokens"]
    passes = read = computed = 0
    for kind, count in units.items():
        batches = -(-count // kind.contexts)
        contexts = kind.contexts * (1 if kind.strength is None else 2)
        passes += batches * spec["max_new_tokens"]
        read += batches * contexts * kind.width
        computed += batches * contexts * kind.samples * spec["max_new_tokens"]
    return Work(passes, drawn, read, computed, judged)


def _logprobs(experiment: Experiment, cells: Any, wanted: list[int]) -> Work:
    from actadd.engine.batching import by_length

    rows = max(1, experiment.spec["batch_rows"] // ROWS_PER_TEXT)
    passes = read = 0
    batches: dict[str, int] = {}
    for encoded in (cells.encoded[index] for index in wanted):
        lengths = [len(prompt) + len(target) for prompt, target in encoded]
        texts = digest(encoded)
        if texts not in batches:
            batches[texts] = sum(1 for _ in by_length(lengths, rows))
        passes += batches[texts]
        read += sum(lengths)
    return Work(passes, read=read)


def _divergence(experiment: Experiment, cells: Any, wanted: list[int]) -> Work:
    rows = [row for index in wanted for row in (*cells.plain, *cells.encoded[index])]
    return Work(len(rows), read=sum(map(len, rows)))


def _unknown(experiment: Experiment, cells: Cells, wanted: list[int]) -> None:
    """The work of a measure that is not ours: nobody knows."""


WORK = {"completions": _completions, "logprobs": _logprobs, "divergence": _divergence}


def _expected(config: dict[str, Any], experiment: str, cells: int) -> Work | None:
    """What an experiment takes at most, from the config alone; None where that does not say it."""
    entry, rows = config["experiments"][experiment], config["compute"]["batch_rows"]
    dataset, prompts = config["datasets"][entry["prompts"]["dataset"]], entry["prompts"]
    limits = [
        None if prompts.get("each_group") else prompts.get("limit"),
        dataset.get("splits", {}).get(prompts["split"]),
        len(dataset["texts"]) if "texts" in dataset and not dataset.get("sentences") else None,
    ]
    # A split below 1 is a share of what nobody has counted yet.
    counts = [count for count in limits if count is not None and count >= 1]
    if not MEASURES[entry["measure"]].draws or not counts or rows == "auto":
        return None
    drawn = cells * min(counts) * entry["samples"] * entry["max_new_tokens"]
    passes = -(-cells * min(counts) * entry["samples"] // rows) * entry["max_new_tokens"]
    return Work(passes, drawn, computed=drawn, judged=drawn)


def _seconds(
    graph: Graph, forecast: Forecast, known: list[dict[str, Any]], whole: Work | None
) -> float | None:
    """whole: the work of all cells, be they stored or not."""
    if forecast.work is None or whole is None:
        return None
    seconds = 0.0
    if forecast.missing:
        spec = graph.cells(forecast.model, forecast.experiment).slice
        rate = _rate(known, forecast.model, spec)
        if rate is None:
            return None
        seconds += forecast.work.computed / rate["drawn"] + forecast.work.read / rate["read"]
    for scorer in graph.experiment(forecast.experiment).get("scorers", []):
        tokens = to_judge(graph, forecast, scorer, whole)
        if tokens:
            spec = graph.scores(forecast.model, forecast.experiment, scorer).slice["scorer"]
            rate = _rate(known, spec["model"], spec)
            if rate is None:
                return None
            seconds += tokens / rate["read"]
    return seconds


def to_judge(graph: Graph, forecast: Forecast, scorer: str, whole: Work) -> int:
    """Tokens that a scorer's language model has still to read, at most; 0 if none judges."""
    if graph.scorer_kind(scorer) != "model":
        return 0
    job = graph.scores(forecast.model, forecast.experiment, scorer)
    path = Path(job.outputs["scores"][0])
    if path.exists() and made_by(path, job):
        return 0
    try:
        cells = score_cells(Path(job.inputs["completions"][0].path), job.slice["scorer"])
    except UserError:
        cells = []
    if not cells or forecast.stored is None or forecast.work is None:
        return whole.judged
    store = CellStore(layout.STORE)
    rows = sum(rows for key, rows in cells if not store.path(key).exists())
    every = whole.drawn // int(graph.experiment(forecast.experiment)["max_new_tokens"])
    return forecast.work.judged + whole.judged * rows // every


def _rate(known: list[dict[str, Any]], model: str, spec: dict[str, Any]) -> dict[str, Any] | None:
    """The rate of this machine for a job of this spec, if there is one."""
    needed = rate_conditions(model, spec)
    return rates.rate_for(known, **needed) if needed else None


def rate_conditions(model: str, spec: dict[str, Any]) -> dict[str, Any] | None:
    """What a rate has to be measured under for a job of a model; None if unknown yet."""
    auto = spec["batch_rows"] == "auto"
    rows_file = one_output("batch_rows", "rows", model=model) if auto else None
    if rows_file and not rows_file.exists():
        return None
    spec = resolved(spec, rows_file)
    return {"model": model, **{name: spec[name] for name in ("dtype", "compute", "batch_rows")}}


def computing(graph: Graph, runs: list[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Model -> spec of a job that computes with it, of those that measure and those that judge."""
    specs = {model: graph.cells(model, experiment).slice for model, experiment in runs}
    for _, experiment in runs:
        for scorer in graph.experiment(experiment).get("scorers", []):
            if graph.scorer_kind(scorer) == "model":
                entry = graph.scorer_entry(scorer)
                specs.setdefault(entry["model"], entry)
    return specs


def runs(graph: Graph, paper: bool) -> list[tuple[str, str]]:
    """(model, experiment) of what a target measures: `paper`, or the default one."""
    names = graph.paper_experiments() if paper else graph.default_experiments()
    return [(model, name) for name in names for model in graph.experiment(name)["models"]]


def calibrate(graph: Graph, runs: list[tuple[str, str]]) -> None:
    """Measures the rates of those models that are prepared."""
    for model, spec in computing(graph, runs).items():
        folder = one_output("model", "folder", model=model)
        needed = rate_conditions(model, spec)
        if needed is None or not (folder / "model.json").exists():
            typer.echo(f"{model} is not prepared yet; its time is not estimated", err=True)
            continue
        loading = {name: needed[name] for name in ("dtype", "compute")}
        rate = rates.measure(folder, **loading, rows=needed["batch_rows"])
        rates.keep([rate])
        speeds = f"{rate['drawn']:.0f} tokens/s drawn, {rate['read']:.0f} tokens/s read"
        typer.echo(f"{model}: {speeds}", err=True)


def show(forecasts: list[Forecast]) -> None:
    """Prints a line for each experiment and model, their sum, and what is not known."""

    def limit(text: str, forecast: Forecast) -> str:
        return f"<= {text}" if forecast.unknown else text

    def row(forecast: Forecast) -> tuple[str, ...]:
        work, seconds, disk = forecast.work, forecast.seconds, forecast.bytes
        return (
            forecast.experiment,
            forecast.model,
            str(forecast.cells),
            "?" if forecast.stored is None else str(forecast.stored),
            limit(str(forecast.missing), forecast),
            "?" if work is None else limit(f"{work.passes:,}", forecast),
            "?" if work is None else limit(f"{work.drawn + work.read:,}", forecast),
            "?" if disk is None else limit(size(disk), forecast),
            "?" if seconds is None else limit(readable(seconds), forecast),
        )

    columns = ("experiment", "model", "cells", "in store", "to compute")
    numbers = ("cells", "in store", "to compute", "passes", "tokens", "disk", "time")
    table((*columns, *numbers[3:]), [row(forecast) for forecast in forecasts], numbers)
    typer.echo(total(forecasts))
    why: dict[str, list[str]] = {}
    for forecast in forecasts:
        if forecast.unknown:
            run = f"{forecast.experiment} on {forecast.model}"
            why.setdefault(forecast.unknown, []).append(run)
    for reason, places in why.items():
        more = f" and {len(places) - 2} more" if len(places) > 3 else ""
        typer.echo(f"{reason}: {', '.join(places[: 2 if more else 3])}{more}")


def total(forecasts: list[Forecast]) -> str:
    """All experiments together, in one line."""
    cells, missing = (sum(getattr(f, name) for f in forecasts) for name in ("cells", "missing"))
    open_ = sum(forecast.unknown != "" for forecast in forecasts)
    seconds = [forecast.seconds for forecast in forecasts]
    time = sum(second for second in seconds if second is not None)
    unknown = sum(second is None for second in seconds)
    line = f"{cells} cells, {'at most ' if open_ else ''}{missing} to compute"
    if time or not unknown:
        line += f"; {readable(time)} of one job's time, figures and small steps left out"
    if unknown:
        line += f"; time not known for {unknown} of {len(forecasts)} experiments"
    return line
