"""Summaries of divergences: KL from unsteered predictions, and watched tokens' probabilities."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from actadd.results.summaries.controls import cells_of, controls, coordinates, failure
from actadd.results.summaries.estimates import (
    Row,
    difference_columns,
    failed_rows,
    mean_columns,
    write_rows,
)


class Metric(NamedTuple):
    """A metric's value by text, and the unsteered value where it is compared with that."""

    values: "pd.Series[Any]"
    unsteered: "pd.Series[Any] | None" = None


def summarise_divergence(
    spec: dict[str, Any], *, divergence: Path, csv: Path, parquet: Path
) -> dict[str, Any]:
    """Write one row for each condition and metric, with 95 % intervals over texts.

    kl, and kl_over_entropy: KL(unsteered || steered) over the unsteered entropy, each averaged over
    a text's positions that were not changed directly (paper, random-vector control). For watched
    tokens, at each text's last position: probability TOKEN, whose difference is from unsteered, and
    ratio TOKEN, steered over unsteered (paper, next-token effects).
    """
    table = pd.read_parquet(divergence)
    rows: list[Row] = []
    failed = []
    for control in controls(cells_of(table)):
        first = control.iloc[0]
        draws = [
            table[(table["cell"] == cell) & (table["condition"] == first["condition"])]
            for cell in control["cell"]
        ]
        reason = failure([draw["failed"].iloc[0] for draw in draws])
        if pd.notna(reason):
            failed.append((first, reason))
            continue
        by_draw = [metrics_of(draw) for draw in draws]
        for name, metric in by_draw[0].items():
            values = pd.concat([metrics[name].values for metrics in by_draw], axis=1)
            baseline = None if first["method"] == "unsteered" else metric.unsteered
            rows.append(
                {
                    **coordinates(first),
                    "group": "all",
                    "metric": name,
                    "n_prompts": len(values),
                    **mean_columns(values),
                    **difference_columns(values, baseline),
                }
            )
    return write_rows([*rows, *failed_rows(failed, rows, "kl")], csv, parquet)


def metrics_of(cell: pd.DataFrame) -> dict[str, Metric]:
    """The metrics of one cell's rows, by name."""
    texts = cell[~cell["modified"]].groupby("text_id")[["kl", "entropy"]].mean()
    metrics = {
        "kl": Metric(texts["kl"]),
        "kl_over_entropy": Metric(texts["kl"] / texts["entropy"]),
    }
    last = cell[cell["token_ids"].notna()]
    columns = ["tokens", "before", "after", "watched"]
    tokens = last.set_index("text_id")[columns].explode(columns)
    watched = tokens[tokens["watched"].astype(bool)]
    stripped = [str(token).strip() for token in watched["tokens"].unique()]
    for label, part in watched.groupby("tokens", sort=True):
        token = str(label)
        name = token.strip() if stripped.count(token.strip()) == 1 else repr(token)
        before, after = part["before"].astype(float), part["after"].astype(float)
        metrics[f"probability {name}"] = Metric(after, before)
        metrics[f"ratio {name}"] = Metric(after / before)
    return metrics
