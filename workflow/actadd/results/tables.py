"""Tables to be read: each kind gives rows and a caption; all are written in the same forms."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.results import pair_quality as contrast_pairs
from actadd.results.comparison import numbers_and_claims
from actadd.measure.conditions import SAMPLING
from actadd.results.markup import decimals, fixed, write_table
from actadd.results.token_shift import token_shift as shifts
from actadd.results.labels import failed, failures, label, metric_rows, names, read, row_labels

# A table whose index names its rows, and its caption.
Rows = tuple[pd.DataFrame, str]


def tabulate(
    spec: dict, *, sources: list[Path], csv: Path, markdown: Path, latex: Path
) -> dict[str, Any]:
    """Writes one table of the config.

    spec: the table's entry with its name, and `about`: facts of the experiment for the caption.
    sources: what its kind reads, see `displays`. Returns the caption.
    """
    table, caption = KINDS[spec["kind"]](spec, sources)
    if spec.get("note"):
        caption = f"{caption} {spec['note']}"
    files = {"csv": csv, "markdown": markdown, "latex": latex}
    label = f"tab:{spec['name']}"
    write_table(table, title=spec["title"], caption=caption, label=label, **files)
    return {"caption": caption, "rows": len(table)}


def estimates(rows: pd.DataFrame, of: str = "mean") -> list[str]:
    """ "0.12 [0.08, 0.17]", without bounds where there are none; "failed" if the condition did."""
    low, high = ("low", "high") if of == "mean" else (f"{of}_low", f"{of}_high")
    places = decimals(rows[of])
    found = []
    for lost, values in zip(failed(rows), rows[[of, low, high]].to_numpy(float), strict=True):
        mean, *bounds = (fixed(value, places) for value in values)
        if lost:
            found.append("failed" if of == "mean" else "")
        elif np.isnan(values[0]):
            found.append("")
        else:
            found.append(mean if np.isnan(values[1]) else f"{mean} [{', '.join(bounds)}]")
    return found


def _p_values(rows: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(p) else f"{p:.2g}" for p in rows["p_value"]]


def _spreads(rows: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(spread) else f"{spread:.2g}" for spread in rows["spread"]]


def methods(spec: dict, sources: list[Path]) -> Rows:
    """A row for each condition; for each metric its mean, interval and paired p-value."""
    summary = read(sources)
    shown, columns = [], {}
    keys = ["model", "condition", "cell_order"]

    def placed(metric: str) -> pd.DataFrame:
        rows = metric_rows(spec, summary, metric)
        return rows.assign(cell_order=rows.groupby(["model", "condition"]).cumcount())

    for metric in spec["metrics"]:
        rows, name = placed(metric), label(spec, metric)
        shown.append(rows)
        index = pd.MultiIndex.from_frame(rows[keys])
        columns[name] = pd.Series(estimates(rows), index)
        if "draws" in rows and rows["draws"].notna().any():
            columns[f"{name}: spread of draws"] = pd.Series(_spreads(rows), index)
        if rows["difference"].notna().any():
            columns[f"{name}: difference"] = pd.Series(estimates(rows, "difference"), index)
            columns[f"{name}: p"] = pd.Series(_p_values(rows), index)
    order = placed(spec["metrics"][0])
    table = pd.DataFrame(columns).reindex(pd.MultiIndex.from_frame(order[keys])).fillna("")
    texts = [text.replace("\n", " ") for text in row_labels(order)]
    table.index = pd.MultiIndex.from_arrays([order["model"], texts], names=["model", "condition"])
    caption = (
        "Means with intervals; difference: paired, steered minus unsteered with the same sampling "
        f"and noise, p of a paired t-test over {spec['about']['unit']}. "
        f"{names(spec, pd.concat(shown))}"
    )
    return table, caption


def precision(spec: dict, sources: list[Path]) -> Rows:
    """Precision at each K by condition, and the paired test on ranks (paper, ConceptNet)."""
    summary = read(sources)
    summary = summary[summary["group"] == "all"]
    ranked = summary[summary["metric"].str.startswith("precision_at_")]
    ks = sorted({int(metric.rpartition("_")[2]) for metric in ranked["metric"]})
    keys = ["model", "condition", "vector", "layer", "coefficient", "position", "dimensions"]

    def column(metric: str, write: Callable[[pd.DataFrame], list[str]]) -> pd.Series:
        rows = summary[summary["metric"] == metric]
        return pd.Series(write(rows), pd.MultiIndex.from_frame(rows[[*keys, "additions"]]))

    columns = {f"P@{k}": column(f"precision_at_{k}", estimates) for k in ks}
    differences = column("rank", lambda rows: estimates(rows, "difference"))
    columns |= {"mean rank difference": differences, "p (Wilcoxon)": column("rank", _p_values)}
    table = pd.DataFrame(columns, index=differences.index).droplevel("additions")
    return table, (f"Items whose right next token is among the K likeliest. {names(spec, ranked)}")


def qualitative(spec: dict, sources: list[Path]) -> Rows:
    """The first completions of each prompt by sample number, unsteered and steered side by side."""
    table = read(sources)
    count = spec.get("samples", 3)
    lost = failed(table)
    reason = table.get("failed", pd.Series("", table.index)).astype("string")
    table = table.assign(completion=table["completion"].where(~lost, "failed: " + reason))
    table = table[table["sample"] < count]
    keys = ["model", "prompt_id", "sample", *SAMPLING, "seed"]
    unsteered = table[table["method"] == "unsteered"].drop_duplicates(keys).set_index(keys)
    rows = []
    for _, row in table[table["method"] != "unsteered"].iterrows():
        additions = json.loads(row["additions"])
        vector = " + ".join(
            f"{a['vector']} (layer {a['layer']}, c = {a['coefficient']:g}"
            + (f", from layer {a['source_layer']}" if a["source_layer"] != a["layer"] else "")
            + (f", {a['position']}" if a["position"] != "front" else "")
            + (f", draw {row['draw']}" if pd.notna(row.get("draw")) else "")
            + ")"
            for a in additions
        )
        plain = unsteered["completion"].get(tuple(row[key] for key in keys), "")
        rows.append(
            {
                "case": row["condition"],
                "model": row["model"],
                "vector": vector or row["prefix"],
                "prompt": row["prompt"],
                "sample": int(row["sample"]),
                "unsteered": plain,
                "steered": row["completion"],
            }
        )
    first = table.iloc[0]
    caption = (
        f"The first {count} completions of each prompt by sample number; none was chosen. Sampling:"
        f" temperature {first['temperature']:g}, top-p {first['top_p']:g}, frequency penalty "
        f"{first['frequency_penalty']:g}, seed {first['seed']}; a sample's noise is the same with "
        f"and without steering. Data: {spec['about']['data']}. {failures(table)}"
    )
    found = pd.DataFrame(rows).set_index(["case", "model", "vector", "prompt", "sample"])
    return found, caption.rstrip()


def token_shift(spec: dict, sources: list[Path]) -> Rows:
    """The tokens that steering raises and lowers most (paper, Table 8)."""
    least, top = spec.get("at_least", 20), spec.get("top", 10)
    found = shifts(sources, least)
    parts = []
    for _, own in found.groupby("model", sort=True):
        lowered = own.iloc[::-1]
        parts += [
            own.head(top).assign(direction="raised"),
            lowered.head(top).assign(direction="lowered"),
        ]
    table = pd.concat(parts)[["model", "direction", "token", "n", "difference", "normal"]]
    caption = (
        "Mean change of a token's log-probability (nats) over its instances, and its mean "
        f"unsteered log-probability; tokens with at least {least} instances. "
        f"Data: {spec['about']['data']}."
    )
    table = table.assign(token=[repr(str(token)) for token in table["token"]])
    return table.set_index(["model", "direction", "token"]), caption


def next_tokens(spec: dict, sources: list[Path]) -> Rows:
    """What steering does to the next token after each text (paper, next-token effects)."""
    table = read(sources)
    lost = failures(table)
    table = table[table["token_ids"].notna()]
    columns = ["tokens", "before", "after"]
    spread = table.explode(columns).reset_index(drop=True)
    spread = spread.astype({"before": float, "after": float})
    spread["ratio"] = spread["after"] / spread["before"]
    # Contribution to KL(steered || unsteered), as the authors rank them.
    spread["kl contribution"] = spread["after"] * np.log(spread["ratio"])
    draw = ["draw"] if "draw" in table else []
    keys = ["model", "condition", "layer", "coefficient", *draw, "text_id"]
    ordered = spread.sort_values("kl contribution", ascending=False)
    top = spec.get("top", 10)
    moved = ordered.groupby(keys, dropna=False).head(top)
    likely = spread.sort_values("before", ascending=False).groupby(keys, dropna=False).head(top)
    found = pd.concat([moved.assign(list="most moved"), likely.assign(list="likeliest unsteered")])
    shown = [*keys, "list", "tokens", "before", "after", "ratio", "kl contribution"]
    caption = (
        "Probability of the next token after the text, without and with steering, their ratio, and "
        "the token's contribution to KL(steered || unsteered) in nats. "
        f"Data: {spec['about']['data']}. {lost}"
    ).rstrip()
    found = found.sort_values([*keys, "list"], kind="stable")[shown]
    found = found.assign(tokens=[repr(token) for token in found["tokens"]])
    return found.set_index([*keys, "list", "tokens"]), caption


def pairs(spec: dict, sources: list[Path]) -> Rows:
    """Contrast pairs for one property: their effect, and what might predict it."""
    found, correlations = contrast_pairs.gather(spec, sources)
    told = "; ".join(
        f"{row.predictor}: rho = {row.rho:+.2f} (p = {row.p:.2g})"
        for row in correlations.itertuples()
        if not np.isnan(row.rho)
    )
    caption = (
        f"Effect: paired difference of {label(spec, spec['metrics'][0])} from unsteered. "
        "Spearman's rank correlation of the effect over "
        f"{found['effect'].count()} pairs with {told}; not corrected for the number "
        f"of predictors. Data: {spec['about']['data']}."
    )
    found = found if failed(found).any() else found.drop(columns="failed")
    return found.set_index(["model", "pair"]), caption


def lens(spec: dict, sources: list[Path]) -> Rows:
    """The tokens that a vector's rows point to, by layer and position (logit lens)."""
    table = read(sources)
    table = table[table["rank"] < spec.get("top", 5)].copy()
    table["token"] = [repr(token) for token in table["token"]]
    keys = ["model", "vector", "layer", "position", "direction"]
    found = table.sort_values("rank").groupby(keys, sort=True)["token"].agg(", ".join)
    wide = found.unstack("direction").rename_axis(columns=None)
    caption = (
        "The vector's row at each position through the final norm and the unembedding: the tokens "
        "with the largest (up) and smallest (down) logits."
    )
    return wide, caption


