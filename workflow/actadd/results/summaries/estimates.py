"""Columns of a summary row: means and differences with their bounds, and rows of failed cells."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.files import write_with
from actadd.base.intervals import (
    crossed,
    crossed_mean,
    difference_interval,
    mean_interval,
    paired_p_value,
    signed_ranks,
)
from actadd.results.flat_tables import write_csv
from actadd.results.summaries.controls import coordinates

MISSING = (np.nan,) * 3

Row = dict[str, Any]


def interval_columns(name: str, interval: tuple[float, float, float]) -> Row:
    """Columns of (estimate, low, high); the bounds of `mean` are plainly low and high."""
    bounds = ("low", "high") if name == "mean" else (f"{name}_low", f"{name}_high")
    return dict(zip((name, *bounds), interval, strict=True))


def mean_columns(values: pd.DataFrame, share: bool = False) -> Row:
    """The mean with its bounds, and the draws' number and spread if there are several.

    values: a row for each prompt, a column for each draw.
    """
    if values.shape[1] == 1:
        return interval_columns("mean", mean_interval(values.to_numpy()[:, 0], share))
    draws = values.dropna().to_numpy(np.float64).T
    return {
        **interval_columns("mean", crossed_mean(draws, share)),
        "draws": len(draws),
        "spread": draws.mean(axis=1).std(ddof=1) if draws.size else np.nan,
    }


def difference_columns(
    values: pd.DataFrame, baseline: "pd.Series[Any] | None", ranked: bool = False
) -> Row:
    """The paired difference from a baseline with its bounds and p-value; NaN without a baseline.

    values: as in `mean_columns`. ranked: test signed ranks instead of means.
    """
    if baseline is None:
        return no_difference()
    change = values.sub(baseline.reindex(values.index), axis=0).dropna().to_numpy().T
    if len(change) == 1:
        interval, p_value = difference_interval(change[0]), paired_p_value(change[0], ranked)
    else:
        interval = crossed(change).interval
        p_value = crossed(signed_ranks(change) if ranked else change).p_value
    return {**interval_columns("difference", interval), "p_value": p_value}


def no_difference() -> Row:
    return {**interval_columns("difference", MISSING), "p_value": np.nan}


def failed_rows(
    failed: Sequence[tuple["pd.Series[Any]", str]], rows: list[Row], metric: str
) -> Iterator[Row]:
    """Rows without numbers for failed cells, with the groups and metrics of the other rows.

    failed: each cell with its reason. metric: the one to name if no cell has numbers.
    """
    labels = dict.fromkeys((row["group"], row["metric"]) for row in rows) or {("all", metric): None}
    for cell, reason in failed:
        for group, name in labels:
            yield {
                **coordinates(cell),
                "group": group,
                "metric": name,
                "n_prompts": 0,
                **interval_columns("mean", MISSING),
                **no_difference(),
                "failed": reason,
            }


def write_rows(rows: list[Row], csv: Path, parquet: Path) -> dict[str, Any]:
    """Write a summary in both formats, the CSV without JSON; returns its number of rows."""
    table = pd.DataFrame(rows)
    table["failed"] = table.get("failed", pd.Series(index=table.index)).astype("string")
    write_with(parquet, lambda path: table.to_parquet(path, index=False))
    write_with(csv, partial(write_csv, table))
    return {"rows": len(table)}
