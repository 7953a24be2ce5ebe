"""Numbers of a summary as a table shows them."""

from functools import partial

import numpy as np
import pandas as pd

from actadd.results.displays.labels import failed
from actadd.results.intervals import column_names, interval_text
from actadd.results.markup import decimals, fixed


def estimates(rows: pd.DataFrame, of: str = "mean") -> list[str]:
    """ "0.12 [0.08, 0.17]", without bounds where there are none; "failed" if the condition did."""
    number = partial(fixed, places=decimals(rows[of]))
    lost = "failed" if of == "mean" else ""
    return [
        lost if gone else interval_text(interval, number)
        for gone, interval in zip(failed(rows), _intervals(rows, of), strict=True)
    ]


def interval_texts(rows: pd.DataFrame, of: str, number: str = "{:+.3f}") -> list[str]:
    """ "+0.120 [+0.083, +0.171]" of the columns `of`, `of`_low and `of`_high."""
    return [interval_text(interval, number.format) for interval in _intervals(rows, of)]


def _intervals(rows: pd.DataFrame, of: str) -> np.ndarray:
    return rows[[*column_names(of)]].to_numpy(float)


def two_digits(values: pd.Series) -> list[str]:
    return ["" if pd.isna(value) else f"{value:.2g}" for value in values]
