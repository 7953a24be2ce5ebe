"""The explorer: one page with all completions, steered beside unsteered, and their scores.

The page is a single file that needs no server and no network. Its texts are data, never markup: the
page's own script inserts them, and the page lets no other script run.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from actadd.base.files import write_text
from actadd.results.displays.labels import addition_details, strengths
from actadd.results.summaries.controls import COORDINATES, unsteered_beside

ASSETS = Path(__file__).parent
# Parts of the page's one script, in this order.
SCRIPTS = (
    "state",
    "data",
    "choices",
    "fields",
    "setting",
    "plots",
    "charts",
    "completions",
    "start",
)
# Columns that identify a cell within a run.
CELL = [name for name in COORDINATES if name not in ("model", "experiment")]
ESTIMATES = [
    *("n_prompts", "n_completions", "mean", "low", "high"),
    *("difference", "difference_low", "difference_high", "p_value"),
]
# Columns that identify a completion.
ROW = ["condition", "cell", "prompt_id", "sample"]


def build(
    spec: dict[str, Any],
    *,
    completions: Mapping[tuple[str, str], Path],
    scores: Mapping[tuple[str, str, str], Path],
    summaries: Mapping[tuple[str, str], Path],
    output: Path,
) -> dict[str, Any]:
    """Write the page; returns its number of completions.

    spec: title, and experiments in order of display; each has name, title, models, data (a
    description of its prompts), and may have notes on its scorers, labels of its metrics and
    controls: vectors on which the page does not open.
    completions, summaries: tables by (model, experiment); scores: by (model, experiment, scorer).
    An experiment without completions, such as one of log-probabilities, has its summary only. The
    column `failed` of completions and summaries holds the reason where there are no numbers.
    """
    score_files: dict[tuple[str, str], dict[str, Path]] = {}
    for (model, experiment, scorer), path in scores.items():
        score_files.setdefault((model, experiment), {})[scorer] = path
    experiments, count = [], 0
    for entry in spec["experiments"]:
        runs = []
        for model in entry["models"]:
            key = (model, entry["name"])
            run = _run(completions.get(key), score_files.get(key, {}), summaries[key])
            count += len(run["completions"]["text"])
            runs.append({"model": model, **run})
        experiments.append({**entry, "runs": runs})
    write_text(output, _page({"title": spec["title"], "experiments": experiments}))
    return {"completions": count}


# --- data -----------------------------------------------------------------------------------------


def _run(completions: Path | None, scores: dict[str, Path], summary: Path) -> dict[str, Any]:
    """One experiment on one model: its cells, and columns whose rows refer to cells by number."""
    columns = [*CELL, *ROW, "draw", "prefix", "prompt", "group", "completion", "failed"]
    drawn = pd.DataFrame() if completions is None else pd.read_parquet(completions)
    drawn = _objects(drawn.reindex(columns=list(dict.fromkeys(columns))))
    summed = pd.read_parquet(summary)
    summed = _objects(summed.reindex(columns=[*CELL, "group", "metric", *ESTIMATES, "failed"]))
    cells = pd.concat([drawn[CELL], summed[CELL]], ignore_index=True)
    numbers = cells.groupby(CELL, dropna=False, sort=False).ngroup()
    drawn["number"] = numbers[: len(drawn)].to_numpy()
    summed["number"] = numbers[len(drawn) :].to_numpy()
    cells = cells[~numbers.duplicated()].reset_index(drop=True)
    prompts = drawn.drop_duplicates("prompt_id")
    prompts = prompts[prompts["prompt_id"].notna()]
    estimates = summed[summed["metric"].notna()].reset_index(drop=True)
    metrics = list(dict.fromkeys(estimates["metric"]))
    groups = sorted(set(estimates["group"]), key=lambda group: (group != "all", group))
    return {
        "cells": _cells(cells, drawn, summed),
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
    """A table of objects with None for missing values, so that all tables have the same types."""
    return table.astype(object).where(table.notna(), None)


def _cells(cells: pd.DataFrame, drawn: pd.DataFrame, summed: pd.DataFrame) -> list[dict[str, Any]]:
    """Each cell's known coordinates, the number of its unsteered cell, and why it failed."""
    prefixes = drawn.drop_duplicates("number").set_index("number")["prefix"].to_dict()
    failed = _reasons(drawn) | _reasons(summed)
    entries = []
    for number, (_, coordinates) in enumerate(cells.iterrows()):
        cell = _known({str(name): _number(value) for name, value in coordinates.items()})
        if cell.get("source_layer") == cell.get("layer"):
            cell.pop("source_layer", None)
        parts = json.loads(cell.pop("additions", "[]"))
        texts = [addition_details(part) for part in parts]
        unusual = len(parts) > 1 or any(
            {"operation", "layers", "gate"} & part.keys() for part in parts
        )
        unsteered = unsteered_beside(cells, coordinates)
        entries.append(
            cell
            | _known({"parts": texts if unusual else None, "failed": failed.get(number)})
            | ({"strength": ", ".join(strengths(parts[0]))} if unusual and len(parts) == 1 else {})
            | _known(
                {"unsteered": None if unsteered is None else cells.index.get_loc(unsteered.name)}
            )
            | ({"prefix": prefixes[number]} if prefixes.get(number) else {})
        )
    return entries


