"""Distinct-n (Li et al., 2016): how little a completion repeats itself."""

import pandas as pd


def score(table: pd.DataFrame, spec: dict, inputs) -> pd.DataFrame:
    """distinct_n for n = 1 and 2: different n-grams of words over all; NaN if there are none."""
    words = [text.lower().split() for text in table["completion"]]
    return pd.DataFrame(
        {f"distinct_{n}": [_share(row, n) for row in words] for n in (1, 2)}, index=table.index
    )


def _share(words: list[str], n: int) -> float:
    grams = list(zip(*(words[offset:] for offset in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else float("nan")
