"""Relevance: cosine of the sentence embeddings of prompt and completion."""

from pathlib import Path

import numpy as np
import pandas as pd

from actadd.models.encoders import embed


def score(table: pd.DataFrame, spec: dict, inputs: Path) -> pd.DataFrame:
    """cosine: -1 to 1; NaN for an empty completion."""
    import torch

    torch.set_num_threads(spec["compute"]["threads"])
    texts = sorted(set(table["prompt"]) | set(table["completion"]))
    place = {text: index for index, text in enumerate(texts)}
    vectors = embed(texts, inputs, spec["compute"]["device"])
    prompt = vectors[[place[text] for text in table["prompt"]]]
    completion = vectors[[place[text] for text in table["completion"]]]
    cosine = (prompt * completion).sum(axis=1).astype("float64")
    cosine[(table["completion"].str.strip() == "").to_numpy()] = np.nan
    return pd.DataFrame({"cosine": cosine}, index=table.index)
