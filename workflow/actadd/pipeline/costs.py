"""The costs of jobs: their work and their time.

The work of a job is estimated from the config alone, before any input exists. Its time follows from
rough rates, or from finished jobs with equal settings. No program imports this module, so a better
estimate reruns no job.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from statistics import mean
from typing import Any

from actadd.base.errors import DamagedFile
from actadd.base.files import canonical_json, read_json
from actadd.measure.conditions import at_depth, grid_size
from actadd.measure.measures import MEASURES
from actadd.measure.work import Work, of_texts
from actadd.models.batch_rows import BYTES, ROWS_PER_TEXT
from actadd.pipeline import layout
from actadd.pipeline.graph import Graph
from actadd.pipeline.job import Job
from actadd.pipeline.text_counts import TextCounts
from actadd.scorers.kinds import asks, reads

# --- assumptions ----------------------------------------------------------------------------------
# Bytes per second to read, hash or write weights.
DISK = 100e6
# Seconds to start a program that runs a model: Python, torch, tokenizer.
PROGRAM_SECONDS = 5
# Floating-point operations per second, two for each parameter and token: of one thread of a
# server's CPU, of a GPU. Drawing is bound by memory, reading by arithmetic.
DRAWING_SPEED = {"cpu": 50e9, "cuda": 10e12}
READING_SPEED = {"cpu": 100e9, "cuda": 25e12}
# Parameters of an encoder that embeds or classifies: those of RoBERTa-large; those of MiniLM, since
# registries of packages limit the size of files.
ENCODER, PACKAGED_ENCODER = 355_000_000, 22_700_000

# Keys of a measure's spec, or of a scorer's entry, that decide how fast a job computes.
ALIKE = ("measure", "kind", "model", "source", "dtype", "compute", "batch_rows")


@dataclass(frozen=True)
class Time:
    """Seconds of a job: start, everything but its cells; and its cells."""

    start: float = 0.0
    cells: float = 0.0

    @property
    def seconds(self) -> float:
        return self.start + self.cells


@dataclass(frozen=True)
class Pace:
    """The pace of finished jobs: start in seconds; cells as a factor on their rough time."""

    start: float
    cells: float


def benchmark_seconds(path: Path) -> float:
    """Seconds of a job, from Snakemake's benchmark file."""
    with path.open(encoding="utf-8") as stream:
        return sum(float(row["s"]) for row in csv.DictReader(stream, delimiter="\t"))


