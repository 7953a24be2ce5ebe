"""What a scorer declares, and the registry of scorers.

A scorer is one file: a dataclass of options, and a function under the decorator `scorer` that
returns a DataFrame of metric columns, row for row:

    function(table, options, job) -> DataFrame
        table: DataFrame with `prompt` and `completion`. options: an instance of the dataclass.
        job: a `Job`, what the run knows besides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from actadd.base.kinds import Kind, Kinds, Rule, build, declares, option

if TYPE_CHECKING:
    import pandas as pd

# Rules that several scorers share.
CUT: dict[str, Any] = {"minimum": 0, "maximum": 1}
ENDPOINT: dict[str, Any] = {
    "title": "an http address without a password or key (name the key's variable in key_env)",
    "pattern": r"^https?://[^\s@?#]+\Z",
    "secret": True,
}
VARIABLE: dict[str, Any] = {
    "title": "the name of the environment variable that holds the key, not the key itself",
    "pattern": r"^[A-Z][A-Z0-9_]*\Z",
    "secret": True,
}
NOT_BLANK = Rule(title="a text that is not blank", pattern=r"\S")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Keys of every scorer.

    LABELS: those that change no score, so that they are in no cell's key.
    """

    LABELS: ClassVar[tuple[str, ...]] = ("note",)

    note: str | None = option("What captions and the scorer card say of it.", None)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Human labels that a scorer is compared with."""

    dataset: str = option("Dataset with labels.", section="datasets")
    split: str = option("Split that the scorer was not fitted on.")
    metric: str = option("Metric of the scorer that is compared, without the scorer's name.")
    threshold: float = option("Labels above it count as positive.")
    cut: float = option("Metric values above it count as positive.")
    limit: int | None = option("Use only the first rows, this many.", None, minimum=1)
    allow_overlap: bool | None = option(
        "Compare even if the scorer is fitted on some of the texts; they are counted in any case.",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class ValidatedOptions(Options):
    """Keys of a scorer that can be compared with human labels."""

    LABELS = (*Options.LABELS, "validate")

    validate: Validation | None = option("Comparison with human labels, for the scorer card.", None)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run knows besides a scorer's options.

    name: of the scorer in the config. inputs: the file or folder that the scorer reads. compute:
    device and threads (and of a model, where its parts lie); dtype, batch_rows: of a model. These
    are set for scorers that read a model or source. answers: folder for a server's answers.
    """

    name: str = ""
    inputs: Path | None = None
    compute: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dtype: str = ""
    batch_rows: int = 0
    answers: str = ""

    @property
    def key(self) -> str:
        """The scorer's config key, for messages."""
        return f"scorers.{self.name}"

    @property
    def path(self) -> Path:
        """`inputs` of a scorer that reads something."""
        if self.inputs is None:
            raise ValueError(f"{self.key} was given nothing to read")
        return self.inputs


@dataclass(frozen=True, kw_only=True)
class Scorer(Kind):
    """A kind of scorer.

    metrics: columns that it returns -> whether each is a share: yes or no for one completion, so
    that its mean is a share; or a function of the options that returns them. reads: what `Job.path`
    is: a source or model that the option of that name names, or the classifier that `fit` wrote.
    asks: it asks a server, and stores the answers in `Job.answers`. fit(options, texts, target,
    job): fits it on the dataset that the option `fit` names and writes a folder; texts is a
    DataFrame with `text` and `label`.
    """

    options: type[Options]
    metrics: Mapping[str, bool] | Callable[[Any], Mapping[str, bool]]
    reads: Literal["classifier", "model", "source"] | None = None
    asks: bool = False
    fit: Callable[..., dict[str, Any]] | None = None

    @property
    def has_labels(self) -> bool:
        """Whether it can be compared with human labels."""
        return issubclass(self.options, ValidatedOptions)

    def metrics_of(self, options: Any) -> Mapping[str, bool]:
        """The metrics that it gives under these options, and whether each is a share."""
        return self.metrics(options) if callable(self.metrics) else self.metrics

    def score(
        self, table: pd.DataFrame, entry: Mapping[str, Any], inputs: Path | None = None
    ) -> pd.DataFrame:
        """The metrics of each row of `table`.

        entry: config entry of the scorer, with the fields of `Job` but `inputs`.
        """
        job = build(Job, {**entry, "inputs": inputs})
        frame: pd.DataFrame = self.function(table, build(self.options, entry), job)
        return frame

    def fit_on(self, texts: pd.DataFrame, entry: Mapping[str, Any], target: Path) -> dict[str, Any]:
        """Fit it on `texts` and write the folder `target`; return counts."""
        if self.fit is None:
            raise ValueError(f"{self.name} has nothing to fit")
        return self.fit(build(self.options, entry), texts, target, build(Job, entry))


def scorer(
    options: type[Options] = ValidatedOptions,
    *,
    metrics: Mapping[str, bool] | Callable[[Any], Mapping[str, bool]],
    reads: Literal["classifier", "model", "source"] | None = None,
    asks: bool = False,
    fit: Callable[..., dict[str, Any]] | None = None,
    name: str | None = None,
) -> Callable[[Callable[..., pd.DataFrame]], Scorer]:
    """Declare a scorer: a decorator of its function; see `Scorer`.

    options: dataclass of its options, a subclass of `Options` or `ValidatedOptions`. name: that
    `kind:` has in the config; the function's name if not given.
    """
    for field in {field.name for field in dataclasses.fields(Job)} & {
        field.name for field in dataclasses.fields(options)
    }:
        raise TypeError(f"the option {field!r} has the name of something in Job; rename it")
    return declares(Scorer, options, name, metrics=metrics, reads=reads, asks=asks, fit=fit)


SCORERS = Kinds(
    Scorer,
    ("actadd.scorers.text", "actadd.scorers.models", "actadd.scorers.remote"),
    "scorer",
)


def reads(kind: str) -> str | None:
    """What a kind of scorer reads besides texts: a classifier, model or source, or nothing."""
    return SCORERS[kind].reads


def asks(kind: str) -> bool:
    """Whether a kind of scorer asks a server."""
    return SCORERS[kind].asks


def metrics(entry: Mapping[str, Any]) -> Mapping[str, bool]:
    """The metrics that a scorer's config entry gives, and whether each is a share."""
    kind = SCORERS[entry["kind"]]
    return kind.metrics_of(build(kind.options, entry))


def probabilities(values: Any, cut: float, index: Any) -> pd.DataFrame:
    """A DataFrame of probability and positive: 1 if it is above `cut`, else 0; NaN if it is NaN."""
    import pandas as pd

    probability = pd.Series(values, index=index, dtype="float64")
    positive = (probability > cut).astype("float64")
    return pd.DataFrame(
        {"probability": probability, "positive": positive.where(probability.notna())}
    )


# Metrics of `probabilities`.
PROBABILITIES = {"probability": False, "positive": True}
