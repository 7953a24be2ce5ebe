"""Summaries: tidy rows of each condition's metrics with intervals, and paired differences."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from actadd.conditions import SAMPLING
from actadd.files import read_cells, write_with
from actadd.scorers import is_share
from actadd.statistics import difference_interval, mean_interval, paired_p_value, ratio_interval

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

    scores: one table for each scorer; a metric is called scorer.column. A prompt's samples are
    averaged and intervals bootstrapped over prompts, or over the samples of a single prompt.
    `difference` is the mean of steered minus unsteered with the same sampling and seed, p_value
    that of a paired t-test. Group "all" holds every prompt. failed: why a cell has no numbers.
    """
    there = set(pq.read_schema(completions).names)
    wanted = ["cell", "prompt_id", "group", *COORDINATES]
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
            share = is_share(metric)
            for _, place in cells.iterrows():
                baseline = _baseline(cells, place, by_cell)
                own = by_cell[place["condition"], place["cell"]]
                for group, part in _by_group(own, groups):
                    values = _units(part)
                    before = None if baseline is None else _units(baseline.reindex(part.index))
                    rows.append(
                        {
                            **place[COORDINATES].to_dict(),
                            "group": group,
                            "metric": f"{path.stem}.{metric}",
                            "n_prompts": part.dropna().index.get_level_values(0).nunique(),
                            "n_completions": int(part.notna().sum()),
                            **_interval("mean", mean_interval(values.to_numpy(), share)),
                            **_difference(values, before),
                            "failed": failed[place["condition"], place["cell"]],
                        }
                    )
    return _write(rows, csv, parquet)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in COORDINATES if name in table]
    cells = table.drop_duplicates(["condition", "cell"])[[*columns, "cell"]]
    return cells.reindex(columns=[*COORDINATES, "cell"])


def _units(values: pd.Series) -> pd.Series:
    """What is resampled: prompts, their samples averaged; of a single prompt, its samples."""
    prompts = values.index.get_level_values("prompt_id")
    return values.droplevel(0) if prompts.nunique() == 1 else values.groupby(level=0).mean()


def _by_group(values: pd.Series, groups: pd.Series) -> Iterator[tuple[str, pd.Series]]:
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


def _difference(values: pd.Series, baseline: pd.Series | None) -> dict[str, float]:
    if baseline is None:
        return {**_interval("difference", NOTHING), "p_value": np.nan}
    change = (values - baseline.reindex(values.index)).dropna().to_numpy()
    return {
        **_interval("difference", difference_interval(change)),
        "p_value": paired_p_value(change),
    }


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
    for cell in read_cells(logprobs):
        place = _cells(cell).iloc[0]
        reason = cell["failed"].iloc[0]
        if pd.isna(reason) and place["method"] != "unsteered" and unsteered.empty:
            reason = "the unsteered cell that it is compared with failed"
        if pd.notna(reason):
            failed.append((place, reason))
            continue
        cell["document"] = cell["document"].fillna(cell["text_id"].astype("string"))
        targeted = not cell["target"].all()
        own = cell.set_index(index)
        if place["method"] == "unsteered":
            unsteered = pd.concat([unsteered, own[baseline]])
        own = own.join(unsteered, rsuffix="_unsteered", validate="one_to_one")
        own = own[own["target"]]
        if targeted:
            # Before masking: where the first target token is masked, the next is no substitute.
            own = own[own.index.isin(_first_tokens(own))]
        if spec.get("mask", True):
            own = own[~own["modified"] & ~own["modified_unsteered"]]
        parts = dict(list(own.groupby("group", sort=True)))
        if targeted or own["group"].isna().any():
            parts["all"] = own
        for group, part in parts.items():
            found = _targets(part, spec["ranks"]) if targeted else _perplexity_ratio(part)
            for metric, values in found.items():
                if place["method"] == "unsteered":
                    values |= {**_interval("difference", NOTHING), "p_value": np.nan}
                coordinates = place[COORDINATES].to_dict()
                rows.append({**coordinates, "group": group, "metric": metric, **values})
    return _write([*rows, *_failed(failed, rows, "perplexity_ratio")], csv, parquet)


def _perplexity_ratio(part: pd.DataFrame) -> dict[str, dict]:
    texts = part.groupby("document").agg(
        steered=("logprob", "sum"),
        unsteered=("logprob_unsteered", "sum"),
        tokens=("logprob", "size"),
    )
    counts = texts["tokens"].to_numpy(np.float64)
    sums = (texts["steered"] - texts["unsteered"]).to_numpy(np.float64)
    mean, low, high = ratio_interval(sums, counts)
    # The exponential of a negative mean turns the interval round.
    ratio = (float(np.exp(-mean)), float(np.exp(-high)), float(np.exp(-low)))
    return {
        "perplexity_ratio": {
            "n_prompts": len(texts),
            "n_tokens": int(counts.sum()),
            **_interval("mean", ratio),
            **_interval("difference", tuple(value - 1 for value in ratio)),
            "p_value": paired_p_value(sums / np.maximum(counts, 1)),
        }
    }


def _first_tokens(own: pd.DataFrame) -> pd.MultiIndex:
    """(text_id, token_index) of each text's first target token."""
    index = own.index.to_frame(index=False)
    return pd.MultiIndex.from_frame(index.groupby("text_id", as_index=False)["token_index"].min())


def _targets(part: pd.DataFrame, ranks: list[int]) -> dict[str, dict]:
    pairs = {
        f"precision_at_{k}": (part["rank"] < k, part["rank_unsteered"] < k, True) for k in ranks
    }
    pairs["target_logprob"] = part["logprob"], part["logprob_unsteered"], False
    pairs["rank"] = part["rank"], part["rank_unsteered"], False
    found = {}
    for metric, (after, before, share) in pairs.items():
        values = after.to_numpy(np.float64)
        change = values - before.to_numpy(np.float64)
        found[metric] = {
            "n_prompts": len(values),
            "n_tokens": len(values),
            **_interval("mean", mean_interval(values, share)),
            **_interval("difference", difference_interval(change)),
            "p_value": paired_p_value(change, ranked=metric == "rank"),
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
    for _, place in _cells(table).iterrows():
        own = table[(table["cell"] == place["cell"]) & (table["condition"] == place["condition"])]
        if pd.notna(own["failed"].iloc[0]):
            failed.append((place, own["failed"].iloc[0]))
            continue
        texts = own[~own["modified"]].groupby("text_id")[["kl", "entropy"]].mean()
        found = {
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
            found[f"probability {name}"] = after, before
            found[f"ratio {name}"] = after / before, None
        for metric, (values, baseline) in found.items():
            rows.append(
                {
                    **place[COORDINATES].to_dict(),
                    "group": "all",
                    "metric": metric,
                    "n_prompts": len(values),
                    **_interval("mean", mean_interval(values.to_numpy())),
                    **_difference(values, None if place["method"] == "unsteered" else baseline),
                }
            )
    return _write([*rows, *_failed(failed, rows, "kl")], csv, parquet)


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
