"""Rows of the published table and of ours, and the ones that a config's filters select."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.results.displays.labels import read_norms

# Columns of an estimate's bounds.
BOUNDS = {"mean": ("low", "high"), "difference": ("difference_low", "difference_high")}
# Columns that a table of published numbers must have.
REQUIRED = {"item", "x", "y"}


def read_published(path: Path | None) -> pd.DataFrame:
    """The reference table: all text, as `x` may be a name, with y as the number `published`.

    Raises UserError if it is not CSV, lacks a column or has a y that is not a number.
    """
    if path is None:
        return pd.DataFrame(columns=["item", "published"])
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UserError(
            f"comparison.published: {path} cannot be read as CSV: {str(error)[:200]}; write a "
            "table of comma-separated columns in UTF-8"
        ) from error
    missing = sorted(REQUIRED - set(table))
    if missing:
        raise UserError(
            f"comparison.published: {path} has no column {missing[0]!r}; it has "
            f"{', '.join(map(str, table))}"
        )
    wrong = table[pd.to_numeric(table["y"], errors="coerce").isna()]
    if len(wrong):
        raise UserError(
            f"comparison.published: {path}, row {wrong.index[0] + 1}: y is "
            f"{wrong['y'].iloc[0]!r}, not a number; write a number"
        )
    return table.assign(published=table["y"].astype(np.float64)).drop(columns="y")


def read_summaries(paths: list[Path]) -> pd.DataFrame:
    """All summary rows; k: the K of a metric "..._at_K", else NaN."""
    frames = [pd.read_parquet(path) for path in paths]
    if not frames:
        return pd.DataFrame(columns=["model", "experiment", "metric", "mean", "low", "high", "k"])
    table = pd.concat(frames, ignore_index=True)
    return table.assign(k=table["metric"].str.extract(r"_at_(\d+)$", expand=False).astype(float))


def norm_rows(files: Mapping[tuple[str, str], Path], relative_to: str) -> pd.DataFrame:
    """Norms of vectors as summary rows: the condition is the vector, position a number as text.

    Metrics log10_norm, and norm_ratio: over the norm of the vector `relative_to`, a single
    prompt's, at the same layer and position (paper, Fig. 8).
    """
    table = read_norms(files).rename(columns={"vector": "condition"})
    keys = ["model", "layer", "position"]
    reference = table[table["condition"] == relative_to].set_index(keys)["vector_norm"]
    table = table.join(reference.rename("reference_norm"), on=keys)
    positive = table["vector_norm"].where(table["vector_norm"] > 0)
    metrics = {
        "norm_ratio": table["vector_norm"] / table["reference_norm"],
        "log10_norm": np.log10(positive),
    }
    shared = table[["model", "condition", "layer"]].assign(
        experiment="norms", position=table["position"].astype(str), low=np.nan, high=np.nan
    )
    return pd.concat(
        [shared.assign(metric=metric, mean=values) for metric, values in metrics.items()]
    )


def select(table: pd.DataFrame, filters: dict[str, Any]) -> pd.DataFrame:
    """The rows that equal every filter; null selects empty cells."""
    for column, value in filters.items():
        if column not in table:
            if value is None:
                continue
            return table.iloc[:0]
        cells = table[column]
        if value is None:
            mask = (cells.isna() | (cells == "")).to_numpy(bool)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numeric = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
            mask = np.isclose(numeric, value)
        else:
            mask = (cells.astype(str) == str(value)).to_numpy(bool)
        table = table[mask]
    return table


def check_selector(
    key: str, selector: dict[str, Any], ours: pd.DataFrame, context: dict[str, Any]
) -> None:
    """Raise UserError if a selector names an experiment or a metric that does not exist."""
    experiment = selector.get("experiment")
    if experiment not in context:
        raise UserError(
            f"{key}.experiment: no experiment {experiment!r}; write one of {sorted(context)}"
        )
    metrics = set(context[experiment].get("metrics") or [])
    metrics |= set(ours.loc[ours["experiment"] == experiment, "metric"])
    metric = selector.get("metric")
    if metric is not None and metrics and metric not in metrics:
        raise UserError(
            f"{key}.metric: experiment {experiment} has no metric {metric!r}; "
            f"write one of {sorted(metrics)}"
        )


def models_of(ours: pd.DataFrame, *experiments: str) -> list[str]:
    """The models that ran the experiments; one empty name where none did."""
    return sorted(set(ours.loc[ours["experiment"].isin(experiments), "model"])) or [""]


def estimates(rows: pd.DataFrame, y: str) -> pd.DataFrame:
    """Columns ours, low, high of `mean` or of `difference`, and failed; NaN where one is absent."""
    columns = dict(zip(("ours", "low", "high"), (y, *BOUNDS[y]), strict=True))
    values = {name: rows.get(column, np.nan) for name, column in columns.items()}
    return pd.DataFrame({**values, "failed": rows.get("failed")}, index=rows.index)


def estimates_by_x(key: str, rows: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Columns x, ours, low, high, failed, one row for each x.

    Raises UserError if several rows have one x.
    """
    if x not in rows:
        rows = rows.iloc[:0].assign(**{x: []})
    rows = rows[rows[x].notna()]
    repeated = rows.loc[rows[x].duplicated(), x]
    if len(repeated):
        raise UserError(
            f"{key}: several rows of model {rows['model'].iloc[0]} have {x} {repeated.iloc[0]}; "
            f"add filters that leave one, such as condition, group, layer or coefficient"
        )
    return estimates(rows, y).assign(x=rows[x])


def single(key: str, rows: pd.DataFrame) -> "pd.Series[Any] | None":
    """The only row, or None if there is none or its mean is empty.

    Raises UserError if there are several.
    """
    if len(rows) > 1:
        raise UserError(
            f"{key}: {len(rows)} rows of model {rows['model'].iloc[0]} match; "
            f"add filters that leave one, such as condition, group, layer or coefficient"
        )
    return None if rows["mean"].isna().all() else rows.iloc[0]


def count_verdicts(table: pd.DataFrame, verdicts: tuple[str, ...]) -> dict[str, int]:
    """How many rows have each of the verdicts."""
    counts = table["verdict"].value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in verdicts}
