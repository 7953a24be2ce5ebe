"""Cosine of the sentence embeddings of a completion and of its prompt, or of texts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from actadd.base.kinds import NAME, option
from actadd.scorers.kinds import NOT_BLANK, Job, Options, scorer

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SimilarityOptions(Options):
    source: str = option("Source with the sentence encoder.", section="sources")
    texts: dict[Annotated[str, NAME], Annotated[str, NOT_BLANK]] | None = option(
        "Name -> text that completions are compared with in place of their prompt; each name is a "
        "metric.",
        None,
        min_length=1,
    )


def _metrics(options: SimilarityOptions) -> dict[str, bool]:
    return dict.fromkeys(options.texts or ["cosine"], False)


@scorer(SimilarityOptions, metrics=_metrics, reads="source")
def similarity(table: pd.DataFrame, options: SimilarityOptions, job: Job) -> pd.DataFrame:
    """Relevance. cosine: of the sentence embeddings of prompt and completion, -1 to 1.

    With `texts`, a metric for each of them: the cosine of its embedding and the completion's, which
    is embedded once. NaN for an empty completion.
    """
    import numpy as np
    import pandas as pd
    import torch

    from actadd.models.encoders import embed

    torch.set_num_threads(job.compute["threads"])
    device = job.compute["device"]
    texts = sorted(set(table["completion"]) | (set() if options.texts else set(table["prompt"])))
    index = {text: number for number, text in enumerate(texts)}
    vectors = embed(texts, job.path, device)
    completion = vectors[[index[text] for text in table["completion"]]]
    if options.texts:
        cosine = completion @ _embedded(tuple(options.texts.values()), job.path, device).T
    else:
        prompt = vectors[[index[text] for text in table["prompt"]]]
        cosine = (prompt * completion).sum(axis=1, keepdims=True)
    cosine = cosine.astype("float64")
    cosine[(table["completion"].str.strip() == "").to_numpy()] = np.nan
    return pd.DataFrame(cosine, index=table.index, columns=list(_metrics(options)))


@lru_cache(maxsize=4)
def _embedded(texts: tuple[str, ...], folder: Path, device: str) -> np.ndarray:
    """The embeddings of texts, once for all cells of a job: there may be hundreds."""
    from actadd.models.encoders import embed

    return embed(list(texts), folder, device)
