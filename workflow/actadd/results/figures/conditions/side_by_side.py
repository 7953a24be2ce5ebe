"""Conditions under each other, a panel for each metric."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Options, Sources

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def side_by_side(
    options: Options, sources: Sources, table: "pd.DataFrame", metrics: dict[str, str]
) -> "tuple[Figure, str]":
    """Each condition's mean with its interval. metrics: metric -> label of its panel."""
    import pandas as pd

    from actadd.results.displays.captions import data_sentence, differences
    from actadd.results.displays.labels import failed, metric_rows, row_labels, unsteered
    from actadd.results.drawing import (
        LEVEL,
        SMALL,
        better,
        least_span,
        look,
        open_bounds,
        panels,
        say_failed,
        whiskers,
        wrapped,
    )

    # Every metric has the same rows in the same order.
    first, label = next(iter(metrics.items()))
    order = metric_rows(sources, table, first)
    texts = [
        "\n".join(wrapped(line, 1.5, SMALL) for line in text.split("\n"))
        for text in row_labels(order, options.label)
    ]
    # An inch of ten lines of labels.
    height = 0.45 + 0.1 * len(texts) * max(1.5 + text.count("\n") for text in texts)
    figure, axes = panels(len(metrics), height, columns=4, sharey=True)
    parts = []
    for axis, (metric, text) in zip(axes, metrics.items(), strict=True):
        rows = metric_rows(sources, table, metric).reset_index(drop=True)
        parts.append(rows)
        baseline = rows[unsteered(rows)]
        # With several samplings or seeds, each row has a different baseline, so no line is drawn.
        for level in baseline["mean"].dropna() if baseline["model"].is_unique else []:
            axis.axvline(level, **LEVEL)
        for index, lost in enumerate(failed(rows)):
            if lost:
                say_failed(axis, index)
                continue
            style = look(sources.facts.looks, str(rows["condition"][index]), index)
            here = rows.loc[[index]]
            axis.errorbar(
                *(rows["mean"][index], index),
                **{**style, "xerr": whiskers(here), "linestyle": "none", "markersize": 4.5},
            )
            open_bounds(axis, here, [index], style, across=True)
        scale = sources.facts.scales.get(metric, {})
        axis.set(xlabel=better(wrapped(text, 1.6), scale))
        least_span(axis.xaxis, scale)
    axes[0].set_yticks(range(len(texts)), texts)
    axes[0].set_ylim(len(texts) - 0.4, -0.6)
    compared = differences(parts[0], label, options.label)
    several = not order[unsteered(order)]["model"].is_unique
    dashed = "" if several else " The dashed line is the unsteered mean."
    caption = f"Marks are the means of each condition.{dashed} {compared}"
    return figure, f"{caption} {data_sentence(options, sources, pd.concat(parts))}"
