"""Figures of a measure against something that was swept."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from actadd.base.errors import UserError
from actadd.results.figures.common import (
    LEVEL,
    LINES,
    MARKERS,
    SMALL,
    error_lines,
    legend,
    mark_failed,
    panels,
    plain_ticks,
    powers,
    series,
    unsteered_band,
    whiskers,
    wrapped,
)
from actadd.results.labels import failed, label, metric_rows, names, read, settings

AXES = {
    "coefficient": "coefficient",
    "layer": "layer (block input)",
    "dimensions": "share of dimensions added",
}


def sweep(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Metrics against x, one line for each other setting or group, the unsteered level dashed."""
    table, metrics, x = read(sources), spec["metrics"], spec.get("x", "coefficient")
    figure, axes = panels(len(metrics), 2.1)
    shown = []
    for axis, metric in zip(axes, metrics, strict=True):
        rows = metric_rows(spec, table, metric)
        grouped = table[(table["metric"] == metric) & (table["group"] != "all")]
        if spec.get("by_group") and len(grouped):
            rows = grouped
        else:
            unsteered_band(axis, rows)
        swept = rows[(rows["method"] != "unsteered") & rows[x].notna()]
        if spec.get("condition"):
            swept = swept[swept["condition"] == spec["condition"]]
        if swept.empty:
            raise UserError(f"figures.{spec['name']}: no condition has one addition to sweep")
        shown.append(rows)
        lines = _lines(swept, x, spec.get("by_group", False))
        error_lines(axis, lines, x, ordered=x == "coefficient")
        axis.set(xlabel=AXES[x], ylabel=wrapped(label(spec, metric), 2))
        if spec.get("log"):
            axis.set_yscale("log")
            powers(axis.yaxis)
    legend(figure, axes)
    vectors = ", ".join(sorted(set(swept["vector"].dropna())))
    caption = (
        f"Against the {AXES[x]}, for the vector {vectors}; grey: unsteered. "
        f"{names(spec, pd.concat(shown))}"
    )
    return figure, caption


def _lines(rows: pd.DataFrame, x: str, by_group: bool) -> list[tuple[str, pd.DataFrame]]:
    shown = ("layer",) if x == "coefficient" else ()
    if not by_group:
        return settings(rows, x, shown)
    return [
        (", ".join(filter(None, [str(group), text])), part)
        for group, members in rows.groupby("group", sort=True)
        for text, part in settings(members, x)
    ]


