"""Sentiment by VADER's lexicon and rules (Hutto and Gilbert, ICWSM 2014)."""

import pandas as pd


def score(table: pd.DataFrame, spec: dict, inputs) -> pd.DataFrame:
    """compound: -1 (negative) to 1 (positive)."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    values = [analyser.polarity_scores(text)["compound"] for text in table["completion"]]
    return pd.DataFrame({"compound": values}, index=table.index)
