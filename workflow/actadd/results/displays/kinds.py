"""The families of figure and table kinds: options that they share, what they read, registries.

Reading declarations is cheap: neither this module nor a kind's file imports pandas, matplotlib or
seaborn outside a function.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from actadd.base.kinds import Kind, Kinds, Rule, declares, option
from actadd.measure.additions import DEPTHS, swept_keys
from actadd.measure.methods import METHODS

if TYPE_CHECKING:
    import pandas as pd

# What a kind may read. summary and cells: of an experiment; tables and scores: of every experiment
# that an entry names; texts: of every dataset that it names; stream_norms: of the experiment's
# models; norms: of vectors; tokens and cosines: of a lens; pair_check: what was known of pairs;
# overhead: a timing's repeats; curves and readings: of a comparison of methods; comparison:
# published numbers beside ours.
Need = Literal[
    "summary",
    "cells",
    "tables",
    "scores",
    "texts",
    "norms",
    "stream_norms",
    "tokens",
    "cosines",
    "pair_check",
    "overhead",
    "curves",
    "readings",
    "comparison",
]
# need -> the option that names what is read, if one does.
NAMED_BY = {
    "summary": "experiment",
    "cells": "experiment",
    "tables": "experiment",
    "scores": "experiment",
    "stream_norms": "experiment",
    "tokens": "lens",
    "cosines": "lens",
    "pair_check": "pair_check",
    "overhead": "overhead",
    "curves": "method_comparison",
    "readings": "method_comparison",
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What the config says of the experiment behind a figure or table.

    entry, dataset: the config's entries of the experiment and of its prompts' dataset. controls:
    names of the config's random vectors.
    """

    name: str
    entry: Mapping[str, Any]
    dataset: Mapping[str, Any]
    controls: frozenset[str] = frozenset()

    @property
    def conditions(self) -> Mapping[str, Mapping[str, Any]]:
        conditions: Mapping[str, Mapping[str, Any]] = self.entry["conditions"]
        return conditions

    def additions(self, condition: str | None = None) -> list[list[Mapping[str, Any]]]:
        """The additions of one condition, or of each."""
        names = self.conditions if condition is None else [condition]
        return [self.conditions[name].get("additions", []) for name in names]

    def swept(self, condition: str) -> list[str]:
        """Keys of which a condition has several values, so that it has several settings."""
        entry = self.conditions[condition]
        values = [(key, entry.get(key)) for key in ("sampling", "seed")]
        for addition in entry.get("additions", []):
            values += [(key, addition.get(key)) for key in (*swept_keys(addition), *DEPTHS)]
        return [key for key, value in values if isinstance(value, list) and len(value) > 1]

    def lacks_unsteered(self) -> Iterator[str]:
        """A sentence for `Options.check` if no condition is unsteered."""
        roles = {METHODS[each["method"]].role for each in self.conditions.values()}
        if "unsteered" not in roles:
            yield f"experiment: {self.name} has no unsteered condition; add one"

    def lacks_vectors(self) -> Iterator[str]:
        """A sentence for `Options.check` if no condition adds a vector."""
        if not any(self.additions()):
            yield f"experiment: no condition of {self.name} adds a vector; add some"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Keys of every figure and table."""

    title: str = option("What stands above it.", min_length=1)
    paper: str | None = option(
        "Where it stands in the paper; it then belongs to the target `paper`.", None, min_length=1
    )
    study: str | None = option(
        "The question that it answers; it then belongs to the target `laboratory`.",
        None,
        min_length=1,
    )
    note: str | None = option("What the caption adds.", None)
    labels: dict[str, str] = option(
        "Name of a metric, condition, model or vector, or @ and the name of a group -> what it is "
        "called; on top of the config's own labels.",
        {},
    )

    width: Literal["column", "page"] | Annotated[float, Rule(minimum=2, maximum=20)] | None = (
        option(
            "Width of a figure: a column (3.3 inches) or a page (6.8) of a two-column paper, or "
            "inches; by the number of its panels if not given.",
            None,
            title="column, page, or a number of inches from 2 to 20",
        )
    )

    def label(self, name: str) -> str:
        return self.labels.get(name, name)

    def group(self, name: str) -> str:
        """What a group of prompts or texts is called."""
        return self.labels.get(f"@{name}", name)

    def listed(self, names: Iterable[str]) -> str:
        """What several are called, with commas between."""
        return ", ".join(map(self.label, names))

    def check(self, experiment: Experiment) -> Iterator[str]:
        """What the experiment lacks for it: sentences that begin with the key to change."""
        yield from ()

    def scored(self) -> Iterator[tuple[str, str]]:
        """(key, scorer.metric) of what the experiment has to score."""
        yield from ()

    @property
    def main_experiment(self) -> str | None:
        """The experiment whose data, scorers and models a caption and the report name."""
        return getattr(self, "experiment", None)

    def metrics_of(self, config: Mapping[str, Any]) -> list[str]:
        """scorer.metric of what it shows; the notes of these scorers are in the caption."""
        return [metric for _, metric in self.scored()]

    def remarks(self, config: Mapping[str, Any]) -> list[str]:
        """Sentences that the caption adds to the notes of scorers."""
        return []

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What else of the config it depends on, as JSON; its function reads it as `Facts.more`."""
        return {}


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions(Options):
    """Keys of what is made from an experiment."""

    experiment: str = option("Experiment whose numbers are shown.", section="experiments")


@dataclass(frozen=True, kw_only=True)
class MetricsOptions(ExperimentOptions):
    """Keys of what shows metrics of an experiment."""

    metrics: list[str] = option(
        "scorer.metric of each panel or column, or of one group of prompts scorer.metric@group.",
        min_length=1,
    )

    def scored(self) -> Iterator[tuple[str, str]]:
        yield from (("metrics", metric.partition("@")[0]) for metric in self.metrics)