def overhead(spec: dict, sources: list[Path]) -> Rows:
    """What an addition costs in time (paper, inference overhead)."""
    from actadd.measure.overhead import summarise

    caption = (
        "Premium: median over repeats of a steered forward pass's time over the same repeat's "
        "unsteered one, minus 1, with a 95 % bootstrap interval over repeats; arms in random order."
    )
    found = summarise(sources)
    measured = ["seconds", "premium", "low", "high", "n"]
    return found.set_index([name for name in found if name not in measured]), caption


def comparison(spec: dict, sources: list[Path]) -> Rows:
    """Every published number of which there is one of ours, and every claim."""
    table = read(sources)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in table["verdict"].value_counts().items())
    caption = (
        f"Rows by verdict: {counts}. Published numbers that were not run are only counted. How "
        "verdicts are made: docs/reproduction.md."
    )
    run = (table["kind"] == "claim") | (table["verdict"] != "not run")
    return numbers_and_claims(table[run]), caption


KINDS: dict[str, Callable[[dict, list[Path]], Rows]] = {
    "methods": methods,
    "precision": precision,
    "qualitative": qualitative,
    "token_shift": token_shift,
    "next_tokens": next_tokens,
    "pairs": pairs,
    "lens": lens,
    "overhead": overhead,
    "comparison": comparison,
}
