"""Tidy tables: each condition's metrics with intervals, and paired differences from unsteered."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.files import write_with
from actadd.statistics import difference_interval, mean_interval, per_prompt, ratio_interval

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
]
AT_RANKS = (1, 10)
# Metrics of a completion that are yes or no.
SHARES = ("any",)


def summarise_completions(
    spec: dict, *, completions: Path, scores: list[Path], csv: Path, parquet: Path
) -> dict[str, Any]:
    """One row for each condition and metric: n, mean, 95 % interval, and the paired difference.

    scores: one table for each scorer; a metric is called scorer.column. Intervals are bootstrapped
    over prompts. `difference` is the mean over prompts of steered minus unsteered.
    """
    table = pd.read_parquet(completions)
    cells = table.drop_duplicates(["condition", "cell"])[[*COORDINATES, "cell"]]
    rows = []
    for path in scores:
        scored = pd.read_parquet(path)
        for metric in scored.columns.drop(["condition", "cell", "prompt_id", "sample"]):
            groups = dict(list(scored.groupby(["condition", "cell"], sort=False)))
            by_cell = {key: per_prompt(group, "prompt_id", metric) for key, group in groups.items()}
            baseline = _baseline(cells, by_cell)
            for _, place in cells.iterrows():
                key = place["condition"], place["cell"]
                values = by_cell[key]
                rows.append(
                    {
                        **place[COORDINATES].to_dict(),
                        "metric": f"{path.stem}.{metric}",
                        "n_prompts": int(values.notna().sum()),
                        "n_completions": int(groups[key][metric].notna().sum()),
                        **_interval("mean", mean_interval(values.to_numpy(), metric in SHARES)),
                        **_difference(values, baseline, place["method"]),
                    }
                )
    return _write(pd.DataFrame(rows), csv, parquet)


def _baseline(cells: pd.DataFrame, by_cell: dict) -> pd.Series | None:
    unsteered = cells[cells["method"] == "unsteered"]
    if unsteered.empty:
        return None
    first = unsteered.iloc[0]
    return by_cell[first["condition"], first["cell"]]


def _interval(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    """Columns of an estimate and its bounds; the mean's bounds go without its name."""
    bounds = ("low", "high") if name == "mean" else (f"{name}_low", f"{name}_high")
    return dict(zip((name, *bounds), values, strict=True))


def _difference(values: pd.Series, baseline: pd.Series | None, method: str) -> dict[str, float]:
    if baseline is None or method == "unsteered":
        return _interval("difference", (np.nan,) * 3)
    return _interval("difference", difference_interval((values - baseline).to_numpy()))


def summarise_logprobs(spec: dict, *, logprobs: Path, csv: Path, parquet: Path) -> dict[str, Any]:
    """One row for each condition, group of texts and metric, with 95 % intervals over texts.

    perplexity_ratio: exp(-mean over tokens of steered minus unsteered log-probability), on the
    tokens whose prediction the condition did not change directly (paper, perplexity experiment;
    its printed formula lacks the sign). accuracy_at_1 and _at_10: share of texts whose first target
    token ranks among the first K (paper, ConceptNet P@K), by group and for all texts together.
    """
    table = pd.read_parquet(logprobs)
    cells = table.drop_duplicates(["condition", "cell"])[[*COORDINATES, "cell"]]
    table["group"] = table["group"].fillna("all")
    index = ["text_id", "token_index"]
    unsteered = table[table["method"] == "unsteered"].set_index(index)
    targeted = not table["target"].all()
    rows = []
    for _, place in cells.iterrows():
        own = table[(table["cell"] == place["cell"]) & (table["condition"] == place["condition"])]
        own = own.set_index(index).join(
            unsteered[["logprob", "rank"]], rsuffix="_unsteered", validate="one_to_one"
        )
        own = own[own["target"]]
        if targeted:
            # Before masking: where the first target token is masked, the next is no substitute.
            own = own[own.index.isin(_first_tokens(own))]
        own = own[~own["modified"]]
        parts = dict(list(own.groupby("group", sort=True)))
        if targeted:
            parts["all"] = own
        for group, part in parts.items():
            found = _targets(part) if targeted else _perplexity_ratio(part)
            for metric, (values, difference, texts, tokens) in found.items():
                rows.append(
                    {
                        **place[COORDINATES].to_dict(),
                        "group": group,
                        "metric": metric,
                        "n_prompts": texts,
                        "n_tokens": tokens,
                        **_interval("mean", values),
                        **_interval(
                            "difference",
                            NOTHING if place["method"] == "unsteered" else difference,
                        ),
                    }
                )
    return _write(pd.DataFrame(rows), csv, parquet)


NOTHING = (np.nan,) * 3


def _perplexity_ratio(part: pd.DataFrame) -> dict[str, tuple]:
    texts = part.groupby("text_id").agg(
        steered=("logprob", "sum"),
        unsteered=("logprob_unsteered", "sum"),
        tokens=("logprob", "size"),
    )
    counts = texts["tokens"].to_numpy(np.float64)

    sums = (texts["steered"] - texts["unsteered"]).to_numpy(np.float64)
    mean, low, high = ratio_interval(sums, counts)
    # The exponential of a negative mean turns the interval round.
    ratio = (float(np.exp(-mean)), float(np.exp(-high)), float(np.exp(-low)))
    return {"perplexity_ratio": (ratio, NOTHING, len(texts), int(counts.sum()))}


def _first_tokens(own: pd.DataFrame) -> pd.MultiIndex:
    """(text_id, token_index) of each text's first target token."""
    index = own.index.to_frame(index=False)
    return pd.MultiIndex.from_frame(index.groupby("text_id", as_index=False)["token_index"].min())


def _targets(part: pd.DataFrame) -> dict[str, tuple]:
    first = part.reset_index(level="token_index")
    found = {}
    for k in AT_RANKS:
        hits = (first["rank"] < k).astype(float)
        before = (first["rank_unsteered"] < k).astype(float)
        found[f"accuracy_at_{k}"] = (
            mean_interval(hits.to_numpy(), share=True),
            difference_interval((hits - before).to_numpy()),
            len(first),
            len(first),
        )
    found["target_logprob"] = (
        mean_interval(first["logprob"].to_numpy()),
        difference_interval((first["logprob"] - first["logprob_unsteered"]).to_numpy()),
        len(first),
        len(first),
    )
    return found


def _write(table: pd.DataFrame, csv: Path, parquet: Path) -> dict[str, Any]:
    write_with(parquet, lambda path: table.to_parquet(path, index=False))
    write_with(csv, lambda path: table.to_csv(path, index=False, float_format="%.6g"))
    return {"rows": len(table)}
