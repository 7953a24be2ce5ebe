"""Activations of contrast pairs."""

import numpy as np

from builders import rows


def synthetic(count: int = 24, width: int = 40, shift: float = 0.6, seed: int = 7) -> np.ndarray:
    """float32 [pairs, 2, width], positive first: what a pair shares, noise, and a shift of some.

    The numbers differ in size and go together, as those of a residual stream do.
    """
    noise = np.random.default_rng(seed)
    mixing = noise.standard_normal((width, width)) * np.exp(noise.standard_normal(width))
    common, own = noise.standard_normal((count, 1, width)), noise.standard_normal((count, 2, width))
    direction = noise.standard_normal(width)
    sizes = 1 + noise.standard_normal((count, 1, 1)) / 2
    sides = np.array([1.0, -1.0])[None, :, None]
    return ((common + own / 2) @ mixing + 3 + shift * sides * sizes * direction).astype(np.float32)


def streams(activations: np.ndarray, length: int = 3) -> dict[str, np.ndarray]:
    """Prompt name -> a stream [length, width] that ends in the pair's activations."""
    noise = np.random.default_rng(0).standard_normal((length - 1, activations.shape[2]))
    return {
        f"{index}.{side}": np.concatenate([noise.astype(np.float32), row[None]])
        for index, pair in enumerate(activations)
        for side, row in zip(("positive", "negative"), pair, strict=True)
    }


# Counts of pairs, and the effect that each has on every prompt; the cost is a factor.
COUNTS = {1: 0.2, 10: 0.75, 40: 0.95, 160: 1.0}
COST_FACTOR = 1.25
# Conditions of a study of counts, as `PairCountOptions.facts` names them.
CONDITIONS = {
    **{f"mean-{count}": {"curve": "mean difference", "pairs": count} for count in COUNTS},
    "nothing-1": {"curve": "nothing", "pairs": 1},
    "nothing-160": {"curve": "nothing", "pairs": 160},
}


def counted(prompts: int = 24, draws: int = 3, noise: float = 0.02) -> dict[str, list[dict]]:
    """Relative path -> rows, for `builders.figures.by_need`, of directions of 1 to 160 pairs."""
    random = np.random.default_rng(0)
    base = random.standard_normal(prompts)
    cells = [({**rows.unsteered(), "cell": "u", "draw": None}, base, 1.0)]
    for name, about in CONDITIONS.items():
        effect = COUNTS[about["pairs"]] if about["curve"] == "mean difference" else 0.0
        for draw in range(draws):
            values = base + effect + noise * random.standard_normal(prompts)
            place = {"condition": name, "vector": name, "cell": f"{name}{draw}", "draw": draw}
            cells.append(({**rows.row(), **place}, values, COST_FACTOR))
    tables: dict[str, list[dict]] = {"completions": [], "mood": [], "fluency": []}
    for coordinates, values, factor in cells:
        for prompt, value in enumerate(values):
            sample = {"prompt_id": prompt, "sample": 0}
            text = {"prompt": "p", "completion": "c", "group": None}
            tables["completions"].append({**coordinates, **sample, **text})
            scored = {name: coordinates[name] for name in ("condition", "cell")} | sample
            tables["mood"].append({**scored, "failed": None, "x": value})
            tables["fluency"].append({**scored, "failed": None, "y": factor * (10 + prompt)})
    return {
        "tables/one/e.parquet": tables["completions"],
        "scores/one/e/mood.parquet": tables["mood"],
        "scores/one/e/fluency.parquet": tables["fluency"],
    }


COUNTED = {
    "experiment": "e",
    "metric": "mood.x",
    "cost": "fluency.y",
    "about": {**rows.ABOUT, "more": {"conditions": CONDITIONS}},
}
