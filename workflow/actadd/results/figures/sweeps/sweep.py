"""Metrics against what was swept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.results.displays.kinds import MetricsOptions, Sources, figure
from actadd.results.figures.sweeps.options import SweptOptions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Sweep(SweptOptions, MetricsOptions):
    by_group: bool = option("One line for each group of prompts.", False)


@figure(Sweep, reads=("summary",))
def sweep(options: Sweep, sources: Sources) -> "tuple[Figure, str]":
    """Metrics against x, one line for each other setting or group, the unsteered level dashed.

    A steered condition without one x, such as a composite, is a level of its own.
    """
    import pandas as pd

    from actadd.results.displays.labels import data_sentence, metric_rows
    from actadd.results.drawing import (
        error_lines,
        legend,
        levels,
        panels,
        powers,
        split,
        unsteered_band,
        wrapped,
    )

    table, x = sources.read("summary"), options.x
    figure, axes = panels(len(options.metrics), 2.1)
    parts = []
    for axis, metric in zip(axes, options.metrics, strict=True):
        rows = metric_rows(sources, table, metric)
        grouped = table[(table["metric"] == metric) & (table["group"] != "all")]
        if options.by_group and len(grouped):
            rows = grouped
        else:
            unsteered_band(axis, rows)
        steered = options.steered(rows, sources)
        swept = steered[steered[x].notna()]
        parts.append(rows)
        lines, unswept = split(_lines(steered, x, options.by_group), x)
        error_lines(axis, lines, x, ordered=x == "coefficient")
        levels(axis, unswept, len(lines))
        axis.set(xlabel=options.axis(swept), ylabel=wrapped(options.label(metric), 2))
        if options.log:
            axis.set_yscale("log")
            powers(axis.yaxis)
    legend(figure, axes)
    vectors = ", ".join(sorted(set(swept["vector"].dropna())))
    caption = (
        f"Against the {options.axis(swept)}, for the vector {vectors}; grey: unsteered. "
        f"{data_sentence(options, sources, pd.concat(parts))}"
    )
    return figure, caption


def _lines(rows: "pd.DataFrame", x: str, by_group: bool) -> "list[tuple[str, pd.DataFrame]]":
    from actadd.results.displays.labels import settings

    if not by_group:
        return settings(rows, x, ("layer",) if x == "coefficient" else ())
    return [
        (", ".join(filter(None, [str(group), text])), part)
        for group, members in rows.groupby("group", sort=True)
        for text, part in settings(members, x)
    ]
