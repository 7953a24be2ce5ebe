"""Topic words, counted as the authors count them: lower case, split at non-word characters."""

import re
import unicodedata

import pandas as pd


def score(table: pd.DataFrame, spec: dict, inputs) -> pd.DataFrame:
    """count: topic words in the completion (the prompt is left out); any: 1 if there is one.

    A letter and its accent are one character, however they were written.
    """
    topic = {_composed(word) for word in spec["words"]}
    counts = [
        sum(word in topic for word in re.sub(r"\W", " ", _composed(text.lower())).split())
        for text in table["completion"]
    ]
    frame = pd.DataFrame({"count": counts}, index=table.index, dtype="float64")
    return frame.assign(any=(frame["count"] > 0).astype("float64"))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
