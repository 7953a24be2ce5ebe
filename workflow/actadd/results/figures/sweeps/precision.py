"""Precision at K of each condition."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.errors import UserError
from actadd.results.displays.kinds import Experiment, ExperimentOptions, Sources, figure
from actadd.results.displays.targets import lacks_targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Precision(ExperimentOptions):
    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from lacks_targets(experiment)


@figure(Precision, reads=("summary",), measures=("logprobs",))
def precision(options: Precision, sources: Sources) -> "tuple[Figure, str]":
    """Precision at K of each condition (paper, ConceptNet)."""
    import pandas as pd

    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.labels import failed, settings, unsteered
    from actadd.results.drawing import (
        apart,
        legend,
        mark_failed,
        panels,
        series_apart,
        styles,
        whiskers,
    )

    table = sources.read("summary")
    rows = table[table["metric"].str.startswith("precision_at_") & (table["group"] == "all")]
    if rows.empty:
        raise UserError(
            f"{sources.key}: the texts of {options.experiment} have no targets; name "
            "their column in columns.target of the dataset"
        )
    rows = rows.assign(k=rows["metric"].str.rpartition("_")[2].astype(int))
    figure, [axis] = panels(1, 2.3)
    lines = settings(rows, "k", always=("condition",), label=options.label)
    for index, (text, part) in enumerate(lines):
        part = part.sort_values("k")
        values, style = part["k"], styles(lines, looks=sources.facts.looks)[index]
        # A little apart, so that bars do not hide each other.
        bars = {"yerr": whiskers(part), "elinewidth": 0.7, "label": text}
        moved = apart(axis, index, len(lines))
        series_apart(axis, values, part["mean"], moved, **{**style, **bars})
        mark_failed(axis, values[failed(part)], style["color"])
    axis.set_xscale("log")
    ticks = [k for k in (1, 2, 3, 5, 10, 20, 50, 100, 1000) if k <= rows["k"].max()]
    axis.set_xticks(ticks, [str(k) for k in ticks])
    axis.set_xticks([], minor=True)
    axis.set(xlabel="K", ylabel="precision at K")
    legend(figure, [axis])
    ranks = table[(table["metric"] == "rank") & (table["group"] == "all")]
    ranks = ranks[~unsteered(ranks)]
    tests = "; ".join(
        f"{options.label(condition)} ({options.label(model)}) p = {p_value:.2g}"
        for condition, model, p_value in ranks[["condition", "model", "p_value"]].itertuples(
            index=False
        )
        if pd.notna(p_value)
    )
    caption = (
        "The figure shows the share of items whose right next token is among the K likeliest. By "
        f"Wilcoxon's signed-rank test of the paired ranks against unsteered, {tests}. "
        f"{data_sentence(options, sources, rows)}"
    )
    return figure, caption
