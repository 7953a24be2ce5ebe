"""Figures that set conditions side by side."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from actadd.results.figures.common import LEVEL, SMALL, panels, say_failed, series, whiskers, wrapped
from actadd.results.labels import differences, failed, label, metric_rows, names, read, row_labels


def conditions(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Each condition's mean with its interval, one panel for each metric."""
    return _side_by_side(spec, read(sources))


def accuracy(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Next-token accuracy at two ranks for each condition: what steering costs off target."""
    labels = {"precision_at_1": "top-1 accuracy", "precision_at_10": "top-10 accuracy"}
    figure, caption = _side_by_side(
        {**spec, "metrics": list(labels), "labels": labels}, read(sources)
    )
    caption = (
        "Share of cloze items whose right answer is the likeliest next token, or among the ten "
        f"likeliest. {caption}"
    )
    return figure, caption


def _side_by_side(spec: dict, table: pd.DataFrame) -> tuple[Figure, str]:
    metrics = spec["metrics"]
    # Every metric has the same rows in the same order.
    order = metric_rows(spec, table, metrics[0])
    texts = [
        "\n".join(wrapped(line, 1.5, SMALL) for line in text.split("\n"))
        for text in row_labels(order)
    ]
    # An inch of ten lines of labels.
    height = 0.45 + 0.1 * len(texts) * max(1.5 + text.count("\n") for text in texts)
    figure, axes = panels(len(metrics), height, columns=4, sharey=True)
    shown = []
    for axis, metric in zip(axes, metrics, strict=True):
        rows = metric_rows(spec, table, metric).reset_index(drop=True)
        shown.append(rows)
        unsteered = rows[rows["method"] == "unsteered"]
        # With several samplings or seeds each row has its own, which no one line could show.
        for level in unsteered["mean"].dropna() if unsteered["model"].is_unique else []:
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
        axis.set(xlabel=wrapped(label(spec, metric), 1.6))
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axes[0].set_yticks(range(len(texts)), texts)
    axes[0].set_ylim(len(texts) - 0.4, -0.6)
    compared = differences(shown[0], label(spec, metrics[0]))
    dashed = order[order["method"] == "unsteered"]["model"].is_unique
    told = "Dashed: unsteered. " if dashed else ""
    return figure, f"{told}{compared} {names(spec, pd.concat(shown))}"
