"""The one style of all figures: sizes of a paper's columns, and series that differ in grey too."""

from typing import Any

import matplotlib

matplotlib.use("agg")

import seaborn as sns

from actadd.results.drawing.texts import NORMAL, SMALL, families

# Inches: a column and a page of a two-column paper.
COLUMN, PAGE = 3.3, 6.8

# Inches between the parts of a figure and at its edge.
GAP = 0.07

# Without the pink and the yellow, which can hardly be seen on white.
PALETTE = [sns.color_palette("colorblind")[index] for index in (0, 1, 2, 3, 4, 5, 7, 9)]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
LINES: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]

# Of levels that are compared with.
LEVEL: dict[str, Any] = {"color": "0.35", "linestyle": (0, (4, 2)), "linewidth": 0.8}
STYLE = {
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.labelsize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.handlelength": 3,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "errorbar.capsize": 1.5,
    "figure.dpi": 300,
    # Text of a PDF can be selected and edited; the ids of an SVG are the same each time.
    "pdf.fonttype": 42,
    "svg.hashsalt": "actadd",
    # Prices and shell variables are not formulas.
    "text.parse_math": False,
}


def set_style() -> None:
    matplotlib.rcdefaults()
    matplotlib.use("agg")
    style = {**STYLE, "font.family": families()}
    sns.set_theme(context="paper", style="whitegrid", palette=PALETTE, rc=style)


def series(index: int, count: int, ordered: bool = False) -> dict[str, Any]:
    """Colour, marker and line of one series of several; of forty, no two share marker and line.

    ordered: the series are steps of one quantity, and get darker or lighter with it.
    """
    # The lightest of viridis cannot be seen on white.
    colours = sns.color_palette("viridis", count + 1) if ordered else PALETTE
    return {
        "color": colours[index % len(colours)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }
