"""Summaries: tidy rows of each condition's metrics with intervals, and paired differences.

The draws of a random vector are one control and get one row: its mean over draws and prompts, with
an interval and a test that take both for random effects, see `intervals.crossed`. Columns
`draws`, how many, and `spread`, the standard deviation of the draws' means, are there only then. A
prompt without a value in some draw is left out; a control of which a draw failed has failed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from actadd.measure.conditions import SAMPLING
from actadd.base.files import read_cells, write_with
from actadd.base.intervals import (
    crossed,
    crossed_mean,
    difference_interval,
    mean_interval,
    paired_p_value,
    ratio_interval,
    signed_ranks,
)

COORDINATES = [
    "model",
    "experiment",
    "condition",
    "method",
    "vector",
    "source_layer",
    "layer",
    "coefficient",
    "position",
    "dimensions",
    "phase",
    "additions",
    *SAMPLING,
    "seed",
]
NOTHING = (np.nan,) * 3


def summarise_completions(
    spec: dict, *, completions: Path, scores: list[Path], csv: Path, parquet: Path
) -> dict[str, Any]:
    """One row for each condition, group of prompts and metric: n, mean, 95 % interval.

    spec: {shares: scorer -> its metrics that are shares: yes or no for one completion}. scores: one
    table for each scorer; a metric is called scorer.column. A prompt's samples are
    averaged and intervals bootstrapped over prompts, or over the samples of a single prompt.
    `difference` is the mean of steered minus unsteered with the same sampling and seed, p_value
    that of a paired t-test. Group "all" holds every prompt. failed: why a cell has no numbers.
    """
    there = set(pq.read_schema(completions).names)
    wanted = ["cell", "prompt_id", "group", *COORDINATES, "draw"]
    table = pd.read_parquet(completions, columns=[name for name in wanted if name in there])
    cells = _cells(table)
    groups = table.drop_duplicates("prompt_id").set_index("prompt_id")["group"]
    rows = []
    for path in scores:
        scored = pd.read_parquet(path)
        failed = scored.groupby(["condition", "cell"], sort=False)["failed"].first()
        labels = ["condition", "cell", "prompt_id", "sample", "failed"]
        for metric in scored.columns.drop(labels):
            by_cell = {
                key: part.set_index(["prompt_id", "sample"])[metric]
                for key, part in scored.groupby(["condition", "cell"], sort=False)
            }
            share = metric in spec["shares"][path.stem]
            for control in _controls(cells):
                _, place = next(control.iterrows())
                keys = [(place["condition"], cell) for cell in control["cell"]]
                baseline = _baseline(cells, place, by_cell)
                draw_values = pd.concat([by_cell[key] for key in keys], axis=1)
                for group, part in _by_group(draw_values, groups):
                    values = _units(part)
                    before = None if baseline is None else _units(baseline.reindex(part.index))
                    rows.append(
                        {
                            **place[COORDINATES].to_dict(),
                            "group": group,
                            "metric": f"{path.stem}.{metric}",
                            "n_prompts": part.dropna().index.get_level_values(0).nunique(),
                            "n_completions": int(part.notna().to_numpy().sum()),
                            **_mean(values, share),
                            **_difference(values, before),
                            "failed": _reason([failed[key] for key in keys]),
                        }
                    )
    return _write(rows, csv, parquet)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in COORDINATES if name in table]
    columns += ["draw"] if "draw" in table else []
    cells = table.drop_duplicates(["condition", "cell"])[[*columns, "cell"]]
    return cells.reindex(columns=[*COORDINATES, "draw", "cell"])


def _controls(cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Each cell alone, but the draws of a random vector together; they stand beside each other."""
    ends = [place for place in range(len(cells)) if not place or not _drawn_with(cells, place)]
    for start, end in zip(ends, [*ends[1:], len(cells)], strict=True):
        yield cells.iloc[start:end]


def _drawn_with(cells: pd.DataFrame, place: int) -> bool:
    """Whether a cell is a draw of the control that the one before it is a draw of."""
    before, own = cells.iloc[place - 1], cells.iloc[place]
    return pd.notna(own["draw"]) and own[COORDINATES].equals(before[COORDINATES])


