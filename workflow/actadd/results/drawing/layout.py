"""Panels, the legend below them, and room for title and caption."""

import textwrap
from collections.abc import Collection, Iterable
from itertools import zip_longest
from string import ascii_lowercase
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import AutoLocator, MaxNLocator

from actadd.results.drawing.style import COLUMN, GAP, PAGE, width_of
from actadd.results.drawing.texts import LARGE, SMALL, UNHIDDEN, entry, text_width, wrapped

# Inches that a panel needs beside others.
LEAST = 2.2
# Inches of a tick's label.
TICK = 0.42


def panels(
    count: int, height: float, *, columns: int = 3, narrow: int = 1, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Axes in rows of at most `columns`; height of a row in inches.

    So many panels as `narrow` fit into a paper's column; more take a page's width. Where another
    width is asked for, see `set_style`, so many are in a row as fit.
    """
    usual = COLUMN if count <= narrow else PAGE
    width = width_of(usual)
    columns = min(columns, count)
    if width != usual:
        columns = max(1, min(columns, round(width / LEAST)))
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, rows * height),
        sharey=sharey,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend for all panels, below them in as many columns as fit."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(text, handle)
    if not handles:
        return
    # A line of a legend is as long as the figure is wide, at most.
    room = figure.get_figwidth() - 0.6
    handles = {
        entry(wrapped(text.removeprefix(UNHIDDEN), room, SMALL)): handle
        for text, handle in handles.items()
    }
    columns = legend_columns(handles, figure.get_figwidth())
    options: dict[str, Any] = {"borderaxespad": 0, "ncols": columns}
    below = figure.legend(handles.values(), handles.keys(), loc="lower center", **options)
    below.set_in_layout(False)


def legend_columns(labels: Collection[str], inches: float) -> int:
    """How many labels of a legend fit beside each other."""
    longest = max(text_width(line) for text in labels for line in text.split("\n"))
    return max(1, min(int(72 * inches / (0.56 * SMALL * longest + 36)), len(labels)))


def finish(figure: Figure) -> None:
    """A letter for each of several panels, and four ticks or more on each axis that has room."""
    axes = panels_of(figure)
    letters: Iterable[str] = ascii_lowercase if len(axes) > 1 else ""
    for letter, axis in zip_longest(letters, axes):
        if axis is None:
            break
        box = axis.get_position()
        width, height = figure.get_size_inches() * (box.width, box.height)
        if letter:
            # Left of the panel, so that no title is in its way.
            style: dict[str, Any] = {"fontweight": "bold", "fontsize": LARGE, "ha": "right"}
            axis.set_title(letter, loc="left", x=-GAP / width, **style)
        for side, room in ((axis.xaxis, width / TICK), (axis.yaxis, 2 * height / TICK)):
            if type(side.get_major_locator()) in (AutoLocator, MaxNLocator):
                least = 4 if room > 4 else 3
                steps = [1, 2, 2.5, 5, 10]
                bins = int(min(6, max(least, room)))
                side.set_major_locator(MaxNLocator(bins, min_n_ticks=least, steps=steps))


def panels_of(figure: Figure) -> list[Axes]:
    """The axes that show something of their own: no colour bars, no hidden ones."""
    return [
        axis for axis in figure.axes if axis.get_label() != "<colorbar>" and axis.axison is True
    ]


def compose(figure: Figure, body: float, title: str = "", caption: str = "") -> None:
    """Sets the title above the panels, the legend and the caption below, and makes room for them.

    body: height of the panels, inches. The figure keeps its width. A figure that has neither title
    nor caption can be composed again with both.
    """
    width = figure.get_figwidth()
    head = _paragraph(figure, title, size=LARGE, weight="bold", color="black") if title else None
    foot = _paragraph(figure, caption, size=SMALL, color="0.2") if caption else None
    legends = figure.legends
    inner = _height(figure, legends[0]) + GAP if legends else 0.0
    above = _height(figure, head) + GAP if head else 0.0
    below = (_height(figure, foot) + GAP if foot else 0.0) + GAP
    height = above + body + inner + below + GAP
    figure.set_size_inches(width, height)
    if head:
        head.set_position((GAP / width, 1 - GAP / height))
    if foot:
        foot.set_position((GAP / width, (below - GAP) / height))
    if legends:
        legends[0].set_bbox_to_anchor((0.5, below / height))
    rect = (0, (below + inner) / height, 1, body / height)
    figure.set_layout_engine("constrained", rect=rect, w_pad=GAP / 2, h_pad=0.03)
    for axis in figure.axes:
        axis.set_in_layout(True)
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
    """A text wrapped to the figure's width."""
    paragraph = figure.text(0, 0, text, ha="left", va="top", **style)
    paragraph.set_in_layout(False)
    room = figure.dpi * (figure.get_figwidth() - 2 * GAP)
    length = len(text)
    while paragraph.get_window_extent().width > room:
        length = min(length - 1, int(length * 0.98))
        paragraph.set_text(textwrap.fill(text, length, break_on_hyphens=False))
    return paragraph


def _height(figure: Figure, artist: Artist) -> float:
    """Inches."""
    return artist.get_window_extent().height / figure.dpi
