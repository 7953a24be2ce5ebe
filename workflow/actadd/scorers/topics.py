"""Which topic a completion is about: the nearest description, by sentence embeddings.

An offline stand-in for a language model as judge; nothing is fitted.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from actadd.models.encoders import embed


def score(table: pd.DataFrame, spec: dict, inputs: Path) -> pd.DataFrame:
    """For each topic `t` of the entry: t, 1 if the completion is about it and else 0, and
    t_probability; NaN for an empty completion.

    A topic is as near as the nearest of its descriptions. The `contrast` descriptions are one more
    choice, "none of these", without columns.
    """
    import torch

    torch.set_num_threads(spec["compute"]["threads"])
    choices = list(spec["topics"].values())
    if spec.get("contrast"):
        choices.append(spec["contrast"])
    descriptions = [text for texts in choices for text in texts]
    completions = sorted(set(table["completion"]))
    vectors = embed([*descriptions, *completions], inputs, spec["compute"]["device"])
    cosine = vectors[len(descriptions) :] @ vectors[: len(descriptions)].T
    starts = np.cumsum([0, *(len(texts) for texts in choices)])[:-1]
    logits = np.maximum.reduceat(cosine, starts, axis=1).astype("float64")
    logits /= spec.get("temperature", 0.05)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = odds / odds.sum(axis=1, keepdims=True)
    winner = probability.argmax(axis=1)
    rows = np.searchsorted(completions, table["completion"].to_numpy(object))
    columns = {}
    for place, topic in enumerate(spec["topics"]):
        columns[topic] = (winner == place)[rows].astype("float64")
        columns[f"{topic}_probability"] = probability[rows, place]
    found = pd.DataFrame(columns, index=table.index)
    empty = table["completion"].str.strip() == ""
    # What is no token to the encoder is about nothing either.
    found.loc[empty.to_numpy() | np.isnan(probability[rows]).any(axis=1)] = np.nan
    return found
