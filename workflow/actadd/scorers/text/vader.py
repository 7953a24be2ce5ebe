"""Sentiment by VADER's lexicon and rules (Hutto and Gilbert, ICWSM 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.scorers.kinds import Job, ValidatedOptions, scorer

if TYPE_CHECKING:
    import pandas as pd


@scorer(metrics={"compound": False})
def vader(table: pd.DataFrame, options: ValidatedOptions, job: Job) -> pd.DataFrame:
    """Sentiment by VADER's lexicon and rules. compound: -1 (negative) to 1 (positive)."""
    import pandas as pd
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    values = [analyser.polarity_scores(text)["compound"] for text in table["completion"]]
    return pd.DataFrame({"compound": values}, index=table.index)
