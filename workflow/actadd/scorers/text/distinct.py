"""Distinct-n (Li et al., 2016): how little a completion repeats itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.scorers.kinds import Job, ValidatedOptions, scorer

if TYPE_CHECKING:
    import pandas as pd


@scorer(metrics={"distinct_1": False, "distinct_2": False})
def distinct(table: pd.DataFrame, options: ValidatedOptions, job: Job) -> pd.DataFrame:
    """Distinct-n (Li et al., 2016) for n = 1 and 2: different n-grams of words over all n-grams.

    NaN for a completion without n-grams.
    """
    import pandas as pd

    words = [text.lower().split() for text in table["completion"]]
    return pd.DataFrame(
        {f"distinct_{n}": [_share(row, n) for row in words] for n in (1, 2)}, index=table.index
    )


def _share(words: list[str], n: int) -> float:
    grams = list(zip(*(words[offset:] for offset in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else float("nan")
