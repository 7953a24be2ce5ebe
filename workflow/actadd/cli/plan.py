"""`actadd plan`: what a run would compute, what the store already holds, and what that takes."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from actadd.cells import CellStore
from actadd.cli import rates
from actadd.cli.project import conditions
from actadd.cli.shown import size, table
from actadd.errors import UserError
from actadd.experiment import Experiment
from actadd.files import digest, read_json
from actadd.measures import Measure, cells_of
from actadd.plan import Job, Plan
from actadd.progress import readable
from actadd.provenance import record_beside
from actadd.sizes import ROWS_PER_TEXT, resolved

RESULTS = Path("results")
# Bytes that a token drawn, or a token read, leaves in the store and in the table together.
BYTES = {"completions": 9.0, "logprobs": 20.0, "divergence": 40.0}


@dataclass(frozen=True)
class Work:
    """What some cells take, at most: rows may end early.

    passes: forward passes of a batch. drawn, read: tokens of completions and of prompts and texts.
    computed: tokens drawn with those that only fill batches.
    """

    passes: int = 0
    drawn: int = 0
    read: int = 0
    computed: int = 0


@dataclass(frozen=True)
class Forecast:
    """What is to be done for one experiment on one model.

    cells: different ones. stored: how many the store holds, None if that cannot be told yet, and
    then unknown says why. missing: cells to compute, at most. work: None if not even a limit is
    known. seconds: of one job that did it all; None without a rate of this machine.
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
        return BYTES[self.measure] * (self.work.drawn or self.work.read)


def inputs(plan: Plan, model: str, experiment: str, fresh: bool = True) -> dict[str, Any]:
    """The files that an experiment's job reads, as arguments of `cells_of`.

    Raises UserError if one is not there or, if fresh is set, was made from another config or code.
    """
    entry = plan.experiment(experiment)

    def there(path: Path, job: Job) -> Path:
        if not path.exists():
            raise UserError(f"{path} is not made yet")
        if fresh and not made_by(path, job):
            raise UserError(f"{path} will be made again")
        return path

    name = entry["prompts"]["dataset"]
    found: dict[str, Any] = {
        "model_dir": there(RESULTS / "models" / model, plan.model(model)),
        "texts_file": there(RESULTS / "datasets" / f"{name}.parquet", plan.dataset(name)),
        "vector_files": [
            there(
                RESULTS / "vectors" / model / vector / f"layer_{layer:02d}.safetensors",
                plan.vectors(model, vector),
            )
            for vector, layer in plan.vectors_of(model, experiment)
        ],
        "choice": None,
    }
    if entry.get("choices"):
        path = RESULTS / "choices" / model / f"{experiment}.json"
        found["choice"] = there(path, plan.choice(model, experiment))
    shape = None
    if entry["measure"] != "divergence":
        for job in plan.batch_shape(model).values():
            shape = there(RESULTS / "models" / f"{model}.batch.json", job)
    return {"spec": resolved(plan.cells(model, experiment).slice, shape), **found}


def made_by(path: Path, job: Job) -> bool:
    """Whether a job, and none of another config or code, made a file; its bytes are not read."""
    record = record_beside(path)
    return record is not None and read_json(record)["job"] == job.digest


def cell_keys(plan: Plan, model: str, experiment: str, fresh: bool = True) -> list[str]:
    """Keys of an experiment's cells, as its job finds them; raises UserError as `inputs` does."""
    return list(cells_of(**inputs(plan, model, experiment, fresh))[1].keys)


def up_to_date(plan: Plan, model: str, experiment: str) -> bool:
    """Whether an experiment's table is what its job would write."""
    measure = plan.experiment(experiment)["measure"]
    path = RESULTS / measure / model / f"{experiment}.parquet"
    return path.exists() and made_by(path, plan.cells(model, experiment))


def forecast(plan: Plan, model: str, experiment: str, known: list[dict[str, Any]]) -> Forecast:
    """What is to be done for one experiment on one model. known: rates of this machine."""
    entry = plan.experiment(experiment)
    store = CellStore(RESULTS / "store")
    try:
        given = inputs(plan, model, experiment)
        own, cells = cells_of(**given)
    except UserError as error:
        count = len(conditions(plan.config, model, experiment))
        found = Forecast(
            *(experiment, model, entry["measure"], count, None, count),
            _expected(plan.config, experiment, count),
            str(error),
        )
        return replace(found, seconds=_seconds(plan, found, known))
    first = {key: index for index, key in reversed(list(enumerate(cells.keys)))}
    missing = [index for key, index in first.items() if not store.path(key).exists()]
    stored = len(first) - len(missing)
    if up_to_date(plan, model, experiment):
        # Its job does not run, whatever has become of the store.
        missing = []
    found = Forecast(
        *(experiment, model, entry["measure"], len(first), stored, len(missing)),
        WORK[entry["measure"]](own, cells, sorted(missing)),
    )
    return replace(found, seconds=_seconds(plan, found, known))


