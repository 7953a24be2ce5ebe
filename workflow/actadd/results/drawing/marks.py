"""What is drawn on an axis: lines with intervals, levels, marks of what failed, ticks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

from actadd.results.displays.labels import failed
from actadd.results.drawing.style import LEVEL, series
from actadd.results.drawing.texts import entry
from actadd.results.intervals import column_names


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


def mark_failed(axis: Axes, values: "Sequence[float] | pd.Series[float]", colour: Any) -> None:
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


def whiskers(part: pd.DataFrame, of: str = "mean") -> np.ndarray:
    """[2, rows]: how far the interval reaches below and above a value; 0 where it has no bound."""
    value, low, high = (part[name] for name in column_names(of))
    return np.array([(value - low).clip(lower=0).fillna(0), (high - value).clip(lower=0).fillna(0)])


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


Lines = list[tuple[str, pd.DataFrame]]


def split(lines: Lines, x: str) -> tuple[Lines, Lines]:
    """(lines over x, levels): rows that have an x, and those that have none, of each label."""
    swept = [(text, part[part[x].notna()]) for text, part in lines]
    unswept = [(text, part[part[x].isna()]) for text, part in lines]
    return [each for each in swept if len(each[1])], [each for each in unswept if len(each[1])]


def levels(axis: Axes, lines: list[tuple[str, pd.DataFrame]], first: int) -> None:
    """A horizontal line with its interval for each row that has no x of its own.

    first: the number of series drawn already, whose looks are taken.
    """
    index = first
    for text, part in lines:
        for _, row in part[~failed(part)].iterrows():
            style = series(index, index + 1)
            style = {"color": style["color"], "linestyle": style["linestyle"]}
            axis.axhline(row["mean"], **style, linewidth=0.9, label=entry(text))
            axis.axhspan(row["low"], row["high"], color=style["color"], alpha=0.1, linewidth=0)
            index += 1


def in_percent(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their means and intervals in percent."""
    return rows.assign(**{name: 100 * rows[name] for name in ("mean", "low", "high")})
