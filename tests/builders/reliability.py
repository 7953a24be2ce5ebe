"""Made-up tables of a steered experiment of which every number on a card is known."""

import json

import numpy as np

from actadd.engine.decoding.sampling import SAMPLING
from builders import rows
from builders.rows import row, unsteered

PROMPTS = 20
METRIC, COST, SECOND = "words.any", "fluency.perplexity", "mood.probability"
# What each prompt gains with each 1 of strength: three lose, one stays.
GAINS = np.array([0.05 * (prompt + 1) / 10 for prompt in range(16)] + [0.0, -0.3, -0.2, -0.1])
# What each prompt gains with each draw of the control, at whatever strength.
DRAWS = np.array([0.01 * np.resize([1, -1, 2], PROMPTS), 0.01 * np.resize([-2, 3], PROMPTS)])
# What perplexity is multiplied by: 1.1 in the geometric mean.
FACTORS = np.resize([1.0, 1.21], PROMPTS)
STRENGTHS = (-1.0, 1.0, 2.0)
# Coordinates of what is given and not drawn.
UNDRAWN = dict.fromkeys((*SAMPLING, "seed"))
KL = 0.1 + 0.02 * np.arange(10)
# Ranks of the targets of ten texts: 8 are first unsteered, 6 steered.
RANKS = {"unsteered": [0] * 8 + [3, 4], "actadd": [0] * 6 + [2, 1, 3, 4]}

OPTIONS = {
    **{"experiment": "e", "metric": METRIC, "cost": COST, "agreement": [SECOND]},
    **{"divergence": "d", "knowledge": "k", "labels": {METRIC: "words"}},
}
MORE = {
    "aims": {},
    "chosen": {"actadd": ""},
    "roots": {"v": "v", "v-random": "v", "other-random": "other"},
    "vectors": {"v": {"kind": "mean_difference", "positive": ["a"] * 3, "negative": ["b"] * 3}},
    "sources": {"one": "the-source"},
    "compared": False,
    **{"seed": 0, "models": ["one"], "samples": 2, "scorers": ["words", "fluency", "mood"]},
    "prompts": {"dataset": "openings", "split": "held-out"},
}

ABOUT = {**rows.ABOUT, "controls": ["v-random", "other-random"], "more": MORE}


def added(vector: str, strength: float, **options) -> dict:
    """Coordinates of a condition with one addition."""
    addition = {
        **{"vector": vector, "layer": 3, "source_layer": 3, "coefficient": strength},
        **{"dimensions": None, "match_norm": False, "phase": "prefill", "position": "front"},
        **options,
    }
    additions = json.dumps([addition], sort_keys=True)
    return {"vector": vector, "coefficient": strength, "additions": additions}


def cells() -> list[tuple[dict, dict[str, np.ndarray]]]:
    """(coordinates, metric -> value of each prompt) of each cell, unsteered ones first."""
    base = 0.3 + 0.01 * np.arange(PROMPTS)
    cost, mood = 20.0 + np.arange(PROMPTS), np.linspace(0.2, 0.8, PROMPTS)
    plain = {METRIC: base, COST: cost, SECOND: mood}
    result = [({**unsteered(), "cell": "u", "draw": None}, plain)]
    for strength in STRENGTHS:
        values = {
            METRIC: base + strength * GAINS,
            COST: cost * FACTORS,
            SECOND: mood + 2 * strength * GAINS,
        }
        cell = {"cell": f"s{strength}", "draw": None}
        result.append(({**row(), **added("v", strength), **cell}, values))
    for vector, scale in (("v-random", 1.0), ("other-random", 99.0)):
        for draw, gains in enumerate(DRAWS):
            values = {**plain, METRIC: base + scale * gains}
            cell = {"cell": f"{vector}{draw}", "draw": draw, "condition": vector}
            result.append(({**row(), **added(vector, 1.0), **cell}, values))
    return result


def sources(**changes: list[dict]) -> dict[str, list[dict]]:
    """Relative path -> rows, for `builders.figures.by_need`; changes: in place of some."""
    completions, scores = [], {"words": [], "fluency": [], "mood": []}
    for coordinates, values in cells():
        for prompt in range(PROMPTS):
            for sample in range(2):
                place = {"prompt_id": prompt, "sample": sample}
                text = {"prompt": f"prompt {prompt}", "completion": "c", "group": None}
                completions.append({**coordinates, **place, **text})
                # The two samples of a prompt lie around its value.
                away = 0.01 * (1 - 2 * sample)
                for metric, each in values.items():
                    scorer, column = metric.split(".")
                    about = {name: coordinates[name] for name in ("condition", "cell")}
                    value = each[prompt] + (0 if metric == COST else away)
                    scores[scorer].append({**about, **place, "failed": None, column: value})
    return {
        "tables/one/e.parquet": completions,
        **{f"scores/one/e/{scorer}.parquet": rows for scorer, rows in scores.items()},
        "tables/one/d.parquet": divergences(),
        "tables/one/k.parquet": targets(),
        "norms/one/v.csv": norms(),
        **changes,
    }


def divergences() -> list[dict]:
    """Of the setting of strength 1, with positions that were changed directly and do not count."""
    shared = {**row(), **UNDRAWN, **added("v", 1.0), "cell": "k", "entropy": 2.0, "group": None}
    shared |= dict.fromkeys(("token_ids", "tokens", "before", "after", "watched"))
    return [
        {**shared, "text_id": text, "kl": value, "modified": changed}
        for text, kl in enumerate(KL)
        for value, changed in ((99.0, True), (kl - 0.05, False), (kl + 0.05, False))
    ]


def targets() -> list[dict]:
    steered = {**row(), **added("v", 1.0), "cell": "s"}
    conditions = {"unsteered": {**unsteered(), "cell": "u"}, "actadd": steered}
    shared = {**UNDRAWN, "document": None, "modified": False, "target": True, "token_index": 4}
    # The text before a target is read, and does not count.
    before = {"token_index": 3, "target": False}
    return [
        {**coordinates, **shared, **place, "text_id": text, "rank": rank, "logprob": -1.0}
        for name, coordinates in conditions.items()
        for text, rank in enumerate(RANKS[name])
        for place in (before, {})
    ]


def norms() -> list[dict]:
    """BOS is zero; position 1 has half of the stream's norm, position 2 a quarter."""
    return [
        {
            **{"layer": layer, "position": position, "token": f"token {position}"},
            **{"vector_norm": norm * (layer + 1), "residual_norm": 4.0 * (layer + 1)},
            **{"ratio": norm / 4, "auc": 0.5 + 0.2 * position, "d_prime": float(position)},
        }
        for layer in (2, 3)
        for position, norm in enumerate((0.0, 2.0, 1.0))
    ]
