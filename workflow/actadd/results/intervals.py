"""Intervals as columns of a table and as text, and the correlations that a sample can detect."""

import math
from collections.abc import Callable, Iterable

from scipy.stats import norm

from actadd.base.intervals import LEVEL, POWER


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


def detectable_correlation(count: int) -> float:
    """The correlation that a test at 5 % over so many items sees with 80 % power (Fisher's z)."""
    reach = float(norm.ppf((1 + LEVEL) / 2) + norm.ppf(POWER))
    return math.tanh(reach / math.sqrt(count - 3)) if count > 3 else math.nan
