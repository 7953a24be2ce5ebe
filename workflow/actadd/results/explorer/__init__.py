"""One page to read completions by: every setting, steered beside unsteered, with its scores.

The page is a single file that needs no server and no network. Its texts are data, never markup: the
page's own script sets them, and the page allows no other script to run.
"""

import base64
import hashlib
import html
import json
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from actadd.base.files import write_text
from actadd.results.summaries.controls import COORDINATES, unsteered_beside

ASSETS = Path(__file__).parent
# Parts of the page's one script, in this order.
SCRIPTS = ("state", "data", "choices", "fields", "setting", "charts", "completions", "start")
# What tells the cells of one run apart.
PLACE = [name for name in COORDINATES if name not in ("model", "experiment")]
ESTIMATES = [
    *("n_prompts", "n_completions", "mean", "low", "high"),
    *("difference", "difference_low", "difference_high", "p_value"),
]
# Columns by which a completion's scores are found.
ROW = ["condition", "cell", "prompt_id", "sample"]


def build(
    spec: dict, *, completions: list[Path], scores: list[Path], summaries: list[Path], output: Path
) -> dict[str, Any]:
    """Writes the page.

    spec: title, and experiments in the order in which they are shown; each has name, title, models,
    data (what its prompts are), and may have notes on its scorers, labels of its metrics and
    controls: vectors that it is not opened on.
    completions, summaries: .../MODEL/EXPERIMENT.parquet. scores: .../EXPERIMENT/SCORER.parquet.
    An experiment without completions, as one of log-probabilities, has its summary only. A text in
    the column `failed` of completions or summaries says why there are no numbers.
    """
    drawn = {(path.parent.name, path.stem): path for path in completions}
    summed = {(path.parent.name, path.stem): path for path in summaries}
    scored: dict[tuple[str, str], list[Path]] = {}
    for path in scores:
        scored.setdefault((path.parents[1].name, path.parent.name), []).append(path)
    experiments, count = [], 0
    for entry in spec["experiments"]:
        runs = []
        for model in entry["models"]:
            place = (model, entry["name"])
            run = _run(drawn.get(place), scored.get(place, []), summed[place])
            count += len(run["completions"]["text"])
            runs.append({"model": model, **run})
        experiments.append({**entry, "runs": runs})
    write_text(output, _page({"title": spec["title"], "experiments": experiments}))
    return {"completions": count}


# --- data -----------------------------------------------------------------------------------------


def _run(completions: Path | None, scores: list[Path], summary: Path) -> dict[str, Any]:
    """One experiment on one model: its cells, and columns whose rows name them by number."""
    columns = [*PLACE, *ROW, "draw", "prefix", "prompt", "group", "completion", "failed"]
    drawn = pd.DataFrame() if completions is None else pd.read_parquet(completions)
    drawn = _objects(drawn.reindex(columns=list(dict.fromkeys(columns))))
    summed = pd.read_parquet(summary)
    summed = _objects(summed.reindex(columns=[*PLACE, "group", "metric", *ESTIMATES, "failed"]))
    places = pd.concat([drawn[PLACE], summed[PLACE]], ignore_index=True)
    numbers = places.groupby(PLACE, dropna=False, sort=False).ngroup()
    drawn["number"] = numbers[: len(drawn)].to_numpy()
    summed["number"] = numbers[len(drawn) :].to_numpy()
    places = places[~numbers.duplicated()].reset_index(drop=True)
    prompts = drawn.drop_duplicates("prompt_id")
    prompts = prompts[prompts["prompt_id"].notna()]
    estimates = summed[summed["metric"].notna()].reset_index(drop=True)
    metrics = list(dict.fromkeys(estimates["metric"]))
    groups = sorted(set(estimates["group"]), key=lambda group: (group != "all", group))
    return {
        "cells": _cells(places, drawn, summed),
        "prompts": [
            _known({"id": str(row["prompt_id"]), "text": row["prompt"], "group": row["group"]})
            for row in prompts.to_dict("records")
        ],
        "metrics": metrics,
        "groups": groups,
        "summary": {
            "cell": estimates["number"].tolist(),
            "metric": [metrics.index(name) for name in estimates["metric"]],
            "group": [groups.index(name) for name in estimates["group"]],
            **{name: _numbers(estimates[name]) for name in ESTIMATES},
            "failed": _failed(estimates),
        },
        "completions": _completions(drawn, prompts["prompt_id"].tolist()),
        "scores": _scores(drawn, scores),
    }