def _reason(failed: list[Any]) -> Any:
    """Why a control has no numbers: a cell's reason, or that of the first draw that failed."""
    lost = [draw for draw, reason in enumerate(failed) if pd.notna(reason)]
    if len(failed) == 1 or not lost:
        return failed[0]
    return f"draw {lost[0]} of the random vector: {failed[lost[0]]}"


def _units(values: pd.DataFrame | pd.Series) -> pd.DataFrame | pd.Series:
    """What is resampled: prompts, their samples averaged; of a single prompt, its samples."""
    prompts = values.index.get_level_values("prompt_id")
    return values.droplevel(0) if prompts.nunique() == 1 else values.groupby(level=0).mean()


def _by_group(values: pd.DataFrame, groups: pd.Series) -> Iterator[tuple[str, pd.DataFrame]]:
    """All prompts' values, then those of each group, if there is more than one."""
    yield "all", values
    own = groups.reindex(values.index.get_level_values("prompt_id")).fillna("").to_numpy(object)
    names = sorted(set(own) - {""})
    if len(names) > 1:
        yield from ((name, values[own == name]) for name in names)


def unsteered_beside(cells: pd.DataFrame, place: pd.Series) -> pd.Series | None:
    """The unsteered cell that was drawn as a cell was; None for unsteered cells.

    cells: rows with all COORDINATES that differ within an experiment.
    """
    if place["method"] == "unsteered":
        return None
    drawn = [*SAMPLING, "seed"]
    same = (cells[drawn] == place[drawn]) | (cells[drawn].isna() & place[drawn].isna())
    found = cells[(cells["method"] == "unsteered") & same.all(axis=1)]
    return None if found.empty else found.iloc[0]


def _baseline(cells: pd.DataFrame, place: pd.Series, by_cell: dict) -> pd.Series | None:
    """The unsteered values beside a cell's."""
    found = unsteered_beside(cells, place)
    return None if found is None else by_cell[found["condition"], found["cell"]]


