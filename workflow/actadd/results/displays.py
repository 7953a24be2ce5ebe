"""What each kind of figure and table is made from. Needs no plotting library."""

from typing import Any

# kind -> what it reads: an experiment's summary or cells, vectors' norms, a lens or a timing.
FIGURES = {
    "sweep": ("summary",),
    "conditions": ("summary",),
    "perplexity_ratio": ("summary",),
    "frequency": ("summary",),
    "accuracy": ("summary",),
    "precision": ("summary",),
    "dose_response": ("summary",),
    "topics": ("summary",),
    "token_shift": ("cells",),
    "divergence": ("cells",),
    "pairs": ("summary", "norms", "tokens", "cosines"),
    "norms": ("norms",),
    "lens": ("tokens",),
    "cosines": ("cosines",),
    "overhead": ("overhead",),
    "comparison": ("comparison",),
}
TABLES = {
    "methods": ("summary",),
    "precision": ("summary",),
    "qualitative": ("cells",),
    "token_shift": ("cells",),
    "next_tokens": ("cells",),
    "pairs": ("summary", "norms", "tokens", "cosines"),
    "lens": ("tokens",),
    "overhead": ("overhead",),
    "comparison": ("comparison",),
}
KINDS = {"figures": FIGURES, "tables": TABLES}

# kind -> the module of actadd.results.figures whose function of that name draws it.
FIGURE_MODULES = {
    "sweep": "sweeps",
    "perplexity_ratio": "sweeps",
    "frequency": "sweeps",
    "precision": "sweeps",
    "dose_response": "sweeps",
    "topics": "sweeps",
    "conditions": "conditions",
    "accuracy": "conditions",
    "token_shift": "tokens",
    "divergence": "tokens",
    "norms": "vectors",
    "lens": "lens",
    "cosines": "lens",
    "pairs": "vectors",
    "overhead": "overhead",
    "comparison": "comparison",
}

# kind -> the only measure of an experiment that it can be made from; any, if it is not here.
MEASURES = {
    "conditions": "completions",
    "dose_response": "completions",
    "topics": "completions",
    "pairs": "completions",
    "qualitative": "completions",
    "perplexity_ratio": "logprobs",
    "frequency": "logprobs",
    "accuracy": "logprobs",
    "precision": "logprobs",
    "token_shift": "logprobs",
    "divergence": "divergence",
    "next_tokens": "divergence",
}


def selectors(value: Any) -> list[dict[str, Any]]:
    """Every part of a comparison or a claim that selects rows of an experiment."""
    if isinstance(value, list):
        return [found for item in value for found in selectors(item)]
    if not isinstance(value, dict):
        return []
    own = [value] if isinstance(value.get("experiment"), str) else []
    return own + [found for item in value.values() for found in selectors(item)]
