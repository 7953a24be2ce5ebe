"""Made-up values of the studies of concepts and of models, prompt by prompt."""

import json
from pathlib import Path

import numpy as np

from actadd.results.displays.kinds import Facts, Sources
from actadd.results.summaries.controls import COORDINATES
from builders import tiny

CONCEPTS = ["bread", "cats", "rain", "war", "winter"]
WORDINGS = ("word", "sentence")
PROMPTS = 8
# A cell, and scorer -> metric -> value of each prompt.
Cell = tuple[dict, dict[str, dict[str, np.ndarray]]]
MODELS = {
    "experiment": "e",
    "metric": "about.weddings",
    "damage": "fluency.perplexity",
    "steered": "actadd",
    "control": "random",
}
EFFECTS = {
    "experiment": "e",
    "metrics": ["about.weddings", "fluency.perplexity"],
    "control": "random",
}


def spec(**keys) -> dict:
    wordings = {
        wording: {
            name: {"condition": f"{name}-{wording}", "metric": f"about.{name}"} for name in CONCEPTS
        }
        for wording in WORDINGS
    }
    about = {"experiment": "e", "sweep": "s", "controls": "r"}
    return {**about, "damage": "fluency.perplexity", "wordings": wordings, **keys}


def cell(condition: str, number: int = 0, **coordinates) -> dict:
    method = "unsteered" if condition == "unsteered" else "actadd"
    additions = "[]" if method == "unsteered" else f'[{{"vector": "{condition}"}}]'
    row = {**dict.fromkeys(COORDINATES), "model": "m", "experiment": "e", "additions": additions}
    return {**row, "condition": condition, "method": method, "cell": number, **coordinates}


def worded() -> dict[str, list[Cell]]:
    """Gains: 0.1 times the concept's number by a word, 0.5 more by a sentence; controls gain 0.05.

    The layer that is best is 0 by a word and the concept's number by a sentence.
    """
    noise = np.linspace(-0.01, 0.01, PROMPTS)

    def values(gains, perplexity):
        about = {name: 0.2 + noise + gains.get(name, 0.0) * (1 + noise) for name in CONCEPTS}
        return {"about": about, "fluency": {"perplexity": np.full(PROMPTS, perplexity)}}

    held_out = [(cell("unsteered"), values({}, 10.0))]
    sweep, random = [(cell("unsteered"), values({}, 10.0))], []
    for number, name in enumerate(CONCEPTS):
        for wording in WORDINGS:
            sentence = wording == "sentence"
            gain, best = 0.1 * number + 0.5 * sentence, number * sentence
            condition = f"{name}-{wording}"
            about = {"vector": condition, "coefficient": 2.0}
            held_out.append((cell(condition, layer=best, **about), values({name: gain}, 20.0)))
            random.append((cell(condition, layer=best, **about), values({name: 0.05}, 12.0)))
            for layer in range(len(CONCEPTS)):
                gains = {name: 0.3 - 0.1 * abs(layer - best)}
                sweep.append((cell(condition, layer, layer=layer, **about), values(gains, 11.0)))
    return {"e": held_out, "s": sweep, "r": random}


def on_a_model(**strength: float) -> list[Cell]:
    """A gain of 0.3 at layer 2, and three draws of a control. strength: in place of a
    coefficient of 4.
    """
    noise = np.linspace(-0.02, 0.02, PROMPTS)
    [(unit, value)] = (strength or {"coefficient": 4.0}).items()
    chosen = {"layer": 2, "coefficient": value}

    def values(gain, perplexity):
        about = {"weddings": 0.1 + noise + gain}
        return {"about": about, "fluency": {"perplexity": np.full(PROMPTS, perplexity)}}

    draws = [
        (
            cell("random", draw, **chosen, vector="r", additions="[]", draw=draw),
            values(gain + 0.1 * noise**2, 10.0),
        )
        for draw, gain in enumerate((-0.1, 0.0, 0.2))
    ]
    addition = {"vector": "v", "layer": 2, "source_layer": 2, unit: value}
    steered = cell("actadd", **chosen, vector="v", additions=json.dumps([addition]))
    return [(cell("unsteered"), values(0, 10.0)), (steered, values(0.3 + noise, 15.0)), *draws]


def norms() -> list[dict]:
    """At layer 2, BOS is zero, and the others have a quarter and half of the stream's norm."""
    names = ("layer", "position", "token", "vector_norm", "residual_norm")
    rows = [(1, 0, "a", 90, 10), (2, 0, "BOS", 0, 10), (2, 1, "a", 2.5, 10), (2, 2, "b", 5, 10)]
    return [dict(zip(names, row, strict=True)) for row in rows]


def files(experiments: dict[str, list[Cell]]) -> dict[str, list[dict]]:
    """Relative path -> rows, of the tables and scores of experiments."""
    result: dict[str, list[dict]] = {}
    for name, cells in experiments.items():
        keys = [
            {**each, "prompt_id": prompt, "sample": 0, "group": "", "failed": None}
            for each, _ in cells
            for prompt in range(PROMPTS)
        ]
        result[f"tables/m/{name}.parquet"] = keys
        labels = ("condition", "cell", "prompt_id", "sample", "failed")
        for scorer in cells[0][1]:
            values = [
                {metric: float(column[prompt]) for metric, column in by_scorer[scorer].items()}
                for _, by_scorer in cells
                for prompt in range(PROMPTS)
            ]
            result[f"scores/m/{name}/{scorer}.parquet"] = [
                {**{label: key[label] for label in labels}, **value}
                for key, value in zip(keys, values, strict=True)
            ]
    return result


def sources(rows: dict[str, list[dict]], folder: Path, **fields) -> Sources:
    """Rows by relative path, see `files`, as the tables and scores of a figure or table.

    fields: of Sources, but facts: of Facts.
    """
    tables, scores = {}, {}
    for path, name in zip(tiny.written(rows, folder), rows, strict=True):
        need, *names = name.removesuffix(".parquet").split("/")
        (tables if need == "tables" else scores)[tuple(names)] = path
    facts = Facts(data="d", unit="prompts", **fields.pop("facts", {}))
    return Sources(key="tables.t", facts=facts, paths={}, tables=tables, scores=scores, **fields)
