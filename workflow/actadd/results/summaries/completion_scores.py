"""Summaries of scored completions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow.parquet as pq

from actadd.results.summaries.controls import (
    COORDINATES,
    cells_of,
    controls,
    coordinates,
    failure,
    unsteered_beside,
)
from actadd.results.summaries.estimates import (
    Row,
    difference_columns,
    mean_columns,
    write_rows,
)


def summarise_completions(
    spec: dict[str, Any], *, completions: Path, scores: Mapping[str, Path], csv: Path, parquet: Path
) -> dict[str, Any]:
    """Write one row for each condition, group of prompts and metric: n, mean, 95 % interval.

    spec: {shares: scorer -> its metrics that are shares: yes or no for one completion}. scores: a
    table for each scorer; a metric is called scorer.column. A prompt's samples are averaged and
    intervals bootstrapped over prompts, or over the samples of a single prompt.
    `difference` is the mean of steered minus unsteered with the same sampling and seed, p_value
    that of a paired t-test. Group "all" holds every prompt. failed: why a cell has no numbers.
    """
    available = set(pq.read_schema(completions).names)
    columns = ["cell", "prompt_id", "group", *COORDINATES, "draw"]
    table = pd.read_parquet(completions, columns=[name for name in columns if name in available])
    cells = cells_of(table)
    groups = table.drop_duplicates("prompt_id").set_index("prompt_id")["group"]
    shares = spec["shares"]
    rows = [
        row
        for scorer, path in scores.items()
        for row in _scorer_rows(scorer, path, cells, groups, shares[scorer])
    ]
    return write_rows(rows, csv, parquet)


def _scorer_rows(
    scorer: str, path: Path, cells: pd.DataFrame, groups: "pd.Series[Any]", shares: list[str]
) -> list[Row]:
    """The rows of one scorer's metrics, metric by metric.

    groups: each prompt's group, by prompt_id. shares: the metrics that are shares.
    """
    scored = pd.read_parquet(path)
    by_name = scored.groupby(["condition", "cell"], sort=False)
    failed = by_name["failed"].first()
    metrics = scored.columns.drop(["condition", "cell", "prompt_id", "sample", "failed"])
    by_cell = {
        key: part.set_index(["prompt_id", "sample"])[[*metrics]].astype("float64")
        for key, part in by_name
    }
    rows: dict[str, list[Row]] = {metric: [] for metric in metrics}
    # All metrics of a cell at once: a scorer may have dozens, one for each concept.
    for control in controls(cells):
        first = control.iloc[0]
        keys = [(first["condition"], cell) for cell in control["cell"]]
        placed, why = coordinates(first), failure([failed[key] for key in keys])
        baseline = _baseline(cells, first, by_cell)
        draws = pd.concat([by_cell[key] for key in keys], axis=1, keys=range(len(keys)))
        for group, part in _by_group(draws, groups):
            beside = None if baseline is None else _resampling_units(baseline.reindex(part.index))
            values = _resampling_units(part)
            for metric in metrics:
                scores = part.xs(metric, axis=1, level=1)
                means = cast(pd.DataFrame, values.xs(metric, axis=1, level=1))
                rows[metric].append(
                    {
                        **placed,
                        "group": group,
                        "metric": f"{scorer}.{metric}",
                        "n_prompts": scores.dropna().index.get_level_values(0).nunique(),
                        "n_completions": int(scores.notna().to_numpy().sum()),
                        **mean_columns(means, metric in shares),
                        **difference_columns(means, None if beside is None else beside[metric]),
                        "failed": why,
                    }
                )
    return [row for of_metric in rows.values() for row in of_metric]


def _resampling_units(values: pd.DataFrame) -> pd.DataFrame:
    """Prompts with their samples averaged; the samples themselves if there is a single prompt."""
    prompts = values.index.get_level_values("prompt_id")
    return values.droplevel(0) if prompts.nunique() == 1 else values.groupby(level=0).mean()


def _by_group(values: pd.DataFrame, groups: "pd.Series[Any]") -> Iterator[tuple[str, pd.DataFrame]]:
    """All prompts' values, then those of each group, if there is more than one."""
    yield "all", values
    labels = groups.reindex(values.index.get_level_values("prompt_id")).fillna("").to_numpy(object)
    names = sorted(set(labels) - {""})
    if len(names) > 1:
        yield from ((name, values[labels == name]) for name in names)


def _baseline(
    cells: pd.DataFrame, cell: "pd.Series[Any]", by_cell: Mapping[Any, pd.DataFrame]
) -> pd.DataFrame | None:
    """The values of the unsteered cell that a cell is compared with."""
    unsteered = unsteered_beside(cells, cell)
    return None if unsteered is None else by_cell[unsteered["condition"], unsteered["cell"]]
