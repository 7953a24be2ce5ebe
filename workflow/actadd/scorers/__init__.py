"""Scorers: one module for each kind, each with the same function.

score(table, spec, inputs) -> DataFrame of metric columns, row for row.
    table: DataFrame with `prompt` and `completion`. spec: the scorer's config entry. inputs: the
    folder or file that the kind needs (a fitted classifier, a model), or None.
"""

from importlib import import_module

# kind -> the metrics it gives.
METRICS = {
    "vader": ("compound",),
    "words": ("count", "any"),
    "distinct": ("distinct_1", "distinct_2"),
    "classifier": ("probability",),
    "perplexity": ("perplexity", "mean_logprob"),
    "similarity": ("cosine",),
    "hub_classifier": ("probability",),
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
}


def scorer(kind: str):
    """The `score` function of a kind; its module is imported only now, since some need torch."""
    return import_module(f"actadd.scorers.{kind}").score