def _completions(experiment: Experiment, cells: Measure, wanted: list[int]) -> Work:
    spec = experiment.spec
    units: Counter = Counter()
    drawn = 0
    for cell in (cells.cells[index] for index in wanted):
        for place in range(len(cell.texts)):
            kind = cell.kind(place, spec["batch_rows"])
            units[kind] += -(-spec["samples"] // kind.samples)
        drawn += len(cell.texts) * spec["samples"] * spec["max_new_tokens"]
    passes = read = computed = 0
    for kind, count in units.items():
        batches = -(-count // kind.contexts)
        contexts = kind.contexts * (1 if kind.strength is None else 2)
        passes += batches * spec["max_new_tokens"]
        read += batches * contexts * kind.width
        computed += batches * contexts * kind.samples * spec["max_new_tokens"]
    return Work(passes, drawn, read, computed)


def _logprobs(experiment: Experiment, cells: Measure, wanted: list[int]) -> Work:
    from actadd.batching import by_length

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


def _divergence(experiment: Experiment, cells: Measure, wanted: list[int]) -> Work:
    rows = [row for index in wanted for row in (*cells.plain, *cells.encoded[index])]
    return Work(len(rows), read=sum(map(len, rows)))


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
    if entry["measure"] != "completions" or not counts or rows == "auto":
        return None
    drawn = cells * min(counts) * entry["samples"] * entry["max_new_tokens"]
    passes = -(-cells * min(counts) * entry["samples"] // rows) * entry["max_new_tokens"]
    return Work(passes, drawn, computed=drawn)


def _seconds(plan: Plan, found: Forecast, known: list[dict[str, Any]]) -> float | None:
    if found.work is None:
        return None
    if not found.missing:
        return 0.0
    needed = rate_conditions(plan, found.model, found.experiment)
    rate = rates.rate_for(known, **needed) if needed else None
    if rate is None:
        return None
    return found.work.computed / rate["drawn"] + found.work.read / rate["read"]


def rate_conditions(plan: Plan, model: str, experiment: str) -> dict[str, Any] | None:
    """What a rate has to be measured under for an experiment's job; None if unknown yet."""
    spec = plan.cells(model, experiment).slice
    shape = RESULTS / "models" / f"{model}.batch.json"
    if spec["batch_rows"] == "auto" and not shape.exists():
        return None
    rows = resolved(spec, shape if spec["batch_rows"] == "auto" else None)["batch_rows"]
    return {
        "model": model,
        **{name: spec[name] for name in ("dtype", "compute")},
        "batch_rows": rows,
    }


def runs(plan: Plan, paper: bool) -> list[tuple[str, str]]:
    """(model, experiment) of what a target measures: `paper`, or the default one."""
    names = plan.paper_experiments() if paper else plan.own_experiments()
    return [(model, name) for name in names for model in plan.experiment(name)["models"]]


def calibrate(plan: Plan, runs: list[tuple[str, str]]) -> None:
    """Measures the rates of those models that are prepared."""
    for model, experiment in {model: (model, experiment) for model, experiment in runs}.values():
        folder, needed = RESULTS / "models" / model, rate_conditions(plan, model, experiment)
        if needed is None or not (folder / "model.json").exists():
            typer.echo(f"{model} is not prepared yet; its time is not estimated", err=True)
            continue
        given = {name: needed[name] for name in ("dtype", "compute")}
        rate = rates.measure(folder, **given, rows=needed["batch_rows"])
        rates.keep([rate])
        said = f"{rate['drawn']:.0f} tokens/s drawn, {rate['read']:.0f} tokens/s read"
        typer.echo(f"{model}: {said}", err=True)


def show(found: list[Forecast]) -> None:
    """Prints a line for each experiment and model, their sum, and what is not known."""

    def limit(shown: str, forecast: Forecast) -> str:
        return f"<= {shown}" if forecast.unknown else shown

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
    table((*columns, *numbers[3:]), [row(forecast) for forecast in found], numbers)
    typer.echo(total(found))
    why: dict[str, list[str]] = {}
    for forecast in found:
        if forecast.unknown:
            place = f"{forecast.experiment} on {forecast.model}"
            why.setdefault(forecast.unknown, []).append(place)
    for reason, places in why.items():
        more = f" and {len(places) - 2} more" if len(places) > 3 else ""
        typer.echo(f"{reason}: {', '.join(places[: 2 if more else 3])}{more}")


def total(found: list[Forecast]) -> str:
    """All experiments together, in one line."""
    cells, missing = (sum(getattr(f, name) for f in found) for name in ("cells", "missing"))
    open_ = sum(forecast.unknown != "" for forecast in found)
    seconds = [forecast.seconds for forecast in found]
    time = sum(second for second in seconds if second is not None)
    unknown = sum(second is None for second in seconds)
    said = f"{cells} cells, {'at most ' if open_ else ''}{missing} to compute"
    if time or not unknown:
        said += f"; {readable(time)} of one job's time, without scores and figures"
    if unknown:
        said += f"; time not known for {unknown} of {len(found)} experiments"
    return said
