"""What figures share: panels, and lines with intervals."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = "colorblind"
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]


def panels(
    count: int, size: tuple[float, float], sharey: bool = False
) -> tuple[Figure, np.ndarray]:
    """A row of axes, as a [1, count] array; size in inches."""
    return plt.subplots(1, count, figsize=size, sharey=sharey, squeeze=False, layout="constrained")


def unsteered_band(axis: Axes, rows: pd.DataFrame) -> None:
    """The unsteered level, dashed, with its interval; one for each model."""
    unsteered = rows[rows["method"] == "unsteered"]
    several = unsteered["model"].nunique() > 1
    for index, (_, level) in enumerate(unsteered.drop_duplicates("model").iterrows()):
        text = f"unsteered, {level['model']}" if several else "unsteered"
        style = ("--", ":", "-.")[index % 3]
        axis.axhline(level["mean"], color="0.35", linestyle=style, linewidth=1, label=text)
        axis.axhspan(level["low"], level["high"], color="0.5", alpha=0.15, linewidth=0)


def error_line(
    axis: Axes,
    part: pd.DataFrame,
    place: tuple[int, int],
    colour,
    text: str,
    x: str = "coefficient",
) -> None:
    """One line over x with its intervals; lines are set a little apart, so that their bars show."""
    index, count = place
    part = part.sort_values(x)
    values = part[x].astype(float)
    width = np.ptp(values) or 1.0
    axis.errorbar(
        values + (index - (count - 1) / 2) * min(0.012, 0.08 / count) * width,
        part["mean"],
        yerr=whiskers(part),
        color=colour,
        marker=MARKERS[index % len(MARKERS)],
        markersize=4,
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
        label=text,
    )
    if len(values) <= 8:
        axis.set_xticks(values, [f"{value:g}" for value in values])


def whiskers(part: pd.DataFrame) -> np.ndarray:
    """[2, rows]: how far the interval reaches below and above the mean; 0 where it has no bound."""
    low = (part["mean"] - part["low"]).clip(lower=0).fillna(0)
    high = (part["high"] - part["mean"]).clip(lower=0).fillna(0)
    return np.array([low, high])


def legend(figure: Figure, axes: np.ndarray) -> None:
    """One legend for all panels, beside them."""
    found: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(text, handle)
    if found:
        figure.legend(found.values(), found.keys(), fontsize=7, loc="outside right center")
