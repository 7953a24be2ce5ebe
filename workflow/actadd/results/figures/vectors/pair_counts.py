"""Directions of more and more contrast pairs."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, figure
from actadd.results.displays.pair_count_options import PairCountOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@figure(
    PairCountOptions,
    reads=("tables", "scores"),
    measures=("completions",),
    others={"damage": "completions"},
)
def pair_counts(options: PairCountOptions, sources: Sources) -> "tuple[Figure, str]":
    """Effect and damage against the number of pairs, a curve for each kind of direction."""
    from matplotlib.ticker import FixedLocator, NullLocator

    from actadd.results.displays.labels import in_order
    from actadd.results.displays.pair_counts import caption, gather
    from actadd.results.drawing import (
        CONTROL,
        LEVEL,
        apart,
        better,
        least_span,
        legend,
        panels,
        series,
        series_apart,
        whiskers,
        wrapped,
    )

    points, enough = gather(options, sources)
    measured = [("effect", 0.0, f"difference in {options.label(options.metric)}")]
    if options.cost:
        measured.append(("cost", 1.0, f"{options.label(options.cost)}, over unsteered"))
    models = in_order(points["model"])
    figure, axes = panels(len(measured) * len(models), 2.4, columns=len(measured), narrow=1)
    curves = list(dict.fromkeys(points["curve"]))
    for index, axis in enumerate(axes):
        model = models[index // len(measured)]
        column, level, label = measured[index % len(measured)]
        here = points[points["model"] == model]
        for number, curve in enumerate(curves):
            part = here[here["curve"] == curve]
            style = series(number, len(curves))
            if part["control"].all():
                style |= {"color": CONTROL, "markerfacecolor": "white"}
            # Set a little apart, so that bars show.
            moved = apart(axis, number, len(curves))
            bars = {"yerr": whiskers(part, column), "elinewidth": 0.7, "label": curve}
            series_apart(axis, part["pairs"], part[column], moved, **{**style, **bars})
            point = enough.get((model, curve))
            if column == "effect" and point is not None and point.pairs == point.pairs:
                axis.axvline(point.pairs, color=style["color"], linewidth=0.6, linestyle=":")
        axis.axhline(level, **LEVEL)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(sorted(set(points["pairs"]))))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set(
            xlabel="contrast pairs",
            ylabel=better(wrapped(label, 2), {"lower": column == "cost"}, across=False),
        )
        if column == "effect":
            least_span(axis.yaxis, sources.facts.scales.get(options.metric, {}))
        if len(models) > 1:
            axis.set_title(options.label(model))
    legend(figure, axes)
    return figure, caption(options, sources, points, enough)
