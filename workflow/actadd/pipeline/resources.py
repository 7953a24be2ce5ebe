"""Memory and time that a job requests from a cluster, from the config, before any input exists.

A model's sizes follow from its number of parameters and layers, a job's time from `costs`. No
program imports this module, so a better estimate reruns no job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any

from actadd.measure.measures import MEASURES
from actadd.measure.work import Work
from actadd.models.batch_rows import BYTES, ENOUGH, ROWS_PER_TEXT, WEIGHT_BYTES, Size
from actadd.models.dtypes import AUTO
from actadd.pipeline.costs import DISK, ENCODER, Costs
from actadd.pipeline.graph import Graph
from actadd.pipeline.job import Job
from actadd.pipeline.text_counts import PROMPT, TEXT
from actadd.scorers.kinds import reads

# --- assumptions ----------------------------------------------------------------------------------
# Bytes of Snakemake, Python and torch, and of tables; minutes to start them on a busy node.
PROGRAM, START = 2_000_000_000, 15
# How much slower a node may be than the rough rates of `costs`, and than nodes of finished jobs.
SLOWER, SLOWER_THAN_MEASURED = 5, 2
# The vocabulary of a model of which only the number of parameters is known: that of LLaMA-3.
VOCABULARY = 128_256
# Tokens that are read to verify a model, and to decide for a dtype where it is auto.
VERIFIED, DECIDED = 500, 400
# Texts that are read to check a contrast pair.
CHECKED = 26
# Bytes of a token's log-probability while the table of its cell is assembled.
TABLE_ROW = 1200
# Layers of an encoder that embeds or classifies: those of RoBERTa-large.
ENCODER_LAYERS = 24


@dataclass(frozen=True)
class Need:
    """Bytes of main memory and minutes of a first attempt."""

    memory: int = PROGRAM
    minutes: int = START

    @property
    def megabytes(self) -> int:
        return ceil(self.memory / 1e6)


def minutes(seconds: float) -> int:
    """The minutes to request for a job that computes for some seconds."""
    return START + ceil(seconds / 60)


def assumed_size(parameters: int, layers: int, dtype: str) -> Size:
    """An estimate of a model's size.

    A block has 12 x width^2 parameters, and keys and values as wide as the residual stream: too
    much for models that share keys among heads, or whose vocabulary holds many parameters.
    """
    width = sqrt(parameters / (12 * layers))
    return Size(
        weights=parameters * WEIGHT_BYTES[dtype],
        token=int(2 * layers * width * BYTES[dtype]),
        logits=VOCABULARY * BYTES["float32"],
    )


def model_memory(
    parameters: int, layers: int, dtype: str, compute: dict[str, Any], row: int, kept: int = 0
) -> int:
    """Bytes of main memory to request for a job with a model.

    compute: device, batch_rows (or auto). row: tokens of the longest row. kept: tokens of a cell
    whose log-probabilities are kept. The weights count twice: once to read the file, once to load
    them. On a GPU, batches use the GPU's memory instead.
    """
    size = assumed_size(parameters, layers, dtype)
    device = compute["device"]
    memory = PROGRAM + 2 * size.weights + TABLE_ROW * kept
    if device == "cpu":
        rows = ENOUGH[device] if compute["batch_rows"] == "auto" else compute["batch_rows"]
        # At least one text is read at a time, even with few rows in a batch.
        memory += max(rows, ROWS_PER_TEXT) * size.row(row)
    return memory


def preparing_need(parameters: int, form: str) -> Need:
    """Preparation of a model: a checkpoint is linked and hashed, other forms are converted.

    A conversion holds three copies of the weights in float32: as read, as written, and temporary.
    """
    weights = BYTES["float32"] * parameters
    copies = 0 if form == "transformers" else 3
    return Need(PROGRAM + copies * weights, minutes((1 + copies) * weights / DISK))


class Needs:
    """The needs of every job of a validated config.

    A job's method takes the wildcards of its rule, and ignores those that it does not need.
    """

    def __init__(self, graph: Graph, locate: Callable[[str], Path] = Path):
        """locate: a layout path -> its path on disk."""
        self.costs = Costs(graph, locate, SLOWER)
        self.graph, self.config = graph, graph.config

    def _memory(self, model: str, row: int = TEXT, kept: int = 0) -> int:
        entry = self.config["models"][model]
        known = (entry["parameters"], entry["layers"], entry["dtype"])
        return model_memory(*known, self.config["compute"], row, kept)

    def _reading(self, model: str, tokens: int, row: int = TEXT, **compute: int) -> Need:
        """A job that reads `tokens` tokens once. compute: settings that override the config."""
        entry = self.config["models"][model]
        settings = {**self.config["compute"], **compute}
        time = self.costs.model_time(entry["parameters"], entry["dtype"], settings, read=tokens)
        return Need(self._memory(model, row), minutes(time.seconds))

    # --- GPUs ------------------------------------------------------------------------------------

    def gpus(self, model: str | None) -> int:
        """GPUs of a job with a model of the config, or with another one (None), which takes one."""
        if self.config["compute"]["device"] != "cuda":
            return 0
        models = self.config["models"]
        return int(models[model]["gpus"]) if model in models else 1

    def scorer_gpus(self, scorer: str) -> int:
        """GPUs of a scorer; none if it runs no model."""
        entry = self.config["scorers"][scorer]
        judges = reads(entry["kind"]) in ("model", "source")
        return self.gpus(entry.get("model")) if judges else 0

    # --- jobs ------------------------------------------------------------------------------------

    def model(self, model: str, **_: str) -> Need:
        entry = self.config["models"][model]
        preparing = preparing_need(entry["parameters"], entry["format"])
        if self.config["compute"]["device"] == "cuda":
            return preparing
        verifying = self.verification(model)
        memory = max(preparing.memory, verifying.memory)
        return Need(memory, preparing.minutes + verifying.minutes - START)

    def verification(self, model: str, **_: str) -> Need:
        # With one thread, in the rule that prepares a model.
        auto = self.config["models"][model]["dtype"] == AUTO
        return self._reading(model, VERIFIED + auto * DECIDED, PROMPT, threads=1)

    def activations(self, model: str, **_: str) -> Need:
        return self._reading(model, 2 * TEXT)

    def pair_check(self, model: str, pair_check: str, **_: str) -> Need:
        pairs = len(self.config["pair_checks"][pair_check]["vectors"])
        return self._reading(model, CHECKED * pairs * TEXT)

    def stream_norms(self, model: str, **_: str) -> Need:
        entry = self.config["dose"]
        texts = self.costs.texts(entry["dataset"], entry["split"], entry.get("limit"))
        return self._reading(model, texts * TEXT)

    def thresholds(self, model: str, experiment: str, **_: str) -> Need:
        rules = [
            gate["threshold"] for gate in self.graph.thresholds(model, experiment).settings["gates"]
        ]
        texts = sum(
            self.costs.texts(rule["dataset"], rule[split])
            for rule in rules
            for split in ("split", "report")
        )
        return self._reading(model, texts * PROMPT, PROMPT)

    def lens(self, model: str, **_: str) -> Need:
        return self._reading(model, self.config["models"][model]["layers"] * TEXT)

    def cells(self, model: str, experiment: str, shards: int | str = 1, **_: str) -> Need:
        """The cells of an experiment, of any measure."""
        entry = self.config["experiments"][experiment]
        measure, tokens = MEASURES[entry["measure"]], self.costs.tokens(experiment)
        row = tokens + measure.new_tokens(entry)
        memory = self._memory(model, row, self._kept(experiment))
        work = self.costs.work(model, experiment, int(shards))
        return Need(memory, self._minutes(self.graph.cells(model, experiment), work))

    def _kept(self, experiment: str) -> int:
        """Rows in memory for a table of given texts: the tokens of one cell."""
        if MEASURES[self.config["experiments"][experiment]["measure"]].draws:
            return 0
        return self.costs.prompts(experiment) * self.costs.tokens(experiment)

    def _minutes(self, job: Job, work: Work) -> int:
        rough, measured = self.costs.rough(job, work), self.costs.measured(job, work)
        if measured is None:
            return minutes(rough.seconds)
        # At most the rough time, since a few finished cells may not be representative.
        return minutes(min(rough.seconds, SLOWER_THAN_MEASURED * measured.seconds))

    def gather(self, model: str, experiment: str, **_: str) -> Need:
        """The table of an experiment, gathered from its shards' cells one by one."""
        work = self.costs.work(model, experiment)
        seconds = (work.computed + work.read) * TABLE_ROW / DISK
        return Need(PROGRAM + TABLE_ROW * self._kept(experiment), minutes(seconds))

    def scores(
        self, model: str, experiment: str, scorer: str, shards: int | str = 1, **_: str
    ) -> Need:
        entry = self.config["experiments"][experiment]
        work = self.costs.work(model, experiment, int(shards))
        job = self.graph.scores(model, experiment, scorer)
        memory = self._judging_memory(scorer, PROMPT + entry["max_new_tokens"])
        return Need(memory, self._minutes(job, work))

    def validation(self, scorer: str, **_: str) -> Need:
        check = self.config["scorers"][scorer]["validate"]
        texts = self.costs.texts(check["dataset"], check["split"], check.get("limit"))
        time = self.costs.judging(self.graph.scorer_entry(scorer), texts, TEXT)
        return Need(self._judging_memory(scorer, TEXT), minutes(time.seconds))

    def _judging_memory(self, scorer: str, row: int) -> int:
        entry = self.config["scorers"][scorer]
        if reads(entry["kind"]) == "model":
            return self._memory(entry["model"], row)
        if reads(entry["kind"]) == "source":
            return model_memory(ENCODER, ENCODER_LAYERS, "float32", self.config["compute"], row)
        return PROGRAM

    def overhead(self, overhead: str, subject: str, **_: str) -> Need:
        entry = self.config["overheads"][overhead]
        # Plain; steered; and steered including the passes that derive the vector.
        passes = 4 * (entry["warmup"] + entry["repeats"])
        read, row = passes * entry["rows"] * entry["tokens"], entry["tokens"]
        shape = entry["shapes"].get(subject)
        if shape is None:
            return self._reading(subject, read, row)
        layers, width = shape["layers"], shape["d_model"]
        parameters = 12 * layers * width**2 + shape["vocabulary"] * width
        compute = self.config["compute"]
        time = self.costs.model_time(parameters, "float32", compute, read=read)
        memory = model_memory(parameters, layers, "float32", compute, row)
        return Need(memory, minutes(time.seconds))

    def small(self, **_: str) -> Need:
        """A job without a model: seconds of work on tables."""
        return Need()
