"""Perplexity of texts, steered over unsteered, against what was swept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.results.displays.kinds import Sources, figure
from actadd.results.displays.metrics import scale
from actadd.results.figures.sweeps.options import SweptOptions, from_zero

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SCALE = scale("perplexity_ratio")


@dataclass(frozen=True, kw_only=True)
class PerplexityRatio(SweptOptions):
    pass


@figure(PerplexityRatio, reads=("summary",), measures=("logprobs",))
def perplexity_ratio(options: PerplexityRatio, sources: Sources) -> "tuple[Figure, str]":
    """Perplexity, steered over unsteered, against x; a line for each group of texts.

    Against the coefficient there is one panel for each layer. A steered condition without one x,
    such as a composite, is a level of its own in each panel.
    """
    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.labels import in_order, metric_rows
    from actadd.results.drawing import (
        LEVEL,
        better,
        error_lines,
        least_span,
        legend,
        levels,
        panels,
        powers,
        split,
        wrapped,
    )

    x = options.x
    table = metric_rows(sources, sources.read("summary"), "perplexity_ratio")
    steered = options.steered(table, sources)
    rows = steered[steered[x].notna()]
    keys = ["model", "layer"] if x == "coefficient" else ["model"]
    order = in_order(rows["model"])
    panel_keys: list[tuple[Any, ...]] = sorted(
        (key for key, _ in rows.groupby(keys)), key=lambda key: (order.index(key[0]), key)
    )
    figure, axes = panels(len(panel_keys), 1.9, sharey=True)
    several = rows["model"].nunique() > 1
    lines, unswept = split(_lines(steered, options), x)
    for axis, key in zip(axes, panel_keys, strict=True):
        axis.axhline(1, **LEVEL)
        here = (rows[keys] == list(key)).all(axis=1)
        parts = [(text, part[here[part.index]]) for text, part in lines]
        if x == "coefficient":
            parts = [(text, from_zero(part, table, 1.0)) for text, part in parts]
        error_lines(axis, parts, x)
        of_model = [(text, part[part["model"] == key[0]]) for text, part in unswept]
        levels(axis, of_model, len(lines))
        titles = [f"layer {key[1]:g}"] if x == "coefficient" else []
        titles += [options.label(key[0])] if several else []
        axis.set(title=wrapped(", ".join(titles), 2), xlabel=options.axis(rows))
        if options.log:
            axis.set_yscale("log")
            powers(axis.yaxis)
        else:
            least_span(axis.yaxis, SCALE)
    label = "perplexity ratio\n(steered / unsteered)"
    axes[0].set_ylabel(better(label, SCALE, across=False))
    legend(figure, axes)
    vectors = options.listed(in_order(rows["vector"]))
    tokens = int(rows["n_tokens"].max())
    caption = (
        f"The figure shows the perplexity of given text under the vector {vectors} over its "
        "unsteered perplexity, a line for each group of texts: below 1 (dashed), the text became "
        "more likely. At coefficient 0 the ratio is 1. Tokens predicted at directly modified "
        f"positions are left out, which leaves up to {tokens} tokens per group. "
        f"{data_sentence(options, sources, steered)}"
    )
    return figure, caption


def _lines(rows: "pd.DataFrame", options: PerplexityRatio) -> "list[tuple[str, pd.DataFrame]]":
    """A line for each group of texts and, beside the panel's own setting, what else varies."""
    from actadd.results.displays.labels import in_order, settings

    x, label = options.x, options.label
    fixed = {"source_layer": 0, "model": "", "layer": 0} if x == "coefficient" else {"model": ""}
    groups = in_order(rows["group"])
    return [
        (
            ", ".join(filter(None, [options.group(group) if len(groups) > 1 else "", text])),
            rows.loc[index],
        )
        for text, members in settings(rows.assign(**fixed), x, label=label)
        for group in groups
        if len(index := members.index[members["group"] == group])
    ]