class Costs(TextCounts):
    """Work and time of a config's jobs of cells and scores."""

    def __init__(self, graph: Graph, locate: Callable[[str], Path] = Path, slower: float = 1.0):
        """locate: a layout path -> its path on disk. slower: a factor on the rough times."""
        super().__init__(graph.config, graph.root)
        self.graph, self.locate, self.slower = graph, locate, slower

    # --- work ------------------------------------------------------------------------------------

    def work(self, model: str, experiment: str, shards: int = 1) -> Work:
        """The work of an experiment's cells on a model, or of one of its shards.

        A choice counts as one condition.
        """
        entry = self.config["experiments"][experiment]
        layers = self.config["models"][model]["layers"]
        conditions = at_depth(entry["conditions"], layers)
        cells = {name: grid_size({name: each}) for name, each in conditions.items()}
        texts = sum(
            count * self.prompts(experiment, conditions[name].get("group"))
            for name, count in cells.items()
        )
        all_cells = sum(cells.values())
        # A shard computes whole cells.
        texts = ceil(texts * ceil(all_cells / shards) / all_cells)
        rows = self.config["compute"]["batch_rows"]
        return of_texts(
            MEASURES[entry["measure"]],
            {**entry, "batch_rows": rows},
            texts=texts,
            tokens=round(texts * self.usual_tokens(experiment)),
            batches=None if rows == "auto" else ceil(texts * ROWS_PER_TEXT / rows),
            # PREADD reads and draws in two contexts.
            contexts=1 + any(c["method"] == "preadd" for c in entry["conditions"].values()),
        )

    # --- time ------------------------------------------------------------------------------------

    def rough(self, job: Job, work: Work) -> Time:
        """Time of a job of cells or scores by rough rates; zero without a model or a server.

        work: of its cells, or the completions that it scores.
        """
        if "scorer" not in job.settings:
            computed, read = work.computed, work.read
            return self._model_time(job.names["model"], job.settings, computed=computed, read=read)
        entry = self.config["experiments"][job.names["experiment"]]
        # A judge reads what completions of a prompt have in common once.
        prompt = self.usual_tokens(job.names["experiment"]) / entry["samples"]
        return self.judging(
            job.settings["scorer"], work.completions, prompt + entry["max_new_tokens"]
        )

    def judging(self, scorer: Mapping[str, Any], texts: int, tokens: float) -> Time:
        """Rough time to score texts. tokens: of each text. scorer: its entry in a job's spec."""
        reading = reads(scorer["kind"])
        if reading == "model":
            return self._model_time(scorer["model"], scorer, read=texts * tokens)
        if reading == "source":
            source = self.config["sources"][scorer["source"]]
            parameters = PACKAGED_ENCODER if source["type"] == "package" else ENCODER
            return self.model_time(parameters, "float32", scorer["compute"], read=texts * tokens)
        if asks(scorer["kind"]):
            return Time(cells=texts / scorer.get("per_second", 1))
        return Time()

    def _model_time(self, model: str, settings: Mapping[str, Any], **tokens: float) -> Time:
        parameters = self.config["models"][model]["parameters"]
        return self.model_time(parameters, settings["dtype"], settings["compute"], **tokens)

    def model_time(
        self,
        parameters: int,
        dtype: str,
        compute: Mapping[str, Any],
        *,
        computed: float = 0,
        read: float = 0,
    ) -> Time:
        """Rough time of a job with a model. compute: device, threads. computed, read: tokens."""
        device = compute["device"]
        threads = compute["threads"] if device == "cpu" else 1
        tokens = computed / DRAWING_SPEED[device] + read / READING_SPEED[device]
        seconds = self.slower * 2 * parameters / threads * tokens
        return Time(PROGRAM_SECONDS + parameters * BYTES[dtype] / DISK, seconds)

    def measured(self, job: Job, work: Work) -> Time | None:
        """Time of a job by finished jobs with equal settings; None without any."""
        pace = self.paces.get(_alike(job.settings))
        if pace is None:
            return None
        return Time(pace.start, pace.cells * self.rough(job, work).cells)

    @cached_property
    def paces(self) -> dict[str, Pace]:
        """Settings of finished jobs -> their pace."""
        finished: dict[str, list[tuple[Time, Time]]] = defaultdict(list)
        for job in self._jobs():
            # Files may be missing, or belong to an earlier config.
            with suppress(OSError, DamagedFile, KeyError, TypeError, ValueError):
                note = read_json(self.locate(layout.note(job.stage, **job.names)))
                spec = read_json(self.locate(job.record))["spec"]
                whole = benchmark_seconds(self.locate(layout.benchmark(job.stage, **job.names)))
                rough = self.rough(job, Work(**note["work"]))
                if rough.cells and _alike(spec) == _alike(job.settings):
                    took = Time(max(0.0, whole - note["seconds"]), note["seconds"])
                    finished[_alike(spec)].append((took, rough))
        return {
            alike: Pace(
                mean(took.start for took, _ in times),
                sum(took.cells for took, _ in times) / sum(rough.cells for _, rough in times),
            )
            for alike, times in finished.items()
        }

    def _jobs(self) -> Iterator[Job]:
        """The jobs of the config that compute cells or scores."""
        for name, entry in self.config["experiments"].items():
            for model in entry["models"]:
                jobs = [self.graph.cells(model, name)]
                jobs += [self.graph.scores(model, name, each) for each in entry.get("scorers", [])]
                for job in jobs:
                    shards = [file.job for file in job.inputs["shards"] if file.job]
                    yield from shards or [job]


def _alike(spec: Mapping[str, Any]) -> str:
    """The settings in `ALIKE` of a job, as a key."""
    entry = spec.get("scorer", spec)
    return canonical_json({name: entry[name] for name in ALIKE if name in entry})
