"""What metrics are called where the config has no label for them."""

from collections.abc import Mapping
from typing import Any

from actadd.scorers.kinds import metrics

# Of scorers: kind -> metric -> its name; {scorer} is the scorer's.
PROBABILITIES = {
    "probability": "{scorer}: probability",
    "positive": "{scorer}: share above the cut",
}
SCORES: dict[str, dict[str, str]] = {
    "words": {"count": "{scorer}, per completion", "any": "share with one of: {scorer}"},
    "vader": {"compound": "VADER compound score"},
    "distinct": {
        "distinct_1": "distinct words, of all",
        "distinct_2": "distinct pairs of words, of all",
    },
    "perplexity": {
        "perplexity": "perplexity",
        "mean_logprob": "mean log-probability of a token",
    },
    "similarity": {"cosine": "{scorer} (cosine with the prompt)"},
    "classifier": PROBABILITIES,
    "hub_classifier": PROBABILITIES,
    "llm_judge": {"yes": "{scorer}: share of yes"},
}
# Of measures that need no scorer.
MEASURED = {
    "precision_at_1": "top-1 accuracy",
    "precision_at_10": "top-10 accuracy",
    "target_logprob": "log-probability of the answer",
    "rank": "rank of the answer",
    "perplexity_ratio": "perplexity, relative to unsteered",
    "kl": "divergence from unsteered (KL, nats)",
    "kl_over_entropy": "divergence over the unsteered entropy",
}


def metric_names(scorers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """scorer.metric -> its name in words, and the names of measures that need no scorer.

    scorers: config entries. A metric of a kind that is not in `SCORES` is written as
    "scorer: metric". Where two scorers would have the same name, the scorer is added.
    """
    names: dict[str, str] = dict(MEASURED)
    for scorer, entry in scorers.items():
        words = scorer.replace("-", " ").replace("_", " ")
        for metric in metrics(entry):
            name = SCORES.get(entry["kind"], {}).get(
                metric, "{scorer}: " + metric.replace("_", " ")
            )
            text = name.format(scorer=words)
            names[f"{scorer}.{metric}"] = f"{text} ({words})" if text in names.values() else text
    return names
