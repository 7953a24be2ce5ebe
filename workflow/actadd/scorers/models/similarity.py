"""Relevance: cosine of the sentence embeddings of prompt and completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.scorers.kinds import Job, Options, scorer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SimilarityOptions(Options):
    source: str = option("Source with the sentence encoder.", section="sources")


@scorer(SimilarityOptions, metrics={"cosine": False}, reads="source")
def similarity(table: pd.DataFrame, options: SimilarityOptions, job: Job) -> pd.DataFrame:
    """Relevance. cosine: of the sentence embeddings of prompt and completion, -1 to 1.

    NaN for an empty completion.
    """
    import numpy as np
    import pandas as pd
    import torch

    from actadd.models.encoders import embed

    torch.set_num_threads(job.compute["threads"])
    texts = sorted(set(table["prompt"]) | set(table["completion"]))
    index = {text: number for number, text in enumerate(texts)}
    vectors = embed(texts, job.path, job.compute["device"])
    prompt = vectors[[index[text] for text in table["prompt"]]]
    completion = vectors[[index[text] for text in table["completion"]]]
    cosine = (prompt * completion).sum(axis=1).astype("float64")
    cosine[(table["completion"].str.strip() == "").to_numpy()] = np.nan
    return pd.DataFrame({"cosine": cosine}, index=table.index)
