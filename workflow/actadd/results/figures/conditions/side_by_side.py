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
    from matplotlib.ticker import MaxNLocator

    from actadd.results.displays.labels import (
        data_sentence,
        differences,
        failed,
        metric_rows,
        row_labels,
        unsteered,
    )
    from actadd.results.drawing import LEVEL, SMALL, panels, say_failed, series, whiskers, wrapped

    # Every metric has the same rows in the same order.
    first, label = next(iter(metrics.items()))
    order = metric_rows(sources, table, first)
    texts = [
        "\n".join(wrapped(line, 1.5, SMALL) for line in text.split("\n"))
        for text in row_labels(order)
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
            axis.errorbar(
                rows["mean"][index],
                index,
                xerr=whiskers(rows.loc[[index]]),
                **{**series(index, len(rows)), "linestyle": "none"},
                markersize=4.5,
            )
        axis.set(xlabel=wrapped(text, 1.6))
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axes[0].set_yticks(range(len(texts)), texts)
    axes[0].set_ylim(len(texts) - 0.4, -0.6)
    compared = differences(parts[0], label)
    dashed = "Dashed: unsteered. " if order[unsteered(order)]["model"].is_unique else ""
    return figure, f"{dashed}{compared} {data_sentence(options, sources, pd.concat(parts))}"
