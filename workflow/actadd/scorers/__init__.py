"""Scorers: one module for each kind, each with the same function.

score(table, spec, inputs) -> DataFrame of metric columns, row for row.
    table: DataFrame with `prompt` and `completion`. spec: the scorer's config entry. inputs: the
    folder or file that the kind needs (a fitted classifier, a model), or None.
"""

from importlib import import_module
from typing import Any

# kind -> the metrics it gives; those of `topics` are named by its entry.
METRICS = {
    "vader": ("compound",),
    "words": ("count", "any"),
    "distinct": ("distinct_1", "distinct_2"),
    "classifier": ("probability", "positive"),
    "perplexity": ("perplexity", "mean_logprob"),
    "similarity": ("cosine",),
    "hub_classifier": ("probability", "positive"),
    "llm_judge": ("yes",),
    "perspective": ("probability", "positive"),
}

# kind -> what `inputs` is: nothing, a fitted classifier, a prepared model, or a fetched source.
KINDS = {
    "vader": None,
    "words": None,
    "distinct": None,
    "classifier": "classifier",
    "perplexity": "model",
    "similarity": "source",
    "hub_classifier": "source",
    "topics": "source",
    "llm_judge": None,
    "perspective": None,
}

# Kinds that ask a server, and keep its answers in the folder spec["answers"].
ASKING = ("llm_judge", "perspective")

# Metrics of a completion that are yes or no.
YES_OR_NO = ("any", "positive", "yes")
NUMBERS = {metric for given in METRICS.values() for metric in given} - set(YES_OR_NO)


def metrics(entry: dict[str, Any]) -> tuple[str, ...]:
    """The metrics that a scorer's config entry gives."""
    if entry["kind"] == "topics":
        return tuple(name for topic in entry["topics"] for name in (topic, f"{topic}_probability"))
    return METRICS[entry["kind"]]


def is_share(metric: str) -> bool:
    """Whether a metric, without its scorer's name, is yes or no, so that its mean is a share.

    Topics have names of the user's choice, so what is told apart is the numbers; the config check
    keeps topics from being called like one.
    """
    return metric not in NUMBERS and not metric.endswith("_probability")


def scorer(kind: str):
    """The `score` function of a kind; its module is imported only now, since some need torch."""
    return import_module(f"actadd.scorers.{kind}").score


def probabilities(values, spec: dict[str, Any], index):
    """A DataFrame of probability and positive: 1 if it is above the entry's `cut`, else 0.

    NaN stays NaN in both.
    """
    import pandas as pd

    probability = pd.Series(values, index=index, dtype="float64")
    positive = (probability > spec.get("cut", 0.5)).astype("float64")
    return pd.DataFrame(
        {"probability": probability, "positive": positive.where(probability.notna())}
    )
