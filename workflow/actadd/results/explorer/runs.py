"""What the page holds of one experiment on one model: cells, estimates, and rows cell by cell."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from actadd.results.displays.labels import addition_details, strengths
from actadd.results.explorer.marks import marks
from actadd.results.summaries.controls import COORDINATES, unsteered_beside

# Columns that identify a cell within a run.
CELL = [name for name in COORDINATES if name not in ("model", "experiment")]
ESTIMATES = [
    *("n_prompts", "n_completions", "mean", "low", "high"),
    *("difference", "difference_low", "difference_high", "p_value"),
]
# Columns that identify a completion.
ROW = ["condition", "cell", "prompt_id", "sample"]
READ = ["cell", "text_id", "group", "token", "logprob"]


def run_of(
    completions: Path | None,
    scores: Mapping[str, Path],
    summary: Path,
    *,
    tokens: Path | None = None,
    marked: Mapping[str, Any] | None = None,
    controls: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Cells, prompts, estimates, and `parts`: the number of a cell -> the columns of its rows.

    A run has completions, or tokens of given texts, or neither. marked and controls: see `build`.
    """
    columns = [*CELL, *ROW, "draw", "prefix", "prompt", "group", "completion", "failed"]
    drawn = pd.DataFrame() if completions is None else pd.read_parquet(completions)
    drawn = _objects(drawn.reindex(columns=list(dict.fromkeys(columns))))
    read = pd.DataFrame() if tokens is None else pd.read_parquet(tokens)
    read = _objects(read.reindex(columns=[*CELL, *READ]))
    summed = pd.read_parquet(summary)
    summed = _objects(summed.reindex(columns=[*CELL, "group", "metric", *ESTIMATES, "failed"]))
    tables = [drawn, read, summed]
    cells = pd.concat([table[CELL] for table in tables], ignore_index=True)
    numbers = cells.groupby(CELL, dropna=False, sort=False).ngroup()
    start = 0
    for table in tables:
        table["number"] = numbers[start : start + len(table)].to_numpy()
        start += len(table)
    cells = cells[~numbers.duplicated()].reset_index(drop=True)
    drawn = drawn.join(_scores(drawn, scores))
    drawn_rows = drawn[drawn["prompt_id"].notna()]
    prompts = drawn_rows.drop_duplicates("prompt_id")
    estimates = summed[summed["metric"].notna()].reset_index(drop=True)
    metrics = list(dict.fromkeys(estimates["metric"]))
    groups = sorted(set(estimates["group"]), key=lambda group: (group != "all", group))
    scored = [name for name in drawn.columns if "." in str(name)]
    return {
        "cells": _cells(cells, drawn, summed, controls),
        "prompts": _texts(read)
        or [
            _known({"id": str(row["prompt_id"]), "text": row["prompt"], "group": row["group"]})
            for row in prompts.to_dict("records")
        ],
        "metrics": metrics,
        "groups": groups,
        "scored": scored,
        "marks": marks(marked or {}, drawn["completion"].dropna()),
        "summary": {
            "cell": estimates["number"].tolist(),
            "metric": [metrics.index(name) for name in estimates["metric"]],
            "group": [groups.index(name) for name in estimates["group"]],
            **{name: _numbers(estimates[name]) for name in ESTIMATES},
            "failed": _failed(estimates),
        },
        "parts": _completions(drawn_rows, prompts["prompt_id"].tolist(), scored) | _tokens(read),
    }


def _objects(table: pd.DataFrame) -> pd.DataFrame:
    """A table of objects with None for missing values, so that all tables have the same types."""
    return table.astype(object).where(table.notna(), None)


def _cells(
    cells: pd.DataFrame, drawn: pd.DataFrame, summed: pd.DataFrame, controls: frozenset[str]
) -> list[dict[str, Any]]:
    """Each cell's known coordinates, the number of its unsteered cell, and why it failed."""
    prefixes = drawn.drop_duplicates("number").set_index("number")["prefix"].to_dict()
    complete = drawn[drawn["failed"].isna() & drawn["prompt_id"].notna()]
    counts = complete["number"].value_counts().to_dict()
    failed = _reasons(drawn) | _reasons(summed)
    entries = []
    for number, (_, coordinates) in enumerate(cells.iterrows()):
        cell = _known({str(name): _number(value) for name, value in coordinates.items()})
        if cell.get("source_layer") == cell.get("layer"):
            cell.pop("source_layer", None)
        additions = json.loads(cell.pop("additions", "[]"))
        texts = [addition_details(addition) for addition in additions]
        unusual = len(additions) > 1 or any(
            {"operation", "layers", "gate"} & addition.keys() for addition in additions
        )
        if unusual:
            cell["parts"] = texts
            if len(additions) == 1:
                cell["strength"] = ", ".join(strengths(additions[0]))
        unsteered = unsteered_beside(cells, coordinates)
        if unsteered is not None:
            cell["unsteered"] = cells.index.get_loc(unsteered.name)
        if {addition.get("vector") for addition in additions} & controls:
            cell["control"] = True
        more = {"failed": failed.get(number), "prefix": prefixes.get(number) or None}
        entries.append(cell | _known({**more, "count": counts.get(number)}))
    return entries