def _reasons(table: pd.DataFrame) -> dict[int, str]:
    """The reason of each cell all of whose rows failed, by the cell's number."""
    failed = table[table["failed"].notna()]
    complete = set(table.loc[table["failed"].isna(), "number"])
    first = failed.drop_duplicates("number")
    reasons = zip(first["number"], first["failed"], strict=True)
    return {number: str(reason) for number, reason in reasons if number not in complete}


def _completions(drawn: pd.DataFrame, prompts: list[Any]) -> dict[str, list[Any]]:
    """The columns of completions."""
    drawn = drawn[drawn["prompt_id"].notna()].reset_index(drop=True)
    order = {name: position for position, name in enumerate(prompts)}
    return {
        "cell": drawn["number"].tolist(),
        "prompt": [order[name] for name in drawn["prompt_id"]],
        "sample": [int(sample) for sample in drawn["sample"]],
        "text": drawn["completion"].tolist(),
        **({"draw": _numbers(drawn["draw"])} if drawn["draw"].notna().any() else {}),
        "failed": _failed(drawn),
    }


def _failed(table: pd.DataFrame) -> list[list[Any]]:
    """[row, reason] of each failed row."""
    return [[number, str(reason)] for number, reason in table["failed"].dropna().items()]


def _scores(drawn: pd.DataFrame, scores: dict[str, Path]) -> dict[str, list[float | None]]:
    """Each metric's value of every completion; None where there is no value."""
    rows = drawn.loc[drawn["prompt_id"].notna(), ROW]
    values = {}
    for scorer, path in scores.items():
        # A failed cell may have no scores, so rows are joined by key and not by order.
        table = _objects(pd.read_parquet(path))
        joined = rows.merge(table, on=ROW, how="left", validate="one_to_one")
        for metric in table.columns.drop([*ROW, "failed"], errors="ignore"):
            values[f"{scorer}.{metric}"] = _numbers(joined[metric])
    return values


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """The entries that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def _number(value: Any) -> Any:
    """A number to six digits; None for NaN and infinities, which JSON lacks."""
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
    """The page as text, the same for the same data; only scripts whose digest it holds may run."""
    script = page_script()
    plotly = get_plotlyjs()
    # Without "<" no text in the JSON can end the script element.
    json_data = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template((ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(data["title"]),
        allowed=" ".join(map(_source, (script, plotly))),
        style=(ASSETS / "page.css").read_text(encoding="utf-8"),
        data=json_data,
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
