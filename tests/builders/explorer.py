"""Tables that an explorer page is made from, and what its tests do in a browser."""

import itertools
import json

import numpy as np

from builders import tiny

READY = "#pairs[aria-busy=false]"
UNSTEERED = {"source_layer": np.nan, "layer": np.nan, "coefficient": np.nan, "vector": None}
DRAWN = {"temperature": 1.0, "top_p": 0.3, "frequency_penalty": 1.0, "seed": 0}


def coordinates_of(name: str, layer=None, coefficient=None, vector="weddings") -> dict:
    """Coordinates of a condition, as tables have them."""
    steered = layer is not None
    coordinates = {
        "source_layer": layer,
        "layer": layer,
        "coefficient": coefficient,
        "vector": vector,
    }
    addition = {**coordinates, "position": "front", "phase": "prefill", "dimensions": None}
    return {
        "condition": name,
        "method": "actadd" if steered else "unsteered",
        **(coordinates if steered else UNSTEERED),
        "position": "front" if steered else None,
        "dimensions": np.nan,
        "phase": "prefill" if steered else None,
        "additions": json.dumps([addition] if steered else []),
        **DRAWN,
    }


def cells(layers=(6, 9), coefficients=(1.0, 2.0, 4.0)) -> list[dict]:
    swept = itertools.product(layers, coefficients)
    return [
        coordinates_of("unsteered"),
        *(coordinates_of("actadd", layer, c) for layer, c in swept),
    ]


def write_parts(
    folder, experiment: str, conditions: list[dict], prompts: list[str], samples: int, **more
):
    """Tables of one experiment on one model; returns the arguments of `build` for it.

    more: text(number, prompt, sample) of a completion, score(number, prompt, sample),
    failed: {number of a cell: reason}, differences: one for each cell in place of a tenth of its
    number.
    """
    text = more.get(
        "text", lambda n, p, s: f"plain {p} {s}" if n == 0 else f"the bride {n} {p} {s}"
    )
    score = more.get("score", lambda n, p, s: n + p / 10 + s / 100)
    failed = more.get("failed")
    drawn, scored, summed = [], [], []
    for number, cell in enumerate(conditions):
        shared = {"model": "tiny", "experiment": experiment, **cell, "cell": number}
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
            key = {"condition": cell["condition"], "cell": number}
            scored.append({**key, **row, "any": value, "count": np.nan, **extra})
        mean = np.nan if reason else more.get("differences", {}).get(number, number / 10)
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
    run = ("tiny", experiment)
    keys = {"completions": run, "scores": (*run, "words"), "summaries": run}
    files = tiny.written(tables, folder)
    return {kind: {keys[kind]: file} for kind, file in zip(paths, files, strict=True)}


def entry(name: str, **more) -> dict:
    shared = {"title": f"The {name} experiment", "measure": "completions", "models": ["tiny"]}
    return {"name": name, **shared, "data": "made-up prompts", "notes": {}, "labels": {}, **more}


def joined(parts: list[dict]) -> dict:
    return {kind: {k: v for part in parts for k, v in part[kind].items()} for kind in parts[0]}


def chosen(tab, name: str) -> str:
    return tab.locator(f"#field-{name} option:checked").inner_text()


def choose(tab, name: str, text: str) -> None:
    tab.locator(f"#field-{name}").select_option(label=text)
    tab.locator(READY).wait_for(state="attached")


def open_charts(tab) -> None:
    tab.locator("#charts > summary").click()
    tab.wait_for_selector("#dose .main-svg")


def texts(tab, selector: str) -> list[str]:
    return tab.locator(selector).all_inner_texts()


def side(tab, which: str) -> str:
    return tab.locator(f".pair .{which} .text").first.inner_text()
