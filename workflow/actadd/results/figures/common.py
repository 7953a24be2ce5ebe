"""The one style of all figures: sizes of a paper's columns, and series that differ in grey too.

Texts are drawn as they are written, in any script: nothing in them is mathematics, and where the
usual font lacks a character another one has it, or it becomes an escape, see `literal`.
"""

import textwrap
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
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
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

from actadd.results.labels import escape, failed, visible

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

# Package -> the font in it, for what the usual font lacks. Without a package its characters are
# drawn as escapes.
WIDE_FONTS = {
    "noto_cjk_sans_jp_regular": "NotoSansCJKjp-Regular.otf",
    "fontpkg_noto_sans_devanagari": "files/NotoSansDevanagari[wdth,wght].ttf",
    "fontpkg_noto_sans_thai": "files/NotoSansThai[wdth,wght].ttf",
}

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
    # Prices and shell variables are no formulas.
    "text.parse_math": False,
}


def set_style() -> None:
    matplotlib.rcdefaults()
    matplotlib.use("agg")
    style = {**STYLE, "font.family": _families()}
    sns.set_theme(context="paper", style="whitegrid", palette=PALETTE, rc=style)


@cache
def _families() -> list[str]:
    """The usual font, then those of WIDE_FONTS that are there, which matplotlib then knows."""
    names = ["sans-serif", "DejaVu Sans"]
    for package, file in WIDE_FONTS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        fontManager.addfont(Path(spec.origin).parent / file)
        regular = fontManager.ttflist[-1]
        # There is no other weight, which matplotlib would mention for each bold text.
        fontManager.ttflist.append(replace(regular, weight=700))
        names.append(regular.name)
    return names


@cache
def _drawable() -> frozenset[int]:
    """Code points of what can be drawn, whether bold or not."""

    def held(weight: str) -> set[int]:
        fonts = [findfont(FontProperties(family=name, weight=weight)) for name in _families()]
        return set().union(*(get_font(font).get_charmap() for font in fonts))

    return frozenset(held("normal") & held("bold"))


# Characters of the figure being drawn that no font has.
_missing: set[str] = set()


def literal(text: str) -> str:
    """A text as it is drawn: what has no glyph or cannot be seen is an escape, such as \\u200b."""
    characters = visible(text)
    lacking = {char for char in characters if ord(char) not in _drawable()} - {"\n"}
    _missing.update(lacking)
    return "".join(escape(char) if char in lacking else char for char in characters)


@contextmanager
def literal_texts() -> Iterator[set[str]]:
    """In the block, matplotlib draws all texts literally; yields the characters that fonts lack."""
    set_text = Text.set_text

    def set_literally(self: Text, text: Any) -> None:
        set_text(self, literal("" if text is None else str(text).removeprefix(UNHIDDEN)))

    Text.set_text = set_literally
    _missing.clear()
    try:
        yield _missing
    finally:
        Text.set_text = set_text


# In front of a label that begins with an underscore, which matplotlib leaves out of legends.
UNHIDDEN = "\u200b\u200b"


def entry(text: str) -> str:
    """A text as the label of what a legend names."""
    return UNHIDDEN + text if text.startswith("_") else text


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
        axis.errorbar(values, part["mean"], yerr=bars, **style, elinewidth=0.7, label=entry(text))
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
    text = token.replace(" ", "␣")
    text = "".join(char if char.isprintable() else escape(char) for char in text)
    return shortened(literal(text), longest)


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


class Powers(LogFormatterSciNotation):
    """Ticks of a logarithmic axis as matplotlib names them, but in plain characters: 10⁻³."""

    SMALL = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = super().__call__(x, pos)
        body = text.removeprefix(r"$\mathdefault{").removesuffix("}$")
        number, _, power = body.replace(r"\times", "×").partition("^{")
        return number + power.removesuffix("}").translate(self.SMALL)


def powers(axis: Axis) -> None:
    """Ticks of a logarithmic axis at powers of ten, and between them where there are few."""
    axis.set_major_formatter(Powers())
    axis.set_minor_formatter(Powers())


def _columns(text: str) -> int:
    """How wide a text is in letters of the Latin script; ideographs count twice."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def wrapped(text: str, inches: float, size: float = NORMAL) -> str:
    """A short text in lines of about so many inches."""
    text, room = literal(text), max(8, int(inches * 72 / (0.56 * size)))
    far = any(_columns(word) > 1.5 * room for word in text.split())
    letters = max(1, room * len(text) // max(1, _columns(text)))
    lines = (textwrap.fill(line, letters, break_long_words=far) for line in text.split("\n"))
    return "\n".join(lines)


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
    options = {"loc": "lower center", "borderaxespad": 0, "ncols": columns}
    figure.legend(handles.values(), handles.keys(), **options).set_in_layout(False)


def legend_columns(labels: Collection[str], inches: float) -> int:
    """How many labels of a legend fit beside each other."""
    longest = max(_columns(line) for text in labels for line in text.split("\n"))
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
    """A text wrapped to the figure's width."""
    paragraph = figure.text(0, 0, text, ha="left", va="top", **style)
    paragraph.set_in_layout(False)
    room = figure.dpi * (figure.get_figwidth() - 2 * GAP)
    length = len(text)
    while paragraph.get_window_extent(figure.canvas.get_renderer()).width > room:
        length = min(length - 1, int(length * 0.98))
        paragraph.set_text(textwrap.fill(text, length, break_on_hyphens=False))
    return paragraph


def _height(figure: Figure, artist: Any) -> float:
    """Inches."""
    return artist.get_window_extent(figure.canvas.get_renderer()).height / figure.dpi
