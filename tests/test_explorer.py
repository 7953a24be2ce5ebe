"""The explorer page, from made-up tables, in a real browser."""

import itertools
import json
import shutil

import numpy as np
import pytest

import tiny

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

HOSTILE = "</script><img src=x onerror=\"window.broken = true\"><b>bold</b> <!-- ${title} & 'x'"
UNICODE = "Die Hochzeit — 結婚式 👰 was\nlovely\u2028\u202eabc"
PLACE = {"source_layer": np.nan, "layer": np.nan, "coefficient": np.nan, "vector": None}
DRAWN = {"temperature": 1.0, "top_p": 0.3, "frequency_penalty": 1.0, "seed": 0}


def place(name: str, layer=None, coefficient=None, vector="weddings") -> dict:
    """Coordinates of a condition, as tables have them."""
    steered = layer is not None
    own = {"source_layer": layer, "layer": layer, "coefficient": coefficient, "vector": vector}
    addition = {**own, "position": "front", "phase": "prefill", "dimensions": None}
    return {
        "condition": name,
        "method": "actadd" if steered else "unsteered",
        **(own if steered else PLACE),
        "position": "front" if steered else None,
        "dimensions": np.nan,
        "phase": "prefill" if steered else None,
        "additions": json.dumps([addition] if steered else []),
        **DRAWN,
    }


def cells(layers=(6, 9), coefficients=(1.0, 2.0, 4.0)) -> list[dict]:
    swept = itertools.product(layers, coefficients)
    return [place("unsteered"), *(place("actadd", layer, c) for layer, c in swept)]


def written(folder, experiment: str, places: list[dict], prompts: list[str], samples: int, **more):
    """Tables of one experiment on one model; returns the arguments of `build` for it.

    more: text(number, prompt, sample) of a completion, score(number, prompt, sample),
    failed: {number of a cell: reason}.
    """
    text = more.get(
        "text", lambda n, p, s: f"plain {p} {s}" if n == 0 else f"the bride {n} {p} {s}"
    )
    score = more.get("score", lambda n, p, s: n + p / 10 + s / 100)
    failed = more.get("failed")
    drawn, scored, summed = [], [], []
    for number, own in enumerate(places):
        shared = {"model": "tiny", "experiment": experiment, **own, "cell": number}
        reason = (failed or {}).get(number)
        extra = {} if failed is None else {"failed": reason}
        for p, s in itertools.product(range(len(prompts)), range(samples)):
            row = {"prompt_id": p, "sample": s}
            drawn.append(
                {
                    **shared,
                    **row,
                    "prefix": "",
                    "prompt": prompts[p],
                    "group": None,
                    "completion": None if reason else text(number, p, s),
                    **extra,
                }
            )
            value = np.nan if reason else score(number, p, s)
            key = {"condition": own["condition"], "cell": number}
            scored.append({**key, **row, "any": value, "count": np.nan, **extra})
        mean = np.nan if reason else number / 10
        summed.append(
            {
                **{name: value for name, value in shared.items() if name != "cell"},
                "group": "all",
                "metric": "words.any",
                "n_prompts": len(prompts),
                "n_completions": 0 if reason else len(prompts) * samples,
                **{"mean": mean, "low": mean - 0.05, "high": mean + 0.05},
                **{"difference": mean, "difference_low": mean - 0.1, "difference_high": mean + 0.1},
                "p_value": 0.03,
                **extra,
            }
        )
    paths = {
        "completions": f"completions/tiny/{experiment}.parquet",
        "scores": f"scores/tiny/{experiment}/words.parquet",
        "summaries": f"summaries/tiny/{experiment}.parquet",
    }
    tables = dict(zip(paths.values(), (drawn, scored, summed), strict=True))
    return dict(zip(paths, ([path] for path in tiny.written(tables, folder)), strict=True))


def entry(name: str, **more) -> dict:
    shared = {"title": f"The {name} experiment", "measure": "completions", "models": ["tiny"]}
    return {"name": name, **shared, "data": "made-up prompts", "notes": {}, "labels": {}, **more}


def joined(parts: list[dict]) -> dict:
    return {key: [path for part in parts for path in part[key]] for key in parts[0]}
