"""Metrics against what was swept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.kinds import option
from actadd.results.displays.kinds import MetricsOptions, Sources, figure
from actadd.results.figures.sweeps.options import SweptOptions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from actadd.results.displays.chosen import Chosen

# Models of which a heatmap each has room beside the lines.
SQUARES = 2


@dataclass(frozen=True, kw_only=True)
class Sweep(SweptOptions, MetricsOptions):
    by_group: bool = option("One line for each group of prompts.", False)
    heatmaps: bool = option(
        "A heatmap beside the lines of each metric, where layers and coefficients are crossed.",
        True,
    )

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """choices: the rules that choose a setting of this sweep, and for which experiments."""
        from actadd.results.displays.needs import choices_on

        return {"choices": choices_on(self.experiment, config)}


@figure(Sweep, reads=("summary",))
def sweep(options: Sweep, sources: Sources) -> "tuple[Figure, str]":
    """Metrics against x, one line for each other setting or group, the unsteered level dashed.

    Against the coefficient, a line begins at 0, which is unsteered, and rings mark the settings
    that other experiments take; a dotted line is the cap of their rule. A steered condition without
    one x, such as a composite, is a level of its own. Where layers and coefficients are crossed, a
    heatmap stands beside the lines.
    """
    import pandas as pd

    from actadd.results.displays.chosen import picks
    from actadd.results.displays.labels import in_order, metric_rows
    from actadd.results.drawing import legend, panels
    from actadd.results.drawing.heatmaps import crossed, heatmap

    table, x = sources.read("summary"), options.x
    chosen = picks(sources, table, options.condition) if x == "coefficient" else []
    first = options.steered(metric_rows(sources, table, options.metrics[0]), sources)
    models = in_order(first["model"])
    beside = (
        models
        if options.heatmaps
        and not options.by_group
        and x == "coefficient"
        and len(models) <= SQUARES
        and crossed(first)
        else []
    )
    columns = 1 + len(beside)
    count = len(options.metrics)
    figure, axes = panels(columns * count, 2.1, columns=columns if beside else 3)
    parts = []
    for index, metric in enumerate(options.metrics):
        axis, *squares = axes[columns * index : columns * (index + 1)]
        rows = metric_rows(sources, table, metric)
        grouped = table[(table["metric"] == metric) & (table["group"] != "all")]
        if options.by_group and len(grouped):
            rows = grouped
        parts.append(rows)
        _lines_of(axis, options, sources, metric, rows)
        for each in chosen:
            each.mark(axis, metric)
        steered = options.steered(rows, sources)
        for square, model in zip(squares, beside, strict=True):
            of_model = steered[steered["model"] == model]
            taken = [each for each in chosen if each.model == model]
            title = options.label(model) if len(models) > 1 else ""
            heatmap(figure, square, of_model, options, metric, taken, title)
    legend(figure, axes[::columns])
    return figure, _caption(options, sources, pd.concat(parts), chosen, bool(beside))


def _lines_of(
    axis: "Axes", options: Sweep, sources: Sources, metric: str, rows: "pd.DataFrame"
) -> None:
    """The lines of one metric, from unsteered on."""
    from actadd.results.drawing import (
        better,
        error_lines,
        least_span,
        levels,
        powers,
        split,
        unsteered_band,
        wrapped,
    )
    from actadd.results.figures.sweeps.options import from_zero

    x, looks = options.x, sources.facts.looks
    if not options.by_group:
        unsteered_band(axis, rows, options.label)
    steered = options.steered(rows, sources)
    lines, unswept = split(_lines(steered, options), x)
    if x == "coefficient":
        lines = [(text, from_zero(part, rows)) for text, part in lines]
    error_lines(axis, lines, x, ordered=x == "coefficient", looks=looks)
    levels(axis, unswept, len(lines), looks)
    scale = sources.facts.scales.get(metric, {})
    label = better(wrapped(options.label(metric), 2), scale, across=False)
    axis.set(xlabel=options.axis(steered[steered[x].notna()]), ylabel=label)
    if options.log:
        axis.set_yscale("log")
        powers(axis.yaxis)
    else:
        least_span(axis.yaxis, scale)


def _lines(rows: "pd.DataFrame", options: Sweep) -> "list[tuple[str, pd.DataFrame]]":
    from actadd.results.displays.labels import in_order, settings

    x, label = options.x, options.label
    if not options.by_group:
        return settings(rows, x, ("layer",) if x == "coefficient" else (), label)
    return [
        (", ".join(filter(None, [options.group(group), text])), part)
        for group in in_order(rows["group"])
        for text, part in settings(rows[rows["group"] == group], x, label=label)
    ]


def _caption(
    options: Sweep,
    sources: Sources,
    rows: "pd.DataFrame",
    chosen: "list[Chosen]",
    squares: bool,
) -> str:
    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.chosen import sentences
    from actadd.results.displays.labels import in_order

    steered = options.steered(rows, sources)
    swept = steered[steered[options.x].notna()]
    vectors = in_order(swept["vector"])
    metrics = " and ".join(map(options.label, options.metrics))
    noun = "vector" if len(vectors) == 1 else "vectors"
    parts = [
        f"The figure shows {metrics} against the {options.axis(swept)} of the {noun} "
        f"{options.listed(vectors)}.",
        "" if options.by_group else "The dashed line is unsteered, and its band the 95 % interval.",
        "Heatmaps show the same means by layer and coefficient." if squares else "",
        *sentences(options, chosen),
        data_sentence(options, sources, rows),
    ]
    return " ".join(filter(None, parts))
