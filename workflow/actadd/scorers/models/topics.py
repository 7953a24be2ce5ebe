"""Which topic a completion is about: the nearest description, by sentence embeddings.

An offline stand-in for a language model as judge; nothing is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from actadd.base.kinds import NAME, Rule, option
from actadd.scorers.kinds import NOT_BLANK, Job, ValidatedOptions, scorer

if TYPE_CHECKING:
    import pandas as pd

Descriptions = list[Annotated[str, NOT_BLANK]]


@dataclass(frozen=True, kw_only=True)
class TopicsOptions(ValidatedOptions):
    source: str = option("Source with the sentence encoder.", section="sources")
    topics: dict[Annotated[str, NAME], Annotated[Descriptions, Rule(min_length=1)]] = option(
        "Topic -> descriptions of a text about it.", min_length=1
    )
    contrast: Descriptions | None = option(
        "Descriptions of texts about none of the topics.", None, min_length=1
    )
    temperature: float = option(
        "Divisor of the cosines; smaller values bring probabilities nearer to 0 or 1.",
        0.05,
        exclusive_minimum=0,
    )


def _metrics(options: TopicsOptions) -> dict[str, bool]:
    names = [(topic, f"{topic}_probability") for topic in options.topics]
    return {name: name == topic for topic, other in names for name in (topic, other)}


@scorer(TopicsOptions, metrics=_metrics, reads="source")
def topics(table: pd.DataFrame, options: TopicsOptions, job: Job) -> pd.DataFrame:
    """The nearest topic. For each topic t: t, 1 if it is the nearest and else 0; t_probability.

    NaN for an empty completion. A topic is as near as the nearest of its descriptions. The
    `contrast` descriptions are one more choice, "none of these", without columns.
    """
    import numpy as np
    import pandas as pd
    import torch

    from actadd.models.encoders import embed

    torch.set_num_threads(job.compute["threads"])
    choices = list(options.topics.values())
    if options.contrast:
        choices.append(options.contrast)
    descriptions = [text for texts in choices for text in texts]
    completions = sorted(set(table["completion"]))
    vectors = embed([*descriptions, *completions], job.path, job.compute["device"])
    cosine = vectors[len(descriptions) :] @ vectors[: len(descriptions)].T
    starts = np.cumsum([0, *(len(texts) for texts in choices)])[:-1]
    logits = np.maximum.reduceat(cosine, starts, axis=1).astype("float64")
    logits /= options.temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = odds / odds.sum(axis=1, keepdims=True)
    winner = probability.argmax(axis=1)
    rows = np.searchsorted(completions, table["completion"].to_numpy(object))
    columns = {}
    for number, topic in enumerate(options.topics):
        columns[topic] = (winner == number)[rows].astype("float64")
        columns[f"{topic}_probability"] = probability[rows, number]
    frame = pd.DataFrame(columns, index=table.index)
    empty = table["completion"].str.strip() == ""
    # A completion without tokens for the encoder is about no topic either.
    frame.loc[empty.to_numpy() | np.isnan(probability[rows]).any(axis=1)] = np.nan
    return frame