def _interval(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    """Columns of an estimate and its bounds; the mean's bounds go without its name."""
    bounds = ("low", "high") if name == "mean" else (f"{name}_low", f"{name}_high")
    return dict(zip((name, *bounds), values, strict=True))


def _mean(values: pd.DataFrame, share: bool = False) -> dict[str, float]:
    """values: a row for each prompt, a column for each draw, of which there is mostly one."""
    if values.shape[1] == 1:
        return _interval("mean", mean_interval(values.to_numpy()[:, 0], share))
    whole = values.dropna().to_numpy(np.float64).T
    about = {
        "draws": len(whole),
        "spread": whole.mean(axis=1).std(ddof=1) if whole.size else np.nan,
    }
    return {**_interval("mean", crossed_mean(whole, share)), **about}


def _difference(
    values: pd.DataFrame, baseline: pd.Series | None, ranked: bool = False
) -> dict[str, float]:
    """ranked: the test is one of signed ranks."""
    if baseline is None:
        return {**_interval("difference", NOTHING), "p_value": np.nan}
    change = values.sub(baseline.reindex(values.index), axis=0).dropna().to_numpy().T
    if len(change) == 1:
        estimate, p_value = difference_interval(change[0]), paired_p_value(change[0], ranked)
    else:
        estimate = crossed(change).interval
        p_value = crossed(signed_ranks(change) if ranked else change).p_value
    return {**_interval("difference", estimate), "p_value": p_value}


def summarise_logprobs(spec: dict, *, logprobs: Path, csv: Path, parquet: Path) -> dict[str, Any]:
    """One row for each condition, group of texts and metric, with 95 % intervals over texts.

    spec: ranks, the Ks of precision at K; mask: false counts changed predictions too.
    perplexity_ratio: exp(-mean over tokens of steered minus unsteered log-probability), on the
    tokens whose prediction no condition changed directly (paper, perplexity experiment; its printed
    formula lacks the sign); documents are resampled whole. For texts with targets: precision_at_K,
    the share of texts whose first target token ranks among the first K (paper, ConceptNet), and
    target_logprob, by group and for all texts together; p_value is that of a paired t-test, for
    `rank` of Wilcoxon's signed-rank test on the ranks themselves.
    """
    index = ["text_id", "token_index"]
    baseline = ["logprob", "rank", "modified"]
    # A table holds unsteered cells before all others.
    unsteered = pd.DataFrame()
    rows, failed = [], []
    for draws in _draws_together(read_cells(logprobs)):
        condition = _cells(draws[0]).iloc[0]
        reason = _reason([cell["failed"].iloc[0] for cell in draws])
        if pd.isna(reason) and condition["method"] != "unsteered" and unsteered.empty:
            reason = "the unsteered cell that it is compared with failed"
        if pd.notna(reason):
            failed.append((condition, reason))
            continue
        parts: dict[str, list[pd.DataFrame]] = {}
        for cell in draws:
            cell["document"] = cell["document"].fillna(cell["text_id"].astype("string"))
            targeted = not cell["target"].all()
            tokens = cell.set_index(index)
            if condition["method"] == "unsteered":
                unsteered = pd.concat([unsteered, tokens[baseline]])
            tokens = tokens.join(unsteered, rsuffix="_unsteered", validate="one_to_one")
            tokens = tokens[tokens["target"]]
            if targeted:
                # Before masking: where the first target token is masked, the next is no substitute.
                tokens = tokens[tokens.index.isin(_first_tokens(tokens))]
            if spec.get("mask", True):
                tokens = tokens[~tokens["modified"] & ~tokens["modified_unsteered"]]
            by_group = dict(list(tokens.groupby("group", sort=True)))
            if targeted or tokens["group"].isna().any():
                by_group["all"] = tokens
            for group, part in by_group.items():
                parts.setdefault(group, []).append(part)
        for group, part in parts.items():
            metrics = _targets(part, spec["ranks"]) if targeted else _perplexity_ratio(part)
            for metric, values in metrics.items():
                if condition["method"] == "unsteered":
                    values |= {**_interval("difference", NOTHING), "p_value": np.nan}
                coordinates = condition[COORDINATES].to_dict()
                rows.append({**coordinates, "group": group, "metric": metric, **values})
    return _write([*rows, *_failed(failed, rows, "perplexity_ratio")], csv, parquet)


def _draws_together(cells: Iterator[pd.DataFrame]) -> Iterator[list[pd.DataFrame]]:
    """The rows of each cell, and those of a control's draws, which follow each other, at once."""
    waiting: list[pd.DataFrame] = []
    for cell in cells:
        if waiting and not _drawn_with(pd.concat(map(_cells, (waiting[-1], cell))), 1):
            yield waiting
            waiting = []
        waiting.append(cell)
    if waiting:
        yield waiting


def _perplexity_ratio(draws: list[pd.DataFrame]) -> dict[str, dict]:
    parts = [
        part.groupby("document").agg(
            steered=("logprob", "sum"),
            unsteered=("logprob_unsteered", "sum"),
            tokens=("logprob", "size"),
        )
        for part in draws
    ]
    counts = np.array([texts["tokens"].to_numpy(np.float64) for texts in parts])
    sums = np.array([(texts["steered"] - texts["unsteered"]).to_numpy(float) for texts in parts])
    means = sums / np.maximum(counts, 1)
    if len(draws) == 1:
        (mean, low, high), p_value = ratio_interval(sums[0], counts[0]), paired_p_value(means[0])
        about = {}
    else:
        (mean, low, high), p_value = crossed(sums, counts).interval, crossed(means).p_value
        of_draws = np.exp(-sums.sum(axis=1) / counts.sum(axis=1))
        about = {"draws": len(draws), "spread": of_draws.std(ddof=1)}
    # The exponential of a negative mean turns the interval round.
    ratio = (float(np.exp(-mean)), float(np.exp(-high)), float(np.exp(-low)))
    return {
        "perplexity_ratio": {
            "n_prompts": len(parts[0]),
            "n_tokens": int(counts[0].sum()),
            **_interval("mean", ratio),
            **about,
            **_interval("difference", tuple(value - 1 for value in ratio)),
            "p_value": p_value,
        }
    }


def _first_tokens(own: pd.DataFrame) -> pd.MultiIndex:
    """(text_id, token_index) of each text's first target token."""
    index = own.index.to_frame(index=False)
    return pd.MultiIndex.from_frame(index.groupby("text_id", as_index=False)["token_index"].min())


def _targets(draws: list[pd.DataFrame], ranks: list[int]) -> dict[str, dict]:
    def column(name: str) -> pd.DataFrame:
        return pd.concat([part[name] for part in draws], axis=1).astype(np.float64)

    rank, before = column("rank"), draws[0]["rank_unsteered"].astype(np.float64)
    pairs = {f"precision_at_{k}": (rank < k, before < k, True) for k in ranks}
    pairs["target_logprob"] = column("logprob"), draws[0]["logprob_unsteered"], False
    pairs["rank"] = rank, before, False
    found = {}
    for metric, (after, before, share) in pairs.items():
        values = after.astype(np.float64)
        found[metric] = {
            "n_prompts": len(values),
            "n_tokens": len(values),
            **_mean(values, share),
            **_difference(values, before.astype(np.float64), ranked=metric == "rank"),
        }
    return found


def summarise_divergence(
    spec: dict, *, divergence: Path, csv: Path, parquet: Path
) -> dict[str, Any]:
    """One row for each condition and metric, with 95 % intervals over texts.

    kl, and kl_over_entropy: KL(unsteered || steered) over the unsteered entropy, each averaged over
    a text's positions that were not changed directly (paper, random-vector control). For watched
    tokens, at each text's last position: probability TOKEN, unsteered beside it as the difference's
    other side, and ratio TOKEN, steered over unsteered (paper, next-token effects).
    """
    table = pd.read_parquet(divergence)
    rows, failed = [], []
    for control in _controls(_cells(table)):
        _, place = next(control.iterrows())
        draws = [
            table[(table["cell"] == one.cell) & (table["condition"] == one.condition)]
            for one in control.itertuples()
        ]
        reason = _reason([draw["failed"].iloc[0] for draw in draws])
        if pd.notna(reason):
            failed.append((place, reason))
            continue
        metrics = [_moved(draw) for draw in draws]
        for metric, (_, baseline) in metrics[0].items():
            values = pd.concat([draw[metric][0] for draw in metrics], axis=1)
            rows.append(
                {
                    **place[COORDINATES].to_dict(),
                    "group": "all",
                    "metric": metric,
                    "n_prompts": len(values),
                    **_mean(values),
                    **_difference(values, None if place["method"] == "unsteered" else baseline),
                }
            )
    return _write([*rows, *_failed(failed, rows, "kl")], csv, parquet)


def _moved(own: pd.DataFrame) -> dict[str, tuple[pd.Series, pd.Series | None]]:
    """Metric -> (its value by text, the unsteered value if it is compared) of a cell."""
    texts = own[~own["modified"]].groupby("text_id")[["kl", "entropy"]].mean()
    metrics = {
        "kl": (texts["kl"], None),
        "kl_over_entropy": (texts["kl"] / texts["entropy"], None),
    }
    last = own[own["token_ids"].notna()]
    columns = ["tokens", "before", "after", "watched"]
    spread = last.set_index("text_id")[columns].explode(columns)
    watched = spread[spread["watched"].astype(bool)]
    short = [token.strip() for token in watched["tokens"].unique()]
    for token, part in watched.groupby("tokens", sort=True):
        name = token.strip() if short.count(token.strip()) == 1 else repr(token)
        before, after = part["before"].astype(float), part["after"].astype(float)
        metrics[f"probability {name}"] = after, before
        metrics[f"ratio {name}"] = after / before, None
    return metrics


def _failed(
    failed: list[tuple[pd.Series, str]], rows: list[dict], metric: str
) -> Iterator[dict[str, Any]]:
    """Rows without numbers, for cells that have none, of the groups and metrics of the others.

    metric: what there is a row of if no cell has numbers.
    """
    found = dict.fromkeys((row["group"], row["metric"]) for row in rows) or {("all", metric): None}
    for place, reason in failed:
        for group, name in found:
            yield {
                **place[COORDINATES].to_dict(),
                "group": group,
                "metric": name,
                "n_prompts": 0,
                **_interval("mean", NOTHING),
                **_interval("difference", NOTHING),
                "p_value": np.nan,
                "failed": reason,
            }


def _write(rows: list[dict], csv: Path, parquet: Path) -> dict[str, Any]:
    table = pd.DataFrame(rows)
    table["failed"] = table.get("failed", pd.Series(index=table.index)).astype("string")
    write_with(parquet, lambda path: table.to_parquet(path, index=False))
    write_with(csv, lambda path: table.to_csv(path, index=False, float_format="%.6g"))
    return {"rows": len(table)}
