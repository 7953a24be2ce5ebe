"""Panels, the legend below them, and room for title and caption."""

import textwrap
from collections.abc import Collection, Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from actadd.results.drawing.style import COLUMN, GAP, PAGE
from actadd.results.drawing.texts import LARGE, SMALL, UNHIDDEN, entry, text_width, wrapped


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
