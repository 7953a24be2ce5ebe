"""Figures that set conditions side by side."""

from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from actadd.figures.common import MARKERS, PALETTE, panels, whiskers
from actadd.wording import differences, label, metric_rows, names, read, row_labels


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
    texts = row_labels(order)
    figure, axes = panels(
        len(metrics), (1.5 + 2.1 * len(metrics), 0.75 + 0.42 * len(order)), sharey=True
    )
    colours = sns.color_palette(PALETTE, len(order))
    shown = []
    for axis, metric in zip(axes[0], metrics, strict=True):
        rows = metric_rows(spec, table, metric).reset_index(drop=True)
        shown.append(rows)
        unsteered = rows[rows["method"] == "unsteered"]
        # With several samplings or seeds each row has its own, which no one line could show.
        for level in unsteered["mean"] if unsteered["model"].is_unique else []:
            axis.axvline(level, color="0.35", linestyle="--", linewidth=1)
        for index, row in rows.iterrows():
            axis.errorbar(
                row["mean"],
                index,
                xerr=whiskers(rows.loc[[index]]),
                fmt=MARKERS[index % len(MARKERS)],
                color=colours[index],
                markersize=5,
                capsize=2,
            )
        axis.set(xlabel=label(spec, metric))
        axis.margins(y=0.12)
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axes[0][0].set_yticks(range(len(texts)), texts)
    axes[0][0].invert_yaxis()
    compared = differences(shown[0], label(spec, metrics[0]))
    dashed = order[order["method"] == "unsteered"]["model"].is_unique
    told = "Dashed: unsteered. " if dashed else ""
    return figure, f"{told}{compared} {names(spec, pd.concat(shown))}"
