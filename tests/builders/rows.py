"""Made-up rows of summaries and other tables, which figures and tables are made from."""

import json

import numpy as np

from actadd.measure.overhead import ARMS, STEERED

# Metrics of two scorers.
WORDS, COST = "words.any", "fluency.perplexity"
ABOUT = {
    **{"data": "made-up prompts", "unit": "prompts", "notes": ["words: counted."]},
    "controls": ["random"],
}
# What the entries of all kinds read, whichever do.
READS = {"experiment": "e", "lens": "l", "overhead": "o", "method_comparison": "c"}


def row(**values) -> dict:
    shared = {
        "model": "one",
        "experiment": "e",
        "condition": "actadd",
        "method": "actadd",
        "vector": "v",
        "source_layer": 3.0,
        "layer": 3.0,
        "coefficient": 1.0,
        "position": "front",
        "dimensions": np.nan,
        "phase": "prefill",
        "additions": "[]",
        "temperature": 1.0,
        "top_p": 0.3,
        "frequency_penalty": 1.0,
        "seed": 0,
        "p_value": 0.01,
        "group": "all",
        "n_prompts": 7,
        "n_completions": 14,
        "n_tokens": 99,
        "mean": 0.5,
        "low": 0.4,
        "high": 0.6,
        "difference": 0.2,
        "difference_low": 0.1,
        "difference_high": 0.3,
    }
    return {**shared, **values}


def unsteered(**values) -> dict:
    empty = dict.fromkeys(("vector", "position", "phase"))
    numbers = dict.fromkeys(("source_layer", "layer", "coefficient", "difference"), np.nan)
    return row(condition="unsteered", method="unsteered", **{**empty, **numbers, **values})


FAILED = {
    **dict.fromkeys(("mean", "low", "high", "difference", "p_value"), np.nan),
    **{"n_prompts": 0, "failed": "non-finite numbers"},
}


# What tells rows of log-probabilities apart.
UNSTEERED_TEXT = {"method": "unsteered", "condition": "unsteered", "additions": "[]"}
STEERED_TEXT = {
    **{"method": "actadd", "condition": "actadd"},
    "additions": json.dumps([{"vector": "v", "layer": 3, "coefficient": 1}]),
}


def shift_rows() -> list[dict]:
    """Tokens a (4 instances, +1), b (3, -2), c (2, +5; one changed directly), d (1)."""
    rows = []
    for token, count, change in (("a", 4, 1.0), ("b", 3, -2.0), ("c", 3, 5.0), ("d|", 1, 9.0)):
        for index in range(count):
            modified = token == "c" and index == 0
            position = {"model": "one", "text_id": ord(token[0]), "token_index": index}
            shared = {**position, "token": token}
            rows.append({**shared, **UNSTEERED_TEXT, "logprob": -3.0 - index, "modified": False})
            steered = -3.0 - index + (99 if modified else change)
            rows.append({**shared, **STEERED_TEXT, "logprob": steered, "modified": modified})
    return rows


def pair_sources(effects=(0.3, 0.1, 0.2), relative_to="mean") -> dict[str, list[dict]]:
    """Three pairs whose norms are in the effects' order, and whose cosines in the opposite."""
    summary, norms, tokens, cosines = [], [], [], []
    for number, effect in enumerate(effects):
        name = f"p{number}"
        bounds = {"difference_low": effect - 0.01, "difference_high": effect + 0.01}
        shared = {"vector": name, "condition": name}
        summary.append(row(metric=WORDS, difference=effect, **bounds, **shared))
        summary.append(row(metric=COST, mean=30 + effect, **shared))
        norms.append([{"layer": 3, "position": p, "ratio": effect * p} for p in range(3)])
        norms[-1].append({"layer": 2, "position": 1, "ratio": 77.0})
        for position in (1, 2):
            for rank in range(3):
                logit = 10.0 * (1 + effect) if rank == 0 else 5.0 * position
                labels = {"model": "one", "vector": name, "layer": 3, "position": position}
                for direction in ("up", "down"):
                    token = f"{direction} {number}{position}{rank}"
                    result = {"direction": direction, "rank": rank, "token": token}
                    tokens.append({**labels, **result, "logit": logit})
        for layer in (2, 3):
            labels = {"model": "one", "kind": "vectors", "vector": name, "other": "mean"}
            cosine = {"layer": layer, "other_layer": layer, "cosine": -effect * (layer == 3)}
            cosines.append({**labels, **cosine})
    average = row(metric=WORDS, vector="mean", condition="mean")
    summary += [average, unsteered(metric=WORDS), unsteered(metric=COST)]
    return {
        "summaries/one/e.parquet": summary,
        **{f"norms/one/p{n}.csv": rows for n, rows in enumerate(norms)},
        "tokens/l.parquet": tokens,
        "cosines/l.parquet": cosines,
    }


def lens_rows() -> list[dict]:
    return [
        {
            **{"model": "one", "vector": vector, "layer": layer, "position": position},
            **{"direction": direction, "rank": rank, "norm": 1.0},
            "token": f"{vector}{layer}{position}{direction}{rank}",
            "logit": 1.0 - rank,
        }
        for vector in ("v", "w")
        for layer in (0, 10)
        for position in (1, 2)
        for direction in ("up", "down")
        for rank in (2, 1, 0)
    ]


def overhead_rows(model: str, parameters: int, factor: float) -> list[dict]:
    return [
        {
            **{"model": model, "random_weights": False, "parameters": parameters, "layer": 1},
            **{"rows": 2, "tokens": 8, "dtype": "float32", "device": "cpu", "threads": 1},
            **{"repeat": repeat, "order": order, "arm": arm},
            "seconds": (1.0 + repeat) * (factor if arm == STEERED else 1.0),
        }
        for repeat in range(5)
        for order, arm in enumerate(ARMS)
    ]