def perplexity_ratio(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Perplexity, steered over unsteered, against x; a line for each group of texts.

    Against the coefficient there is one panel for each layer.
    """
    rows, x = metric_rows(spec, read(sources), "perplexity_ratio"), spec.get("x", "coefficient")
    rows = rows[rows[x].notna()]
    if spec.get("condition"):
        rows = rows[rows["condition"] == spec["condition"]]
    if rows.empty:
        raise UserError(f"figures.{spec['name']}: no condition has one addition to sweep")
    split = ["model", "layer"] if x == "coefficient" else ["model"]
    places = [key for key, _ in rows.groupby(split, sort=True)]
    figure, axes = panels(len(places), 1.9, sharey=True)
    several = rows["model"].nunique() > 1
    groups = rows["group"].nunique()
    # A line is a group of texts and, beside the panel's own setting, what else varies.
    fixed = {"source_layer": 0, "model": "", "layer": 0} if x == "coefficient" else {"model": ""}
    lines = [
        (", ".join(filter(None, [str(group) if groups > 1 else "", kind])), part.index)
        for kind, members in settings(rows.assign(**fixed), x)
        for group, part in members.groupby("group", sort=True)
    ]
    for axis, place in zip(axes, places, strict=True):
        axis.axhline(1, **LEVEL)
        here = (rows[split] == list(place)).all(axis=1)
        own = [(text, rows[here & rows.index.isin(members)]) for text, members in lines]
        error_lines(axis, own, x)
        titles = [f"layer {place[1]:g}"] if x == "coefficient" else []
        titles += [place[0]] if several else []
        axis.set(title=wrapped(", ".join(titles), 2), xlabel=AXES[x])
        if spec.get("log"):
            axis.set_yscale("log")
            powers(axis.yaxis)
    axes[0].set_ylabel("perplexity ratio\n(steered / unsteered)")
    legend(figure, axes)
    vectors = ", ".join(sorted(set(rows["vector"].dropna())))
    tokens = int(rows["n_tokens"].max())
    caption = (
        f"Perplexity ratio of given text under the vector {vectors}: below 1, the text became "
        f"more likely. Tokens predicted at directly modified positions are left out; up to "
        f"{tokens} tokens per group. {names(spec, rows)}"
    )
    return figure, caption


def frequency(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Perplexity ratio against how often the topic's words stand in a document (paper, Fig. 2)."""
    rows = metric_rows(spec, read(sources), "perplexity_ratio")
    rows = rows[(rows["method"] != "unsteered") & (rows["group"] != "all")]
    enough = rows["n_prompts"] >= spec.get("at_least", 1)
    rows = rows[enough | (failed(rows) & rows["group"].isin(rows["group"][enough]))]
    shares = pd.to_numeric(rows["group"], errors="coerce")
    if shares.isna().any() or rows.empty:
        raise UserError(
            f"figures.{spec['name']}: the texts' groups are no shares of words; take an experiment "
            "on a dataset with `frequency`, and a smaller at_least if there is one"
        )
    rows = rows.assign(percent=shares)
    figure, [axis] = panels(1, 2.2)
    axis.axhline(100, **LEVEL)
    lines = settings(rows, "percent")
    error_lines(axis, [(text, _in_percent(part)) for text, part in lines], "percent")
    axis.set(xlabel="topic words among the document's words (%)", ylabel="perplexity ratio (%)")
    if len(lines) > 1:
        legend(figure, [axis])
    sizes = ", ".join(
        f"{row.percent:g} %: {row.n_prompts}" for row in rows[~failed(rows)].itertuples()
    )
    vectors = ", ".join(sorted(set(rows["vector"].dropna())))
    caption = (
        f"Perplexity under the vector {vectors} over perplexity without, token-weighted in bins of "
        f"the documents' share of topic words; below 100 %, steering made the text more likely. "
        f"Documents per bin: {sizes}. {names(spec, rows)} Documents are "
        "resampled whole."
    )
    return figure, caption


def _in_percent(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{name: 100 * rows[name] for name in ("mean", "low", "high")})


def precision(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Precision at K of each condition (paper, ConceptNet)."""
    table = read(sources)
    rows = table[table["metric"].str.startswith("precision_at_") & (table["group"] == "all")]
    if rows.empty:
        raise UserError(
            f"figures.{spec['name']}: the texts of {spec['experiment']} have no targets; name "
            "their column in columns.target of the dataset"
        )
    rows = rows.assign(k=rows["metric"].str.rpartition("_")[2].astype(int))
    figure, [axis] = panels(1, 2.3)
    lines = settings(rows, "k", shown=("condition",))
    for index, (text, part) in enumerate(lines):
        part = part.sort_values("k")
        # A little apart, so that bars do not hide each other.
        values = part["k"] * 1.02 ** (index - (len(lines) - 1) / 2)
        style, bars = series(index, len(lines)), whiskers(part)
        axis.errorbar(values, part["mean"], yerr=bars, **style, elinewidth=0.7, label=text)
        mark_failed(axis, values[failed(part)], style["color"])
    axis.set_xscale("log")
    ticks = [k for k in (1, 2, 3, 5, 10, 20, 50, 100, 1000) if k <= rows["k"].max()]
    axis.set_xticks(ticks, [str(k) for k in ticks])
    axis.set_xticks([], minor=True)
    axis.set(xlabel="K", ylabel="precision at K")
    legend(figure, [axis])
    ranks = table[(table["metric"] == "rank") & (table["group"] == "all")]
    tests = "; ".join(
        f"{row.condition} ({row.model}) p = {row.p_value:.2g}"
        for row in ranks.itertuples()
        if row.method != "unsteered" and pd.notna(row.p_value)
    )
    caption = (
        "Share of items whose right next token is among the K likeliest. Wilcoxon signed-rank test "
        f"on the paired ranks against unsteered: {tests}. {names(spec, rows)}"
    )
    return figure, caption


def dose_response(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Effect against what it costs, so that methods are compared at equal cost.

    metrics: the effect, then the cost. Each method is a line from its weakest setting to its
    strongest; the unsteered point is a star.
    """
    table = read(sources)
    effect, cost = spec["metrics"]
    keys = ["model", "condition", "method", "layer", "coefficient", "additions"]
    columns = [*keys, "mean", "low", "high"]
    effects, costs = (metric_rows(spec, table, metric) for metric in (effect, cost))
    both = effects[~failed(effects)][columns].merge(
        costs[~failed(costs)][columns], on=keys, suffixes=("", "_cost")
    )
    models = sorted(both["model"].unique())
    # What has no layer, as prompting, is one line.
    both["layer"] = both["layer"].fillna(-1)
    steered = both[both["method"] != "unsteered"]
    methods = sorted(set(steered["condition"]))
    lines = sorted(set(zip(steered["condition"], steered["layer"], strict=True)))
    # Several lines cross, and every point has a number: they need a page's width.
    figure, axes = panels(len(models), 2.8, columns=2, narrow=int(len(lines) <= 3))
    for axis, model in zip(axes, models, strict=True):
        here = both[both["model"] == model]
        for row in here[here["method"] == "unsteered"].itertuples():
            axis.plot(row.mean_cost, row.mean, "*", color="0.2", markersize=8, label="unsteered")
            axis.axhline(row.mean, **LEVEL)
        for line, part in steered[steered["model"] == model].groupby(["condition", "layer"]):
            name, layer = line
            own = [each for each in lines if each[0] == name]
            several = len(own) > 1
            # A colour for each method, a mark for each line.
            style = series(methods.index(name), len(methods))
            style["marker"] = MARKERS[lines.index(line) % len(MARKERS)]
            if several:
                style["linestyle"] = LINES[own.index(line) % len(LINES)]
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
                label=f"{name}, layer {layer:g}" if several else name,
            )
            for row in part[part["coefficient"].notna()].itertuples():
                axis.annotate(
                    f"{row.coefficient:g}",
                    (row.mean_cost, row.mean),
                    textcoords="offset points",
                    xytext=(4, 3),
                    fontsize=SMALL,
                    color=style["color"],
                )
        axis.set(xlabel=label(spec, cost), ylabel=label(spec, effect), xscale="log")
        plain_ticks(axis.xaxis)
        lost = effects[failed(effects) & (effects["model"] == model)]
        if len(lost):
            told = ", ".join(f"{row.condition} {row.coefficient:g}" for row in lost.itertuples())
            text = wrapped(f"× failed: {told}", 2, SMALL)
            axis.text(0.02, 0.97, text, transform=axis.transAxes, va="top", fontsize=SMALL)
        if len(models) > 1:
            axis.set_title(model)
    legend(figure, axes)
    caption = (
        "Up is more effect, right is more cost (logarithmic); small numbers are coefficients. A "
        "method is better where its line lies higher at the same cost. "
        f"{names(spec, effects)}"
    )
    return figure, caption


def topics(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """How much more often completions are about a topic when steered to it (paper, Fig. 4, v5).

    metrics: the judge's. A condition is named like the topic that its vector is for.
    """
    table = read(sources)
    figure, [axis] = panels(1, 2.3)
    axis.axhline(0, **LEVEL)
    parts = []
    for metric in spec["metrics"]:
        topic = metric.partition(".")[2]
        rows = metric_rows(spec, table, metric)
        own = rows[(rows["condition"] == topic) & rows["coefficient"].notna()]
        change = {"mean": "difference", "low": "difference_low", "high": "difference_high"}
        parts.append(own.assign(topic=topic, **{to: own[name] for to, name in change.items()}))
    shown = pd.concat(parts)
    lines = [
        (topic if shown["model"].nunique() == 1 else f"{topic}, {model}", part)
        for (topic, model), part in shown.groupby(["topic", "model"], sort=True)
    ]
    error_lines(axis, [(text, _in_percent(part)) for text, part in lines])
    axis.set(xlabel="coefficient", ylabel="change in share (points)")
    legend(figure, [axis])
    layers = ", ".join(f"{layer:g}" for layer in np.unique(shown["layer"].dropna()))
    caption = (
        "Completions that the judge puts to the topic, steered minus unsteered, in percentage "
        f"points, at layer {layers}; a topic's vector is its word against a neutral one. "
        f"{names(spec, shown)}"
    )
    return figure, caption
