"""Numbers of a summary as a table shows them."""

import numpy as np
import pandas as pd

from actadd.results.displays.labels import failed
from actadd.results.markup import decimals, fixed


def estimates(rows: pd.DataFrame, of: str = "mean") -> list[str]:
    """ "0.12 [0.08, 0.17]", without bounds where there are none; "failed" if the condition did."""
    low, high = ("low", "high") if of == "mean" else (f"{of}_low", f"{of}_high")
    places = decimals(rows[of])
    texts = []
    for lost, values in zip(failed(rows), rows[[of, low, high]].to_numpy(float), strict=True):
        mean, *bounds = (fixed(value, places) for value in values)
        if lost:
            texts.append("failed" if of == "mean" else "")
        elif np.isnan(values[0]):
            texts.append("")
        else:
            texts.append(mean if np.isnan(values[1]) else f"{mean} [{', '.join(bounds)}]")
    return texts


def interval_texts(rows: pd.DataFrame, of: str) -> list[str]:
    """ "+0.12 [+0.08, +0.17]" of the columns `of`, `of`_low and `of`_high."""
    numbers = rows[[of, f"{of}_low", f"{of}_high"]].to_numpy(float)
    return [
        ""
        if np.isnan(mean)
        else f"{mean:+.3f}" + ("" if np.isnan(low) else f" [{low:+.3f}, {high:+.3f}]")
        for mean, low, high in numbers
    ]


def two_digits(values: pd.Series) -> list[str]:
    return ["" if pd.isna(value) else f"{value:.2g}" for value in values]