@dataclass(frozen=True, kw_only=True)
class LensOptions(Options):
    """Keys of what is made from a lens."""

    lens: str = option("Lens whose readings are shown.", section="lenses")


@dataclass(frozen=True, kw_only=True)
class OverheadOptions(Options):
    """Keys of what is made from a timing."""

    overhead: str = option("Timing that is shown.", section="overheads")


@dataclass(frozen=True, kw_only=True)
class MethodsOptions(Options):
    """Keys of what is made from a comparison of methods."""

    method_comparison: str = option(
        "Comparison of methods that is shown.", section="method_comparisons"
    )

    @property
    def main_experiment(self) -> str:
        """The experiment that has the comparison's name."""
        return self.method_comparison

    def metrics_of(self, config: Mapping[str, Any]) -> list[str]:
        compared = config["method_comparisons"][self.method_comparison]
        return [compared["effect"]["metric"], compared["damage"]["disfluency"]["metric"]]

    def remarks(self, config: Mapping[str, Any]) -> list[str]:
        """What the comparison lacks, and why."""
        lacks: list[str] = config["method_comparisons"][self.method_comparison]["lacks"]
        return lacks


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a caption says of the data and the scorers behind a figure or table.

    unit: what intervals are over. controls: names of the config's random vectors. looks: condition
    -> (role, number) of its colour and mark, see `needs.looks`. scales: metric -> fields of
    `metrics.Scale`. choices: condition -> the rule that chose its setting, and on which data. more:
    see `Options.facts`.
    """

    data: str = ""
    unit: str = "texts"
    notes: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    looks: dict[str, tuple[str, int]] = field(default_factory=dict)
    scales: dict[str, dict[str, Any]] = field(default_factory=dict)
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def sentences(self) -> str:
        """Data and notes, the end of a caption."""
        return " ".join([f"The data are {self.data}.", *self.notes])


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What one figure or table is drawn from.

    key: its entry in the config, for messages. paths: need -> its files, in order. norms, tables,
    scores and texts: the files of these needs, by (model, vector), (model, experiment), (model,
    experiment, scorer) and dataset.
    """

    key: str
    facts: Facts
    paths: Mapping[str, list[Path]]
    norms: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    tables: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    scores: Mapping[tuple[str, str, str], Path] = field(default_factory=dict)
    texts: Mapping[str, Path] = field(default_factory=dict)

    def values(self, model: str, experiment: str) -> "pd.DataFrame":
        """The values of an experiment on a model, prompt by prompt, see `prompt_values`."""
        from actadd.results.prompt_values import prompt_values

        scores = {
            scorer: path
            for (*run, scorer), path in self.scores.items()
            if run == [model, experiment]
        }
        return prompt_values(self.tables[model, experiment], scores)

    def read(self, need: Need) -> "pd.DataFrame":
        """The files of one need under each other; norms have their vector's and model's names."""
        import pandas as pd

        from actadd.results.displays.labels import read_norms

        if need == "norms":
            return read_norms(self.norms)
        if need == "stream_norms":
            return pd.concat(map(pd.read_csv, self.paths[need]), ignore_index=True)
        return pd.concat(map(pd.read_parquet, self.paths[need]), ignore_index=True)


@dataclass(frozen=True, kw_only=True)
class Display(Kind):
    """A kind of figure or table. Its function takes (options, Sources).

    measures: those of an experiment that it can be made from; any, if there are none. others:
    options that name further experiments -> the measure that these need. datasets: options that
    name datasets, which it reads as texts.
    """

    options: type[Options]
    reads: tuple[Need, ...]
    measures: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.reads or not set(self.reads) <= set(get_args(Need)):
            raise TypeError(f"{self.name} reads {self.reads}; give some of {get_args(Need)}")
        names = {each.name for each in fields(self.options)}
        for need in self.reads:
            named_by = NAMED_BY.get(need)
            if named_by and named_by not in names:
                raise TypeError(f"{self.name} reads {need}, so its options need {named_by!r}")
        if "norms" in self.reads and not names & {"vectors", "lens", "experiment"}:
            raise TypeError(
                f"{self.name} reads norms, so its options need 'vectors', 'lens' or 'experiment'"
            )
        if missing := {*self.others, *self.datasets} - names:
            raise TypeError(f"{self.name} reads others, so its options need {missing.pop()!r}")


@dataclass(frozen=True, kw_only=True)
class Figure(Display):
    """A kind of figure. Its function returns (matplotlib's figure, caption)."""


@dataclass(frozen=True, kw_only=True)
class Table(Display):
    """A kind of table. Its function returns (a table whose index names its rows, caption)."""


FIGURES = Kinds(Figure, "actadd.results.figures", "figure kind")
TABLES = Kinds(Table, "actadd.results.tables", "table kind")
# Section of the config -> its kinds.
SECTIONS: Mapping[str, Mapping[str, Display]] = {"figures": FIGURES, "tables": TABLES}


def figure(
    options: type[Options], *, reads: tuple[Need, ...], **traits: Any
) -> Callable[[Callable[..., Any]], Figure]:
    """Declares a figure kind with the decorated function's name; traits: fields of `Display`."""
    return declares(Figure, options, reads=reads, **traits)


def table(
    options: type[Options], *, reads: tuple[Need, ...], **traits: Any
) -> Callable[[Callable[..., Any]], Table]:
    """Declares a table kind with the decorated function's name; traits: fields of `Display`."""
    return declares(Table, options, reads=reads, **traits)