def _reasons(table: pd.DataFrame) -> dict[int, str]:
    """The reason of each cell all of whose rows failed, by the cell's number."""
    failed = table[table["failed"].notna()]
    complete = set(table.loc[table["failed"].isna(), "number"])
    first = failed.drop_duplicates("number")
    reasons = zip(first["number"], first["failed"], strict=True)
    return {number: str(reason) for number, reason in reasons if number not in complete}


def _completions(
    drawn: pd.DataFrame, prompts: list[Any], scored: list[str]
) -> dict[int, dict[str, Any]]:
    """The columns of completions and of their scores, by cell."""
    order = {name: position for position, name in enumerate(prompts)}
    parts = {}
    for number, rows in drawn.groupby("number", sort=False):
        parts[int(cast(int, number))] = {
            "prompt": [order[name] for name in rows["prompt_id"]],
            "sample": [int(sample) for sample in rows["sample"]],
            "text": rows["completion"].tolist(),
            **({"draw": _numbers(rows["draw"])} if rows["draw"].notna().any() else {}),
            "failed": _failed(rows.reset_index(drop=True)),
            "scores": {metric: _numbers(rows[metric]) for metric in scored},
        }
    return parts


def _failed(table: pd.DataFrame) -> list[list[Any]]:
    """[row, reason] of each failed row."""
    return [[number, str(reason)] for number, reason in table["failed"].dropna().items()]


def _scores(drawn: pd.DataFrame, scores: Mapping[str, Path]) -> pd.DataFrame:
    """A column scorer.metric for each score, by row of `drawn`; missing where there is no value."""
    columns = {}
    for scorer, path in scores.items():
        # A failed cell may have no scores, so rows are joined by key and not by order.
        table = _objects(pd.read_parquet(path))
        joined = drawn[ROW].merge(table, on=ROW, how="left", validate="many_to_one")
        for metric in table.columns.drop([*ROW, "failed"], errors="ignore"):
            columns[f"{scorer}.{metric}"] = joined[metric].to_numpy()
    return pd.DataFrame(columns, index=drawn.index)


# --- tokens of given texts ------------------------------------------------------------------------


def _texts(read: pd.DataFrame) -> list[dict[str, Any]]:
    """Each text that was read, by the beginning of its tokens."""
    read = read.dropna(subset=["text_id"])
    first = read[read["cell"] == read["cell"].iloc[0]] if len(read) else read
    return [
        _known({"id": str(name), "text": _joined(rows["token"]), "group": rows["group"].iloc[0]})
        for name, rows in first.groupby("text_id", sort=False)
    ]


def _joined(tokens: "pd.Series[Any]") -> str:
    """The text of tokens; those of some tokenizers have lost the space before a word."""
    spaced = any(token.startswith(" ") for token in tokens)
    return ("" if spaced else " ").join(tokens).strip()


def _tokens(read: pd.DataFrame) -> dict[int, dict[str, Any]]:
    """Tokens and their log-probabilities, a list for each text, by cell."""
    parts = {}
    for number, rows in read.dropna(subset=["text_id"]).groupby("number", sort=False):
        # Of several draws of a random vector, the first.
        rows = rows[rows["cell"] == rows["cell"].iloc[0]]
        texts = [text for _, text in rows.groupby("text_id", sort=False)]
        parts[int(cast(int, number))] = {
            "tokens": [text["token"].tolist() for text in texts],
            "logprobs": [_numbers(text["logprob"]) for text in texts],
        }
    return parts


# --- values ---------------------------------------------------------------------------------------


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


def _numbers(column: "pd.Series[Any]") -> list[float | None]:
    return [_number(value) if pd.notna(value) else None for value in column]
