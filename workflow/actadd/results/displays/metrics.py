"""What an axis knows of its metric: which way is better, and the least span that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actadd.scorers.kinds import metrics as metrics_of

# Metrics of which less is better.
LOWER = ("perplexity",)
# Metric -> what its axis spans at least, so that a difference of no account looks small.
SPANS = {
    "compound": 0.4,
    "probability": 0.2,
    "cosine": 0.2,
    "perplexity": 1.0,
    "perplexity_ratio": 0.2,
}
SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Scale:
    """lower: whether less is better. share: whether 0 and 1 are its ends for one completion."""

    lower: bool = False
    share: bool = False
    span: float = 0.0


def scale(metric: str, scorers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Fields of `Scale`. metric: scorer.column, or a metric of texts. scorers: of the config."""
    name, _, column = metric.partition("@")[0].rpartition(".")
    share = metric.startswith("precision_at_")
    if name and scorers and name in scorers:
        share = metrics_of(scorers[name]).get(column, False)
    span = SHARE if share else SPANS.get(column, 0.0)
    return {"lower": column in LOWER, "share": share, "span": span}
