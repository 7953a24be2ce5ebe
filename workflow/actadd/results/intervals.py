"""Intervals as columns of a table and as text."""

import math
from collections.abc import Callable, Iterable


def column_names(name: str) -> tuple[str, str, str]:
    """The columns of an estimate and of its bounds; those of a mean are low and high."""
    return (name, "low", "high") if name == "mean" else (name, f"{name}_low", f"{name}_high")


def columns(name: str, interval: Iterable[float]) -> dict[str, float]:
    """(value, low, high) by the columns' names."""
    return dict(zip(column_names(name), interval, strict=True))


def interval_text(
    interval: Iterable[float], number: Callable[[float], str] = "{:.3g}".format
) -> str:
    """ "0.12 [0.08, 0.17]" of (value, low, high); without bounds if low is NaN, "" if value is."""
    value, low, high = interval
    if math.isnan(value):
        return ""
    return number(value) if math.isnan(low) else f"{number(value)} [{number(low)}, {number(high)}]"


def span(values: Iterable[float]) -> str:
    """ "12", or "8 to 12" of values that differ."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    return f"{low}" if low == high else f"{low} to {high}"