def precision_rows() -> list[dict]:
    result = [
        make(metric=f"precision_at_{k}", group=group, mean=mean + 0.01 * k)
        for make, mean in ((unsteered, 0.1), (row, 0.2))
        for group in ("all", "part")
        for k in (10, 1, 5)
    ]
    return [*result, row(metric="rank", mean=50.0, p_value=0.04), unsteered(metric="rank", mean=40)]


def divergence_rows(conditions=("actadd", "random"), coefficients=(1.0, 2.0)) -> list[dict]:
    """A condition's vector is named like it; the first one's KL grows with the text's number."""
    rows = []
    for text in (0, 1, 2):
        for coefficient in coefficients:
            for number, condition in enumerate(conditions):
                kl = 1.0 if number else 0.1 + text
                shared = row(condition=condition, vector=condition, coefficient=coefficient)
                shared |= {"text_id": text, "entropy": 4.0}
                rows.append({**shared, "kl": 99.0, "modified": True})
                for part in (0.5, 1.5):
                    rows.append({**shared, "kl": kl * part * coefficient, "modified": False})
        rows.append(unsteered(text_id=text, entropy=4.0, kl=0.0, modified=False))
    return rows


def cosine_rows() -> list[dict]:
    rows = []
    for vector in ("v", "w"):
        for layer in range(4):
            for other_layer in range(4):
                labels = {"layer": layer, "other_layer": other_layer, "other": vector}
                rows.append(
                    {"kind": "layers", "cosine": 1 - abs(layer - other_layer) / 4, **labels}
                    | {"vector": vector}
                )
            for other in ("v", "w"):
                cosine = 1.0 if vector == other else layer / 10
                labels = {"layer": layer, "other_layer": layer, "other": other}
                rows.append({"kind": "vectors", "vector": vector, "cosine": cosine, **labels})
    return [{"model": "one", "compared": "rows", **r} for r in rows]


def curve_rows() -> list[dict]:
    """A method, a prompt and two controls under two damages; the method's last setting failed."""
    rows = []
    for damage, unit in (("disfluency", 1.0), ("divergence", 0.1)):
        for number, name in enumerate(("add", "prompting", "random", "orthogonal")):
            role = ("method", "point", "control", "control")[number]
            shared = {"condition": name, "role": role, "damage": damage, "metric": WORDS}
            for strength in (1.0, 2.0, 4.0) if role != "point" else (np.nan,):
                size = 2.0 if np.isnan(strength) else strength
                bounds = {"effect": size * 0.1, "cost": unit * (1 + size / 4)}
                for each, value in list(bounds.items()):
                    bounds |= {f"{each}_low": value * 0.9, f"{each}_high": value * 1.1}
                lost = role == "method" and strength == 4
                shown = dict.fromkeys(bounds, np.nan) if lost else bounds
                about = {"strength": strength, "failed": "too large" if lost else None}
                draws = {"draws": 5.0 if role == "control" else np.nan, "detectable": 0.05}
                added = {"vector": name, "layer": 3, "coefficient": strength}
                about |= {"additions": "[]" if role == "point" else json.dumps([added])}
                rows.append(row(**shared, **about, **draws, **shown))
    return rows


def reading_rows() -> list[dict]:
    rows = []
    for damage, at in (("disfluency", 1.25), ("divergence", 0.1)):
        for reference in ("", "prompting"):
            for number, name in enumerate(("add", "prompting", "random")):
                role = ("method", "point", "control")[number]
                if role == "point" and not reference:
                    continue
                reached = damage == "disfluency" or role == "point"
                effect = 0.2 + number if reached else np.nan
                empty = {"minus_point": np.nan, "minus_control": np.nan, "control": ""}
                if role == "method" and reached:
                    empty = {"minus_control": 0.1, "control": "random"}
                    empty["minus_point"] = 0.05 if reference else np.nan
                bounds = {"effect": effect, **empty}
                for each in ("effect", "minus_point", "minus_control"):
                    bounds |= {f"{each}_low": bounds[each] - 0.1, f"{each}_high": bounds[each] + 1}
                about = {"condition": name, "role": role, "damage": damage, "at": at}
                about |= {"reference": reference, "reason": "" if reached else "never reached"}
                about |= {"strength": 1.5 if reached else np.nan, "reached": float(reached)}
                rows.append({"model": "one", "comparison": "c", "metric": WORDS, **about, **bounds})
    return rows


def comparison_rows() -> list[dict]:
    empty = {"low": np.nan, "high": np.nan, "ours": np.nan, "published": np.nan}
    rows = [
        {
            **{"kind": "number", "name": name, "item": "i", "series": name, "layer": ""},
            **{"x_name": "layer", "x": str(x), "y_name": "mean", "title": name, "reason": ""},
            **{"published": x + 0.5, "ours": ours + x, "low": x - 1.0, "high": x + 2.0},
            **{"model": "one", "verdict": "matches", "source": "Table 1"},
        }
        for name, ours in (("a", 0.25), ("b", 0.75), ("unrun", np.nan))
        for x in (10, 2)
    ]
    verdicts = ("same direction, interval excludes none", "differs", "not run")
    return rows + [
        {
            **{"kind": "claim", "name": f"c{n}", "item": "claims", "series": "", "layer": ""},
            **{"x_name": "", "x": "", "y_name": "", "title": f"claim {n}", "reason": ""},
            **{"model": "one", "verdict": verdict, "source": "Table 2", **empty},
        }
        for n, verdict in enumerate(verdicts)
    ]
