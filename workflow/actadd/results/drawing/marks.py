"""What is drawn on an axis: lines with intervals, levels, marks of what failed, ticks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation, Transform

from actadd.results.displays.captions import exact
from actadd.results.displays.labels import Label, failed
from actadd.results.drawing.style import LEVEL, look, series
from actadd.results.drawing.texts import entry
from actadd.results.intervals import column_names

Lines = list[tuple[str, pd.DataFrame]]
# Condition -> (role, number), see `Facts`.
Looks = Mapping[str, tuple[str, int]]
# The label of what is drawn at an exact bound, which no legend names.
BOUND = "_exact bound"


def unsteered_band(axis: Axes, rows: pd.DataFrame, label: Label = str) -> None:
    """The unsteered level, dashed, with its interval; one for each model."""
    unsteered = rows[(rows["method"] == "unsteered") & ~failed(rows)]
    several = unsteered["model"].nunique() > 1
    for index, (_, level) in enumerate(unsteered.drop_duplicates("model").iterrows()):
        text = f"unsteered, {label(level['model'])}" if several else "unsteered"
        style = {**LEVEL, "linestyle": ((0, (4, 2)), ":", "-.")[index % 3]}
        axis.axhline(level["mean"], **style, label=text)
        axis.axhspan(level["low"], level["high"], color="0.5", alpha=0.15, linewidth=0)


def error_lines(
    axis: Axes,
    lines: Lines,
    x: str = "coefficient",
    ordered: bool = False,
    looks: Looks | None = None,
) -> None:
    """A line over x with intervals for each (label, rows); an empty one keeps its place.

    Lines are set a little apart, so that their bars show; their data are not. looks: see `styles`.
    """
    places = np.unique(np.concatenate([part[x].to_numpy(np.float64) for _, part in lines]))
    for index, (text, part) in enumerate(lines):
        if part.empty:
            continue
        part = part.sort_values(x)
        values = part[x].astype(float)
        style = styles(lines, ordered, looks)[index]
        moved = apart(axis, index, len(lines))
        bars = {"yerr": whiskers(part), "elinewidth": 0.7, "label": entry(text)}
        series_apart(axis, values, part["mean"], moved, **{**style, **bars})
        open_bounds(axis, part, values, style, moved)
        mark_failed(axis, values[failed(part)], style["color"])
    if len(places) <= 8:
        axis.set_xticks(places, [f"{value:g}" for value in places])


def styles(lines: Lines, ordered: bool = False, looks: Looks | None = None) -> list[dict[str, Any]]:
    """Colour, marker and line of each (label, rows): its condition's, where these tell them apart.

    Of several lines of one condition, each has the colour of the condition and a mark of its own,
    unless all are of one. looks: of conditions, see `Facts`.
    """
    names = [
        str(part["condition"].iloc[0]) if "condition" in part and len(part) else ""
        for _, part in lines
    ]
    usual = [series(index, len(lines), ordered) for index in range(len(lines))]
    if len(set(names)) == 1 and len(names) > 1:
        return usual
    result = []
    for index, name in enumerate(names):
        style = look(looks or {}, name, index)
        if names.count(name) > 1:
            style |= {key: usual[index][key] for key in ("marker", "linestyle")}
        result.append(style)
    return result


def apart(
    axis: Axes, index: int, count: int, vertical: bool = False, points: float = 3.0
) -> Transform:
    """The place of data, moved by some points, so that the bars of several series show."""
    distance = (index - (count - 1) / 2) * min(points, 16 / count)
    right, up = (0.0, -distance / 72) if vertical else (distance / 72, 0.0)
    figure = axis.get_figure()
    assert figure is not None
    return axis.transData + ScaledTranslation(right, up, figure.dpi_scale_trans)


def series_apart(axis: Axes, x: Any, y: Any, moved: Transform, **style: Any) -> None:
    """A series with bars, moved as `apart` says; the axis has room for where its data are."""
    bars = axis.errorbar(x, y, **style, transform=moved)
    # Of what is moved, matplotlib does not see where it is.
    points = [np.column_stack([x, y])]
    # A bar without numbers has no points.
    segments = [np.asarray(bar) for each in bars.lines[2] for bar in each.get_segments()]
    points += [bar for bar in segments if len(bar)]
    extent = np.concatenate(points).astype(float)
    for column, sides in enumerate(({"updatey": False}, {"updatex": False})):
        axis.update_datalim(np.nan_to_num(extent[np.isfinite(extent[:, column])]), **sides)
    axis.autoscale_view()


def open_bounds(
    axis: Axes,
    rows: pd.DataFrame,
    at: "Sequence[float] | pd.Series[float]",
    style: Mapping[str, Any],
    transform: Transform | None = None,
    *,
    across: bool = False,
) -> None:
    """Open triangles at exact binomial bounds, joined to the means that all prompts agree on.

    at: the place of each row on the other axis. across: values lie on the horizontal axis.
    """
    for is_exact, place, mean, low, high in zip(
        exact(rows), at, rows["mean"], rows["low"], rows["high"], strict=True
    ):
        if not is_exact:
            continue
        above = mean == 0
        bound = high if above else low
        points = [(place, mean), (place, bound)]
        marker = ("<" if above else ">") if across else ("v" if above else "^")
        xs, ys = zip(*([pair[::-1] for pair in points] if across else points), strict=True)
        mark: dict[str, Any] = {"marker": marker, "markerfacecolor": "white", "markersize": 4}
        mark |= {"markevery": [1], "linestyle": ":", "linewidth": 0.9, "color": style["color"]}
        axis.plot(xs, ys, **mark, transform=transform or axis.transData, label=BOUND)
        axis.update_datalim(np.column_stack([xs, ys]))


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
    """[2, rows]: how far the interval reaches below and above a value; 0 where it has no bound.

    Exact binomial bounds of a mean are no bars, see `open_bounds`.
    """
    value, low, high = (part[name] for name in column_names(of))
    if of == "mean":
        low, high = low.mask(exact(part)), high.mask(exact(part))
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


def split(lines: Lines, x: str) -> tuple[Lines, Lines]:
    """(lines over x, levels): rows that have an x, and those that have none, of each label."""
    swept = [(text, part[part[x].notna()]) for text, part in lines]
    unswept = [(text, part[part[x].isna()]) for text, part in lines]
    return [each for each in swept if len(each[1])], [each for each in unswept if len(each[1])]


def levels(axis: Axes, lines: Lines, first: int, looks: Looks | None = None) -> None:
    """A horizontal line with its interval for each row that has no x of its own.

    first: the number of series drawn already. looks: of conditions, see `Facts`.
    """
    index = first
    for text, part in lines:
        for _, row in part[~failed(part)].iterrows():
            style = look(looks or {}, str(row["condition"]), index)
            style = {"color": style["color"], "linestyle": style["linestyle"]}
            axis.axhline(row["mean"], **style, linewidth=0.9, label=entry(text))
            axis.axhspan(row["low"], row["high"], color=style["color"], alpha=0.1, linewidth=0)
            index += 1


def least_span(side: Axis, scale: Mapping[str, Any]) -> None:
    """Widens an axis to the least span of its metric, see `metrics.Scale`; a share stays in 0 to 1.

    side: an axis of a linear scale, with all its marks.
    """
    low, high = sorted(side.get_view_interval())
    if (lacking := scale.get("span", 0.0) - (high - low)) <= 0:
        return
    below = lacking / 2
    if scale.get("share") and low - below < 0 <= high:
        below = max(0.0, low)
    side.set_view_interval(low - below, high + lacking - below, ignore=True)


def better(label: str, scale: Mapping[str, Any], *, across: bool = True, line: str = "\n") -> str:
    """A label of an axis, with an arrow to the better side where less is better."""
    arrow = "←" if across else "↓"
    return f"{label}{line}({arrow} lower is better)" if scale.get("lower") else label


def in_percent(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their means and intervals in percent."""
    return rows.assign(**{name: 100 * rows[name] for name in ("mean", "low", "high")})
