"""Perplexity of texts, steered over unsteered, against what was swept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, figure
from actadd.results.figures.sweeps.options import SweptOptions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class PerplexityRatio(SweptOptions):
    pass


@figure(PerplexityRatio, reads=("summary",), measures=("logprobs",))
def perplexity_ratio(options: PerplexityRatio, sources: Sources) -> "tuple[Figure, str]":
    """Perplexity, steered over unsteered, against x; a line for each group of texts.

    Against the coefficient there is one panel for each layer. A steered condition without one x,
    such as a composite, is a level of its own in each panel.
    """
    from actadd.results.displays.labels import data_sentence, metric_rows
    from actadd.results.drawing import (
        LEVEL,
        error_lines,
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
    panel_keys = [key for key, _ in rows.groupby(keys, sort=True)]
    figure, axes = panels(len(panel_keys), 1.9, sharey=True)
    several = rows["model"].nunique() > 1
    lines, unswept = split(_lines(steered, x), x)
    for axis, key in zip(axes, panel_keys, strict=True):
        axis.axhline(1, **LEVEL)
        here = (rows[keys] == list(key)).all(axis=1)
        error_lines(axis, [(text, part[here[part.index]]) for text, part in lines], x)
        of_model = [(text, part[part["model"] == key[0]]) for text, part in unswept]
        levels(axis, of_model, len(lines))
        titles = [f"layer {key[1]:g}"] if x == "coefficient" else []
        titles += [str(key[0])] if several else []
        axis.set(title=wrapped(", ".join(titles), 2), xlabel=options.axis(rows))
        if options.log:
            axis.set_yscale("log")
            powers(axis.yaxis)
    axes[0].set_ylabel("perplexity ratio\n(steered / unsteered)")
    legend(figure, axes)
    vectors = ", ".join(sorted(set(rows["vector"].dropna())))
    tokens = int(rows["n_tokens"].max())
    caption = (
        f"Perplexity ratio of given text under the vector {vectors}: below 1, the text became "
        f"more likely. Tokens predicted at directly modified positions are left out; up to "
        f"{tokens} tokens per group. {data_sentence(options, sources, steered)}"
    )
    return figure, caption


def _lines(rows: "pd.DataFrame", x: str) -> "list[tuple[str, pd.DataFrame]]":
    """A line for each group of texts and, beside the panel's own setting, what else varies."""
    from actadd.results.displays.labels import settings

    fixed = {"source_layer": 0, "model": "", "layer": 0} if x == "coefficient" else {"model": ""}
    groups = rows["group"].nunique()
    return [
        (", ".join(filter(None, [str(group) if groups > 1 else "", text])), rows.loc[part.index])
        for text, members in settings(rows.assign(**fixed), x)
        for group, part in members.groupby("group", sort=True)
    ]
