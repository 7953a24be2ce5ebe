"""What a figure shows, as a table: one row for each mark, read off the figure itself."""

from collections.abc import Iterator
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from actadd.results.drawing.layout import panels_of
from actadd.results.drawing.marks import BOUND
from actadd.results.drawing.texts import UNHIDDEN

COLUMNS = [
    *("panel", "title", "horizontal", "vertical", "series", "mark", "x", "x_low", "x_high"),
    *("x_name", "y", "y_low", "y_high", "y_name", "value", "text"),
]
# A label of shading that is no interval.
SHADE = "_shade"

Mark = dict[str, Any]


def mark_table(figure: Figure) -> pd.DataFrame:
    """A row for each mark of each panel, columns `COLUMNS`; numbers are those of the axes.

    mark: point, line (a corner of one), level, bound, band, bar, cell, failed or text. x_name and
    y_name: the text at a place of an axis without numbers, such as a row's condition.
    """
    rows = []
    for number, axis in enumerate(panels_of(figure)):
        about = {
            "panel": ascii_lowercase[number] if number < len(ascii_lowercase) else str(number + 1),
            "title": _flat(axis.get_title()),
            "horizontal": _label(axis, "x"),
            "vertical": _label(axis, "y"),
        }
        names = {"x": _names(axis.xaxis), "y": _names(axis.yaxis)}
        for mark in _marks(axis):
            named = {f"{each}_name": _name(names[each], mark.get(each)) for each in names}
            rows.append({**about, **named, **mark})
    return pd.DataFrame(rows, columns=COLUMNS)


def _marks(axis: Axes) -> Iterator[Mark]:
    drawn: set[Any] = set()
    for container in axis.containers:
        if isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            drawn |= {line, *caps, *bars}
            yield from _points(container)
        elif isinstance(container, BarContainer):
            drawn |= set(container.patches)
            for bar in container.patches:
                yield {"mark": "bar", "x": bar.get_width(), "y": bar.get_y() + bar.get_height() / 2}
    for line in axis.lines:
        if line not in drawn:
            yield from _line(axis, line)
    for collection in axis.collections:
        if isinstance(collection, PathCollection):
            offsets = np.asarray(collection.get_offsets(), float)
            sizes = np.broadcast_to(collection.get_sizes(), len(offsets))
            for (x, y), size in zip(offsets, sizes, strict=True):
                yield {"mark": "point", "x": x, "y": y, "value": size}
        elif isinstance(collection, QuadMesh):
            yield from _cells(np.asarray(collection.get_array()), 0.5)
    for image in axis.images:
        yield from _cells(np.asarray(image.get_array()), 0.0)
    for patch in axis.patches:
        if patch not in drawn and isinstance(patch, Rectangle) and patch.get_label() != SHADE:
            yield from _band(axis, patch)
    for text in axis.texts:
        x, y = text.get_position() if text.get_transform() != axis.transAxes else (None, None)
        yield {"mark": "text", "x": x, "y": y, "text": _flat(text.get_text())}


def _points(container: ErrorbarContainer) -> Iterator[Mark]:
    """The marks of a series with their intervals."""
    line, _, bars = container.lines
    ends = dict(zip([n for n in "xy" if getattr(container, f"has_{n}err")], bars, strict=True))
    for index, (x, y) in enumerate(np.asarray(line.get_xydata(), float)):
        mark: Mark = {"mark": "point", "series": _series(container), "x": x, "y": y}
        for column, name in enumerate("xy"):
            if name in ends:
                # A bar without numbers has no points.
                bar = np.asarray(ends[name].get_segments()[index])
                if len(bar) and bar[0, column] != bar[1, column]:
                    mark |= {f"{name}_low": bar[0, column], f"{name}_high": bar[1, column]}
        yield mark


def _line(axis: Axes, line: Line2D) -> Iterator[Mark]:
    """The corners or marks of a line, or the one number of a level."""
    about = {"series": _series(line)}
    transform, points = line.get_transform(), np.asarray(line.get_xydata(), float)
    if transform == axis.get_yaxis_transform(which="grid"):
        yield {**about, "mark": "level", "y": points[0, 1]}
    elif line.get_marker() == "x":
        yield from ({**about, "mark": "failed", "x": x} for x, _ in points)
    elif transform == axis.get_xaxis_transform(which="grid"):
        yield {**about, "mark": "level", "x": points[0, 0]}
    elif line.get_label() == BOUND:
        yield {"mark": "bound", "x": points[-1, 0], "y": points[-1, 1]}
    elif transform != axis.transAxes:
        mark = "line" if line.get_marker() in ("None", "", None) else "point"
        yield from ({**about, "mark": mark, "x": x, "y": y} for x, y in points)


def _cells(values: np.ndarray, middle: float) -> Iterator[Mark]:
    """The cells of a heatmap; middle: of the first one."""
    if values.ndim != 2:
        return
    for (row, column), value in np.ndenumerate(np.ma.filled(values.astype(float), np.nan)):
        yield {"mark": "cell", "x": column + middle, "y": row + middle, "value": value}


def _band(axis: Axes, patch: Rectangle) -> Iterator[Mark]:
    """The ends of what is shaded from side to side."""
    low, high = patch.get_y(), patch.get_y() + patch.get_height()
    if patch.get_data_transform() == axis.get_yaxis_transform(which="grid") and low != high:
        yield {"mark": "band", "y_low": low, "y_high": high}


def _series(artist: Any) -> str:
    label = str(artist.get_label())
    return "" if label.startswith("_") else _flat(label.removeprefix(UNHIDDEN))


def _flat(text: str) -> str:
    return " ".join(text.split())


def _label(axis: Axes, side: str) -> str:
    """The label of an axis, or that of the one that it is shared with."""
    shared = axis.get_shared_x_axes() if side == "x" else axis.get_shared_y_axes()
    every = [axis, *shared.get_siblings(axis)]
    texts = (each.get_xlabel() if side == "x" else each.get_ylabel() for each in every)
    return _flat(next(filter(None, texts), ""))


def _names(side: Axis) -> dict[float, str]:
    """Place -> what stands there, of an axis whose ticks are texts and not their numbers."""
    if not isinstance(locator := side.get_major_locator(), FixedLocator):
        return {}
    ticks = [float(tick) for tick in locator.tick_values(0, 0)]
    texts = map(str, side.get_major_formatter().format_ticks(ticks))
    names = dict(zip(ticks, texts, strict=True))
    return {} if all(text == f"{tick:g}" for tick, text in names.items()) else names


def _name(names: dict[float, str], place: float | None) -> str:
    """What stands nearest to a place, if it is in the row of it."""
    if place is None or not names or np.isnan(place):
        return ""
    nearest = min(names, key=lambda each: abs(each - place))
    return _flat(names[nearest]) if abs(nearest - place) < 0.5 else ""
