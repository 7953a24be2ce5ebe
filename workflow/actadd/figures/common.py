"""The one style of all figures: sizes of a paper's columns, and series that differ in grey too."""

import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from actadd.wording import failed

# Inches: a column and a page of a two-column paper.
COLUMN, PAGE = 3.3, 6.8
# Points, as printed; no text is smaller.
SMALL, NORMAL, LARGE = 6.5, 7, 8
# Inches between the parts of a figure and at its edge.
GAP = 0.07

# Without the pink and the yellow, which can hardly be seen on white.
PALETTE = [sns.color_palette("colorblind")[index] for index in (0, 1, 2, 3, 4, 5, 7, 9)]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
LINES: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
# Of levels that are compared with.
LEVEL = {"color": "0.35", "linestyle": (0, (4, 2)), "linewidth": 0.8}

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
}


def set_style() -> None:
    matplotlib.rcdefaults()
    matplotlib.use("agg")
    sns.set_theme(context="paper", style="whitegrid", palette=PALETTE, rc=STYLE)


def panels(
    count: int, height: float, *, columns: int = 3, narrow: int = 1, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Axes in rows of at most `columns`; height of a row in inches.

    So many panels as `narrow` fit into a paper's column; more take a page's width.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(COLUMN if count <= narrow else PAGE, rows * height),
        sharey=sharey,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


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


def unsteered_band(axis: Axes, rows: pd.DataFrame) -> None:
    """The unsteered level, dashed, with its interval; one for each model."""
    unsteered = rows[(rows["method"] == "unsteered") & ~failed(rows)]
    several = unsteered["model"].nunique() > 1
    for index, (_, level) in enumerate(unsteered.drop_duplicates("model").iterrows()):
        text = f"unsteered, {level['model']}" if several else "unsteered"
        style = {**LEVEL, "linestyle": ((0, (4, 2)), ":", "-.")[index % 3]}
        axis.axhline(level["mean"], **style, label=text)
        axis.axhspan(level["low"], level["high"], color="0.5", alpha=0.15, linewidth=0)


def error_lines(
    axis: Axes,
    lines: list[tuple[str, pd.DataFrame]],
    x: str = "coefficient",
    ordered: bool = False,
) -> None:
    """A line over x with intervals for each (label, rows); an empty one keeps its place.

    Lines are set a little apart, so that their bars show.
    """
    places = np.unique(np.concatenate([part[x].to_numpy(np.float64) for _, part in lines]))
    width = np.ptp(places) or 1.0
    for index, (text, part) in enumerate(lines):
        if part.empty:
            continue
        part = part.sort_values(x)
        apart = (index - (len(lines) - 1) / 2) * min(0.012, 0.08 / len(lines)) * width
        values = part[x].astype(float) + apart
        style = series(index, len(lines), ordered)
        bars = whiskers(part)
        axis.errorbar(values, part["mean"], yerr=bars, **style, elinewidth=0.7, label=text)
        mark_failed(axis, values[failed(part)], style["color"])
    if len(places) <= 8:
        axis.set_xticks(places, [f"{value:g}" for value in places])


def mark_failed(axis: Axes, values: Sequence[float], colour: Any) -> None:
    """A cross at the bottom where a condition failed and has no value."""
    if len(values):
        axis.plot(
            values,
            np.full(len(values), 0.04),
            transform=axis.get_xaxis_transform(),
            marker="x",
            linestyle="none",
            markersize=5,
            markeredgewidth=1.2,
            color=colour,
            clip_on=False,
        )


def say_failed(axis: Axes, line: float) -> None:
    """In the place of a mark in a row of its own."""
    axis.text(
        0.5,
        line,
        "× failed",
        transform=axis.get_yaxis_transform(),
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def printed(token: str, longest: int) -> str:
    """A token as it can be drawn: spaces visible, what the font lacks as an escape."""
    # Of the font that is in use, since others draw a box and warn.
    known = get_font(findfont(FontProperties())).get_charmap()
    text = "".join(
        char
        if char.isprintable() and ord(char) in known
        else char.encode("unicode_escape").decode("ascii")
        for char in token.replace(" ", "␣")
    )
    return shortened(text, longest)


def shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def whiskers(part: pd.DataFrame) -> np.ndarray:
    """[2, rows]: how far the interval reaches below and above the mean; 0 where it has no bound."""
    low = (part["mean"] - part["low"]).clip(lower=0).fillna(0)
    high = (part["high"] - part["mean"]).clip(lower=0).fillna(0)
    return np.array([low, high])


def plain_ticks(axis: Axis) -> None:
    """Few ticks of a logarithmic axis, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def wrapped(text: str, inches: float, size: float = NORMAL) -> str:
    """A short text in lines of about so many inches."""
    return textwrap.fill(text, max(8, int(inches * 72 / (0.56 * size))), break_long_words=False)


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend for all panels, below them in as many columns as fit."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(text, handle)
    if not found:
        return
    columns = legend_columns(found, figure.get_figwidth())
    options = {"loc": "lower center", "borderaxespad": 0, "ncols": columns}
    figure.legend(found.values(), found.keys(), **options).set_in_layout(False)


def legend_columns(labels: Collection[str], inches: float) -> int:
    """How many labels of a legend fit beside each other."""
    longest = max(len(text) for text in labels)
    return max(1, min(int(72 * inches / (0.56 * SMALL * longest + 36)), len(labels)))


def compose(figure: Figure, title: str, caption: str) -> None:
    """Sets the title above the panels, the legend and the caption below, and makes room for them.

    The figure keeps its width; it was as high as its panels and becomes higher.
    """
    width, body = figure.get_size_inches()
    head = _paragraph(figure, title, size=LARGE, weight="bold", color="black")
    foot = _paragraph(figure, caption, size=SMALL, color="0.2")
    legends = figure.legends
    inner = [_height(figure, legends[0]) + GAP] if legends else [0.0]
    above, below = _height(figure, head) + GAP, _height(figure, foot) + 2 * GAP
    height = above + body + sum(inner) + below + GAP
    figure.set_size_inches(width, height)
    head.set_position((GAP / width, 1 - GAP / height))
    foot.set_position((GAP / width, (below - GAP) / height))
    if legends:
        legends[0].set_bbox_to_anchor((0.5, below / height))
    bottom = (below + sum(inner)) / height
    figure.get_layout_engine().set(rect=(0, bottom, 1, body / height), w_pad=GAP / 2, h_pad=0.03)
    _settle(figure)


def _settle(figure: Figure) -> None:
    """Lays the panels out once, for every format and to the last digit.

    The layout's solver adds in an order that differs from run to run, and so do its last bits.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        axis.set_position(np.round(axis.get_position(original=True).bounds, 6))


def _paragraph(figure: Figure, text: str, **style: Any) -> Text:
    """A text wrapped to the figure's width. Dollar signs in prompts are no formulas."""
    found = figure.text(0, 0, text, ha="left", va="top", parse_math=False, **style)
    found.set_in_layout(False)
    room = figure.dpi * (figure.get_figwidth() - 2 * GAP)
    length = len(text)
    while found.get_window_extent(figure.canvas.get_renderer()).width > room:
        length = min(length - 1, int(length * 0.98))
        found.set_text(textwrap.fill(text, length, break_on_hyphens=False))
    return found


def _height(figure: Figure, artist: Any) -> float:
    """Inches."""
    return artist.get_window_extent(figure.canvas.get_renderer()).height / figure.dpi
