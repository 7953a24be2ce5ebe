"""The results of a run in a table: what each condition changes, from the summaries."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ["experiment", "score", "condition", "mean", "difference from unsteered"]


def headlines(
    experiments: list[dict[str, Any]], summaries: Mapping[tuple[str, str], Path]
) -> pd.DataFrame:
    """A row for each condition of the experiments that report a setting chosen elsewhere.

    experiments: entries with name, title, models, metric (the score that is reported), labels and
    held_out. summaries: tables by (model, experiment). Returns texts in `COLUMNS`: means with 95 %
    intervals, and paired differences with theirs.
    """
    rows = [
        row
        for entry in experiments
        if entry.get("held_out")
        for model in entry["models"]
        for row in _rows(entry, model, pd.read_parquet(summaries[model, entry["name"]]))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(entry: dict[str, Any], model: str, summary: pd.DataFrame) -> Iterator[list[str]]:
    metric = entry.get("metric")
    rows = summary[(summary["metric"] == metric) & (summary["group"] == "all")]
    rows = rows[rows["mean"].notna()]
    # A grid of settings is not read in a table; its figure shows it.
    if rows.empty or rows["condition"].duplicated().any():
        return
    title = f"{entry['title']} ({model})"
    label = entry.get("labels", {}).get(metric, metric)
    for _, row in rows.iterrows():
        difference = _estimate(row, "difference", "difference_low", "difference_high", "+.3f")
        yield [title, label, row["condition"], _estimate(row, "mean", "low", "high"), difference]
        title = label = ""


def _estimate(row: "pd.Series[Any]", value: str, low: str, high: str, form: str = ".3f") -> str:
    """A number with its interval; nothing where there is no number."""
    if pd.isna(row[value]):
        return ""
    if pd.isna(row[low]):
        return f"{row[value]:{form}}"
    return f"{row[value]:{form}} [{row[low]:{form}}, {row[high]:{form}}]"
