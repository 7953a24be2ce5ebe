"""Effect against what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.results.displays.kinds import Experiment, MetricsOptions, Sources, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class DoseResponse(MetricsOptions):
    def check(self, experiment: Experiment) -> Iterator[str]:
        if len(self.metrics) != 2:
            yield (
                f"metrics: there are {len(self.metrics)}; write two, the effect and then the cost"
            )


@figure(DoseResponse, reads=("summary",), measures=("completions",))
def dose_response(options: DoseResponse, sources: Sources) -> "tuple[Figure, str]":
    """Effect against what it costs, so that methods are compared at equal cost.

    metrics: the effect, then the cost. Each method is a line from its weakest setting to its
    strongest; the unsteered point is a star. Raises UserError if a model has no point to draw.
    """
    import pandas as pd
    from matplotlib.colors import to_rgb

    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.labels import failed, in_order, metric_rows, unsteered
    from actadd.results.drawing import (
        LEVEL,
        LINES,
        MARKERS,
        SMALL,
        UNSTEERED,
        better,
        legend,
        look,
        panels,
        plain_ticks,
        whiskers,
        wrapped,
    )

    table = sources.read("summary")
    effect, cost = options.metrics
    keys = ["model", "condition", "method", "layer", "coefficient", "additions"]
    columns = [*keys, "mean", "low", "high"]
    effects, costs = (metric_rows(sources, table, metric) for metric in (effect, cost))
    both = effects[~failed(effects)][columns].merge(
        costs[~failed(costs)][columns], on=keys, suffixes=("", "_cost")
    )
    models = in_order(effects["model"])
    points = both[both["mean"].notna() & both["mean_cost"].notna()]
    if missing := [model for model in models if model not in set(points["model"])]:
        raise UserError(
            f"{sources.key}.metrics: no condition on {', '.join(missing)} has values of both "
            f"{effect!r} and {cost!r}; write other metrics, or take conditions whose completions "
            "have both"
        )
    # A logarithmic axis would hide a cost of 0.
    scale = "log" if (points["mean_cost"] > 0).all() else "linear"
    # What has no layer, as prompting, is one line.
    both["layer"] = both["layer"].fillna(-1)
    steered = both[~unsteered(both)]
    methods = in_order(steered["condition"])
    pairs = set(zip(steered["condition"], steered["layer"], strict=True))
    lines = sorted(pairs, key=lambda pair: (methods.index(pair[0]), pair[1]))
    # Several lines cross, and every point has a number: they need a page's width.
    figure, axes = panels(len(models), 2.8, columns=2, narrow=int(len(lines) <= 3))
    for axis, model in zip(axes, models, strict=True):
        here = both[both["model"] == model]
        for _, row in here[unsteered(here)].iterrows():
            star: dict[str, Any] = {**UNSTEERED, "linestyle": "none", "markersize": 8}
            axis.plot(row["mean_cost"], row["mean"], **star, label="unsteered")
            axis.axhline(row["mean"], **LEVEL)
        on_model = steered[steered["model"] == model]
        for line in lines:
            name, layer = line
            part = on_model[(on_model["condition"] == name) & (on_model["layer"] == layer)]
            if part.empty:
                continue
            of_method = [each for each in lines if each[0] == name]
            several = len(of_method) > 1
            # A colour for each method, a mark for each line.
            style = look(sources.facts.looks, name, methods.index(name))
            if several:
                style["marker"] = MARKERS[of_method.index(line) % len(MARKERS)]
                style["linestyle"] = LINES[of_method.index(line) % len(LINES)]
            part = part.assign(size=part["coefficient"].abs()).sort_values("size")
            across = part.rename(columns={"mean": "_", "mean_cost": "mean"})
            across = across.assign(low=part["low_cost"], high=part["high_cost"])
            axis.errorbar(
                part["mean_cost"],
                part["mean"],
                xerr=whiskers(across),
                yerr=whiskers(part),
                **style,
                ecolor=(*to_rgb(style["color"]), 0.4),
                elinewidth=0.7,
                label=options.label(name) + (f", layer {layer:g}" if several else ""),
            )
            for _, row in part[part["coefficient"].notna()].iterrows():
                axis.annotate(
                    f"{row['coefficient']:g}",
                    (row["mean_cost"], row["mean"]),
                    textcoords="offset points",
                    xytext=(4, 3),
                    fontsize=SMALL,
                    color=style["color"],
                )
        scales = sources.facts.scales
        axis.set(
            xlabel=better(options.label(cost), scales.get(cost, {})),
            ylabel=better(options.label(effect), scales.get(effect, {}), across=False),
            xscale=scale,
        )
        if scale == "log":
            plain_ticks(axis.xaxis)
        lost = effects[failed(effects) & (effects["model"] == model)]
        if len(lost):
            names = ", ".join(
                options.label(name) + ("" if pd.isna(coefficient) else f" {coefficient:g}")
                for name, coefficient in zip(lost["condition"], lost["coefficient"], strict=True)
            )
            text = wrapped(f"× failed: {names}", 2, SMALL)
            axis.text(0.02, 0.97, text, transform=axis.transAxes, va="top", fontsize=SMALL)
        if len(models) > 1:
            axis.set_title(options.label(model))
    legend(figure, axes)
    caption = (
        f"The figure shows {options.label(effect)} against {options.label(cost)}"
        f"{' (logarithmic)' if scale == 'log' else ''}; small numbers are coefficients. A method "
        "is better where its line lies higher at the same cost. "
        f"{data_sentence(options, sources, effects)}"
    )
    return figure, caption
