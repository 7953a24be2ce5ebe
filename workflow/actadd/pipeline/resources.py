"""What a job asks a cluster for: memory and time, from the config alone, before anything is there.

A model's sizes follow from its number of parameters and layers, a job's time from the tokens that
the config makes it draw or read, over speeds that are meant to be too low. What is asked for is no
part of what a job is: no program imports this module, and a better guess reruns nothing.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any

from actadd.measure.conditions import at_depth, grid_size
from actadd.measure.measures import MEASURES
from actadd.models.batch_rows import BYTES, ENOUGH, ROWS_PER_TEXT, Size
from actadd.scorers.kinds import asks, reads

# --- what is assumed ------------------------------------------------------------------------------
# Bytes of Snakemake, Python and torch, and of tables; minutes to start them on a busy node.
PROGRAM, START = 2_000_000_000, 15
# Bytes in a second while weights are read, hashed or written.
DISK = 100e6
# Floating-point operations in a second, twice the parameters for each token: of one thread of a
# CPU, of a GPU. Drawing is bound by memory, reading by arithmetic.
DRAWING_SPEED = {"cpu": 10e9, "cuda": 2e12}
READING_SPEED = {"cpu": 20e9, "cuda": 5e12}
# A vocabulary as large as LLaMA-3's, where only the number of parameters is known.
VOCABULARY = 128_256
# Tokens of a prompt, of a text that is read as a whole, and of one that is a whole document.
PROMPT, TEXT, DOCUMENT = 64, 128, 1024
# Tokens that are read to verify a model.
VERIFIED = 500
# Bytes of a token's log-probability while the table of its cell is put together.
TABLE_ROW = 1200
# Texts of a dataset whose size neither a limit, a split, nor its own lines tell.
TEXTS = 1000
# Parameters of an encoder that embeds or classifies: those of RoBERTa-large.
ENCODER, ENCODER_LAYERS = 355_000_000, 24


@dataclass(frozen=True)
class Need:
    """Bytes of main memory and minutes; what a first attempt gets."""

    memory: int = PROGRAM
    minutes: int = START

    @property
    def megabytes(self) -> int:
        return ceil(self.memory / 1e6)


@dataclass(frozen=True)
class Tokens:
    """Tokens that are drawn one after the other and that are read at once, in a whole job; of the
    longest row; and of one cell whose log-probabilities are kept."""

    drawn: int = 0
    read: int = 0
    row: int = TEXT
    kept: int = 0


def assumed_size(parameters: int, layers: int, dtype: str) -> Size:
    """A model's size when nothing but these is known of it.

    A block has 12 x width^2 parameters, and keys and values as wide as the residual stream: too
    much for models that share keys among heads, or whose vocabulary holds many parameters.
    """
    width = sqrt(parameters / (12 * layers))
    return Size(
        weights=parameters * BYTES[dtype],
        token=int(2 * layers * width * BYTES[dtype]),
        logits=VOCABULARY * BYTES["float32"],
    )


def model_need(
    parameters: int, layers: int, dtype: str, tokens: Tokens, *, compute: dict[str, Any]
) -> Need:
    """What a job with a model asks for; compute: device, threads, batch_rows (or auto).

    The weights count twice: once as they are read from the file, once as they are used. On a GPU
    the batches take the GPU's memory, not this.
    """
    size = assumed_size(parameters, layers, dtype)
    device = compute["device"]
    memory = PROGRAM + 2 * size.weights + TABLE_ROW * tokens.kept
    if device == "cpu" and (tokens.drawn or tokens.read):
        rows = ENOUGH[device] if compute["batch_rows"] == "auto" else compute["batch_rows"]
        # One text is read at a time even if the rows of a batch are few.
        memory += max(rows, ROWS_PER_TEXT) * size.row(tokens.row)
    threads = compute["threads"] if device == "cpu" else 1
    seconds = 2 * size.weights / DISK + 2 * parameters / threads * (
        tokens.drawn / DRAWING_SPEED[device] + tokens.read / READING_SPEED[device]
    )
    return Need(memory, START + ceil(seconds / 60))


def preparing_need(parameters: int, form: str) -> Need:
    """Making a model ready: a checkpoint is linked and hashed, other forms converted to float32.

    Converting holds the weights as they were read, as they are written, and some in between.
    """
    weights = 4 * parameters
    copies = 0 if form == "transformers" else 3
    return Need(PROGRAM + copies * weights, START + ceil((1 + copies) * weights / DISK / 60))


class Needs:
    """The needs of every job of a validated config.

    A job's method takes the wildcards of its rule, and passes over those that it does not need.
    """

    def __init__(self, config: dict[str, Any], root: Path = Path()):
        """root: the folder that relative paths in the config start from."""
        self.config = config
        self.root = root

    def _model(self, name: str, tokens: Tokens) -> Need:
        entry = self.config["models"][name]
        known = (entry["parameters"], entry["layers"], entry["dtype"])
        return model_need(*known, tokens, compute=self.config["compute"])

    # --- GPUs ------------------------------------------------------------------------------------

    def gpus(self, model: str | None) -> int:
        """GPUs that a job with a model takes; one without a model of the config takes one."""
        if self.config["compute"]["device"] != "cuda":
            return 0
        models = self.config["models"]
        return int(models[model]["gpus"]) if model in models else 1

    def scorer_gpus(self, scorer: str) -> int:
        """GPUs that a scorer takes: none if it has nothing to compute with."""
        entry = self.config["scorers"][scorer]
        judges = reads(entry["kind"]) in ("model", "source")
        return self.gpus(entry.get("model")) if judges else 0

    # --- how much there is to do -----------------------------------------------------------------

    def texts(self, dataset: str, split: str = "all", limit: int | None = None) -> int:
        """Texts of a split of a dataset, at most; `TEXTS` if nothing tells."""
        entry = self.config["datasets"][dataset]
        size = entry.get("splits", {}).get(split)
        if "texts" in entry:
            count = len(entry["texts"])
        elif "file" in entry and "source" not in entry:
            count = (self.root / entry["file"]).read_bytes().count(b"\n")
        else:
            count = int(size) if size is not None and size >= 1 else TEXTS
        return int(min(bound for bound in (count, size, limit) if bound and bound >= 1))

    def _cells(self, experiment: dict[str, Any], model: str) -> int:
        """Conditions of an experiment's grid on a model; a choice counts as one."""
        layers = self.config["models"][model]["layers"]
        return grid_size(at_depth(experiment["conditions"], layers))

    def _prompts(self, experiment: dict[str, Any]) -> int:
        prompts = experiment["prompts"]
        limit = None if prompts.get("each_group") else prompts.get("limit")
        return self.texts(prompts["dataset"], prompts["split"], limit)

    def _text(self, dataset: str) -> int:
        """Tokens of one of a dataset's texts, read as a whole."""
        entry = self.config["datasets"][dataset]
        return DOCUMENT if entry.get("format") == "documents" and not entry["sentences"] else TEXT

    def tokens(self, model: str, experiment: str, shards: int = 1) -> Tokens:
        """What an experiment, or one of its shards, draws and reads on a model."""
        entry = self.config["experiments"][experiment]
        cells = ceil(self._cells(entry, model) / shards)
        prompts = self._prompts(entry)
        texts = cells * prompts
        if not MEASURES[entry["measure"]].draws:
            length = self._text(entry["prompts"]["dataset"])
            length = entry["prompts"].get("first_tokens", length)
            return Tokens(read=texts * length, row=length, kept=prompts * length)
        new = entry["max_new_tokens"]
        drawn = texts * entry["samples"] * new
        # PREADD reads and draws in two contexts.
        if any(c["method"] == "preadd" for c in entry["conditions"].values()):
            drawn *= 2
        return Tokens(drawn=drawn, read=texts * PROMPT, row=PROMPT + new)

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
        # With one thread, in the rule that makes a model ready.
        entry = self.config["models"][model]
        compute = {**self.config["compute"], "threads": 1}
        known = (entry["parameters"], entry["layers"], entry["dtype"])
        return model_need(*known, Tokens(read=VERIFIED, row=PROMPT), compute=compute)

    def activations(self, model: str, **_: str) -> Need:
        return self._model(model, Tokens(read=2 * TEXT))

    def lens(self, model: str, **_: str) -> Need:
        return self._model(model, Tokens(read=self.config["models"][model]["layers"] * TEXT))

    def cells(self, model: str, experiment: str, shards: int | str = 1, **_: str) -> Need:
        """Completions, log-probabilities or divergence, whichever the experiment measures."""
        return self._model(model, self.tokens(model, experiment, int(shards)))

    def gather(self, model: str, experiment: str, **_: str) -> Need:
        """The table of an experiment from its shards' cells, one after the other."""
        tokens = self.tokens(model, experiment)
        seconds = (tokens.drawn + tokens.read) * TABLE_ROW / DISK
        return Need(PROGRAM + TABLE_ROW * tokens.kept, START + ceil(seconds / 60))

    def scores(
        self, model: str, experiment: str, scorer: str, shards: int | str = 1, **_: str
    ) -> Need:
        entry = self.config["experiments"][experiment]
        cells = ceil(self._cells(entry, model) / int(shards))
        texts = cells * self._prompts(entry) * entry["samples"]
        return self._judging(scorer, texts, PROMPT + entry["max_new_tokens"])

    def validation(self, scorer: str, **_: str) -> Need:
        check = self.config["scorers"][scorer]["validate"]
        texts = self.texts(check["dataset"], check["split"], check.get("limit"))
        return self._judging(scorer, texts, TEXT)

    def _judging(self, scorer: str, texts: int, length: int) -> Need:
        entry = self.config["scorers"][scorer]
        tokens = Tokens(read=texts * length, row=length)
        if reads(entry["kind"]) == "model":
            return self._model(entry["model"], tokens)
        if reads(entry["kind"]) == "source":
            compute = self.config["compute"]
            return model_need(ENCODER, ENCODER_LAYERS, "float32", tokens, compute=compute)
        if asks(entry["kind"]):
            return Need(minutes=START + ceil(texts / entry.get("per_second", 1) / 60))
        return Need()

    def overhead(self, overhead: str, subject: str, **_: str) -> Need:
        entry = self.config["overheads"][overhead]
        # Plain and steered, and steered with the vector's own passes.
        passes = 4 * (entry["warmup"] + entry["repeats"])
        tokens = Tokens(read=passes * entry["rows"] * entry["tokens"], row=entry["tokens"])
        shape = entry["shapes"].get(subject)
        if shape is None:
            return self._model(subject, tokens)
        layers, width = shape["layers"], shape["d_model"]
        parameters = 12 * layers * width**2 + shape["vocabulary"] * width
        compute = self.config["compute"]
        return model_need(parameters, layers, "float32", tokens, compute=compute)

    def small(self, **_: str) -> Need:
        """A job without a model: seconds of work on tables."""
        return Need()