def _objects(table: pd.DataFrame) -> pd.DataFrame:
    """With None for everything missing: a column may be missing in one table, text in another."""
    return table.astype(object).where(table.notna(), None)


def _cells(places: pd.DataFrame, drawn: pd.DataFrame, summed: pd.DataFrame) -> list[dict]:
    """Each cell's known coordinates, the number of its unsteered cell, and why it failed."""
    prefixes = drawn.drop_duplicates("number").set_index("number")["prefix"].to_dict()
    failed = _reasons(drawn) | _reasons(summed)
    found = []
    for number, place in places.iterrows():
        cell = _known({name: _number(value) for name, value in place.items()})
        if cell.get("source_layer") == cell.get("layer"):
            cell.pop("source_layer", None)
        parts = json.loads(cell.pop("additions", "[]"))
        beside = unsteered_beside(places, place)
        found.append(
            cell
            | _known({"parts": parts if len(parts) > 1 else None, "failed": failed.get(number)})
            | _known({"unsteered": None if beside is None else int(beside.name)})
            | ({"prefix": prefixes[number]} if prefixes.get(number) else {})
        )
    return found


def _reasons(table: pd.DataFrame) -> dict[int, str]:
    """Why cells have no row that did not fail."""
    broken = table[table["failed"].notna()]
    whole = set(table.loc[table["failed"].isna(), "number"])
    first = broken.drop_duplicates("number").set_index("number")["failed"]
    return {number: str(reason) for number, reason in first.items() if number not in whole}


def _completions(drawn: pd.DataFrame, prompts: list) -> dict[str, list]:
    """Columns of what was drawn."""
    drawn = drawn[drawn["prompt_id"].notna()].reset_index(drop=True)
    order = {name: place for place, name in enumerate(prompts)}
    return {
        "cell": drawn["number"].tolist(),
        "prompt": [order[name] for name in drawn["prompt_id"]],
        "sample": [int(sample) for sample in drawn["sample"]],
        "text": drawn["completion"].tolist(),
        **({"draw": _numbers(drawn["draw"])} if drawn["draw"].notna().any() else {}),
        "failed": _failed(drawn),
    }


def _failed(table: pd.DataFrame) -> list[list]:
    """[row, reason] of each row that failed."""
    return [[number, str(reason)] for number, reason in table["failed"].dropna().items()]


def _scores(drawn: pd.DataFrame, scores: list[Path]) -> dict[str, list[float | None]]:
    """Each metric's value of every completion, or None where there is none."""
    rows = drawn.loc[drawn["prompt_id"].notna(), ROW]
    found = {}
    for path in scores:
        # A failed cell may have no scores, so rows are found by what they are, not by their order.
        table = _objects(pd.read_parquet(path))
        joined = rows.merge(table, on=ROW, how="left", validate="one_to_one")
        for metric in table.columns.drop([*ROW, "failed"], errors="ignore"):
            found[f"{path.stem}.{metric}"] = _numbers(joined[metric])
    return found


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _number(value: Any) -> Any:
    """As a page shows it: six digits are enough, and JSON has no NaN."""
    if value is None or isinstance(value, str):
        return value
    short = float(f"{float(value):.6g}")
    if short != short or short in (float("inf"), float("-inf")):
        return None
    return int(short) if short.is_integer() else short


def _numbers(column: pd.Series) -> list[float | None]:
    return [_number(value) if pd.notna(value) else None for value in column]


# --- page -----------------------------------------------------------------------------------------


def _page(data: dict[str, Any]) -> str:
    """The page as text, the same for the same data. Only scripts whose digest it states may run."""
    script = page_script()
    plotly = get_plotlyjs()
    # "<" ends no script in JSON that has none of it.
    shown = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template((ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(data["title"]),
        allowed=" ".join(map(_source, (script, plotly))),
        style=(ASSETS / "page.css").read_text(encoding="utf-8"),
        data=shown,
        script=script,
        plotly=plotly,
    )


def page_script() -> str:
    """The page's own script."""
    files = (ASSETS / f"{name}.js" for name in SCRIPTS)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _source(script: str) -> str:
    """A script's name in a content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
