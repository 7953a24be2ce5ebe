"""How figures are drawn: style, texts, marks and layout that their kinds share."""

from actadd.results.drawing.layout import compose, legend, legend_columns, panels
from actadd.results.drawing.marks import (
    error_lines,
    in_percent,
    levels,
    mark_failed,
    plain_ticks,
    powers,
    say_failed,
    split,
    unsteered_band,
    whiskers,
)
from actadd.results.drawing.style import COLUMN, LEVEL, LINES, MARKERS, PAGE, series, set_style
from actadd.results.drawing.texts import SMALL, literal_texts, printed, shortened, wrapped

__all__ = [
    "COLUMN",
    "LEVEL",
    "LINES",
    "MARKERS",
    "PAGE",
    "SMALL",
    "compose",
    "error_lines",
    "in_percent",
    "legend",
    "legend_columns",
    "levels",
    "literal_texts",
    "mark_failed",
    "panels",
    "plain_ticks",
    "powers",
    "printed",
    "say_failed",
    "series",
    "set_style",
    "shortened",
    "split",
    "unsteered_band",
    "whiskers",
    "wrapped",
]
