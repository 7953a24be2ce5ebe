"""The results of a run in small tables: what each condition changes, from the summaries."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.results.intervals import column_names, interval_text

COLUMNS = ["condition", "mean", "difference from unsteered"]


def headlines(
    experiments: list[dict[str, Any]], summaries: Mapping[tuple[str, str], Path]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """(heading, table) of the experiments that report a setting chosen elsewhere, by model.

    experiments: entries with name, title, models, metric (the score that is reported; else the
    summary's first), labels and held_out. summaries: tables by (model, experiment). A table has a
    row for each condition, with texts in `COLUMNS`: means with 95 % intervals, and paired
    differences with theirs.
    """
    for entry in experiments:
        for model in entry["models"] if entry.get("held_out") else ():
            summary = pd.read_parquet(summaries[model, entry["name"]])
            metric = entry.get("metric")
            if metric not in set(summary["metric"]):
                metric = next(iter(summary["metric"]), None)
            rows = summary[(summary["metric"] == metric) & (summary["group"] == "all")]
            rows = rows[rows["mean"].notna()]
            # A grid of settings is not read in a table; its figure shows it.
            if rows.empty or rows["condition"].duplicated().any():
                continue
            labels = entry.get("labels", {})
            table = [_texts(row, labels) for _, row in rows.iterrows()]
            heading = f"{entry['title']} ({model}): {labels.get(metric, metric)}"
            yield heading, pd.DataFrame(table, columns=COLUMNS)


def _texts(row: "pd.Series[Any]", labels: Mapping[str, str]) -> list[str]:
    condition = labels.get(row["condition"], row["condition"])
    difference = _estimate(row, "difference", "{:+.3f}")
    return [condition, _estimate(row, "mean", "{:.3f}"), difference]


def _estimate(row: "pd.Series[Any]", name: str, form: str) -> str:
    """A number with its interval and a minus sign; nothing where there is no number."""
    return interval_text(row[[*column_names(name)]], form.format).replace("-", "\u2212")
