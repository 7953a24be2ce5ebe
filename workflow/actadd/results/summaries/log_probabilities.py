"""Summaries of log-probabilities: perplexity ratio, and ranks of target tokens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.files import read_cells
from actadd.base.intervals import crossed, paired_p_value, ratio_interval
from actadd.results.summaries.controls import cells_of, coordinates, failure, same_control
from actadd.results.summaries.estimates import (
    Row,
    difference_columns,
    failed_rows,
    interval_columns,
    mean_columns,
    no_difference,
    write_rows,
)

TOKEN = ["text_id", "token_index"]
# Columns of an unsteered token that a steered one is compared with.
COMPARED = ["logprob", "rank", "modified"]


def summarise_logprobs(
    spec: dict[str, Any], *, logprobs: Path, csv: Path, parquet: Path
) -> dict[str, Any]:
    """Write one row for each condition, group of texts and metric, with 95 % intervals over texts.

    spec: ranks, the Ks of precision at K; mask: false counts changed predictions too.
    perplexity_ratio: exp(-mean over tokens of steered minus unsteered log-probability), on the
    tokens whose prediction no condition changed directly (paper, perplexity experiment; its printed
    formula lacks the sign); documents are resampled whole. For texts with targets: precision_at_K,
    the share of texts whose first target token ranks among the first K (paper, ConceptNet), and
    target_logprob, by group and for all texts together; p_value is that of a paired t-test, for
    `rank` of Wilcoxon's signed-rank test on the ranks themselves.
    """
    # A table holds unsteered cells before all others.
    unsteered = pd.DataFrame()
    rows: list[Row] = []
    failed = []
    for draws in _controls(read_cells(logprobs)):
        condition = cells_of(draws[0]).iloc[0]
        steered = condition["method"] != "unsteered"
        reason = failure([cell["failed"].iloc[0] for cell in draws])
        if pd.isna(reason) and steered and unsteered.empty:
            reason = "the unsteered cell that it is compared with failed"
        if pd.notna(reason):
            failed.append((condition, reason))
            continue
        targeted = not draws[-1]["target"].all()
        parts: dict[Any, list[pd.DataFrame]] = {}
        for cell in draws:
            cell["document"] = cell["document"].fillna(cell["text_id"].astype("string"))
            tokens = cell.set_index(TOKEN)
            if not steered:
                unsteered = pd.concat([unsteered, tokens[COMPARED]])
            tokens = tokens.join(unsteered, rsuffix="_unsteered", validate="one_to_one")
            tokens = measured(
                tokens, targeted=not cell["target"].all(), mask=spec.get("mask", True)
            )
            by_group: dict[Any, pd.DataFrame] = dict(list(tokens.groupby("group", sort=True)))
            if targeted or tokens["group"].isna().any():
                by_group["all"] = tokens
            for group, part in by_group.items():
                parts.setdefault(group, []).append(part)
        for group, group_draws in parts.items():
            metrics = (
                _targets(group_draws, spec["ranks"]) if targeted else _perplexity_ratio(group_draws)
            )
            for metric, values in metrics.items():
                if not steered:
                    values |= no_difference()
                rows.append({**coordinates(condition), "group": group, "metric": metric, **values})
    return write_rows([*rows, *failed_rows(failed, rows, "perplexity_ratio")], csv, parquet)


def _controls(cells: Iterator[pd.DataFrame]) -> Iterator[list[pd.DataFrame]]:
    """The rows of each cell, and at once those of a control's draws, which follow each other."""
    draws: list[pd.DataFrame] = []
    for cell in cells:
        if draws and not same_control(pd.concat(map(cells_of, (draws[-1], cell))), 1):
            yield draws
            draws = []
        draws.append(cell)
    if draws:
        yield draws


def measured(tokens: pd.DataFrame, *, targeted: bool, mask: bool) -> pd.DataFrame:
    """The target tokens that count: each text's first if `targeted`, unmasked ones if `mask`."""
    tokens = tokens[tokens["target"]]
    if targeted:
        # Before masking: if the first target token is masked, the next does not replace it.
        index = tokens.index.to_frame(index=False)
        first = index.groupby("text_id")[["token_index"]].min().reset_index()
        tokens = tokens[tokens.index.isin(pd.MultiIndex.from_frame(first))]
    if mask:
        tokens = tokens[~tokens["modified"] & ~tokens["modified_unsteered"]]
    return tokens


def _perplexity_ratio(draws: list[pd.DataFrame]) -> dict[str, Row]:
    documents = [
        draw.groupby("document").agg(
            steered=("logprob", "sum"),
            unsteered=("logprob_unsteered", "sum"),
            tokens=("logprob", "size"),
        )
        for draw in draws
    ]
    counts = np.array([texts["tokens"].to_numpy(np.float64) for texts in documents])
    sums = np.array(
        [(texts["steered"] - texts["unsteered"]).to_numpy(float) for texts in documents]
    )
    means = sums / np.maximum(counts, 1)
    columns: Row = {}
    if len(draws) == 1:
        (mean, low, high), p_value = ratio_interval(sums[0], counts[0]), paired_p_value(means[0])
    else:
        (mean, low, high), p_value = crossed(sums, counts).interval, crossed(means).p_value
        ratios = np.exp(-sums.sum(axis=1) / counts.sum(axis=1))
        columns = {"draws": len(draws), "spread": ratios.std(ddof=1)}
    # exp(-x) decreases, so it swaps the bounds.
    ratio, low, high = float(np.exp(-mean)), float(np.exp(-high)), float(np.exp(-low))
    return {
        "perplexity_ratio": {
            "n_prompts": len(documents[0]),
            "n_tokens": int(counts[0].sum()),
            **interval_columns("mean", (ratio, low, high)),
            **columns,
            **interval_columns("difference", (ratio - 1, low - 1, high - 1)),
            "p_value": p_value,
        }
    }


def _targets(draws: list[pd.DataFrame], ranks: list[int]) -> dict[str, Row]:
    def steered(name: str) -> pd.DataFrame:
        return pd.concat([draw[name] for draw in draws], axis=1).astype(np.float64)

    def unsteered(name: str) -> "pd.Series[float]":
        return draws[0][f"{name}_unsteered"].astype(np.float64)

    def columns(
        values: pd.DataFrame,
        baseline: "pd.Series[float]",
        share: bool = False,
        ranked: bool = False,
    ) -> Row:
        return {
            "n_prompts": len(values),
            "n_tokens": len(values),
            **mean_columns(values, share),
            **difference_columns(values, baseline, ranked),
        }

    rank, baseline = steered("rank"), unsteered("rank")
    precisions = {
        f"precision_at_{k}": columns(
            (rank < k).astype(np.float64), (baseline < k).astype(np.float64), share=True
        )
        for k in ranks
    }
    return {
        **precisions,
        "target_logprob": columns(steered("logprob"), unsteered("logprob")),
        "rank": columns(rank, baseline, ranked=True),
    }
