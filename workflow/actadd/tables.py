"""Tables to be read: each kind gives rows and a caption, written as CSV and as Markdown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd import pairs as contrast_pairs
from actadd.conditions import SAMPLING
from actadd.files import write_text, write_with
from actadd.tokenshift import token_shift as shifts
from actadd.wording import label, metric_rows, names, read, row_labels

Rows = tuple[pd.DataFrame, str]


def tabulate(spec: dict, *, sources: list[Path], csv: Path, markdown: Path) -> dict[str, Any]:
    """Writes one table of the config.

    spec: the table's entry with its name, and `about`: facts of the experiment for the caption.
    sources: what its kind reads, see `actadd.displays`. Returns the caption.
    """
    table, caption = KINDS[spec["kind"]](spec, sources)
    if spec.get("note"):
        caption = f"{caption} {spec['note']}"
    write_with(csv, lambda path: table.to_csv(path, index=False, float_format="%.6g"))
    write_text(markdown, f"# {spec['title']}\n\n{_markdown(table)}\n\n{caption}\n")
    return {"caption": caption, "rows": len(table)}


def _markdown(table: pd.DataFrame) -> str:
    """A pipe table; what would end a cell or a line in it is escaped."""

    def cell(value: Any) -> str:
        if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
            return ""
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        text = text.replace("\\", "\\\\").replace("|", "\\|")
        return text.replace("\r", " ").replace("\n", "<br>")

    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy(object).tolist()]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines)


def _estimate(row: pd.Series, prefix: str = "") -> str:
    """ "0.12 [0.08, 0.17]", or without bounds where there are none."""
    # Rounded first: the sum of differences that cancel is not quite zero.
    mean, low, high = (round(row[f"{prefix}{name}"], 9) for name in _bounds(prefix))
    if pd.isna(mean):
        return ""
    shown = f"{mean:.3g}" if pd.isna(low) else f"{mean:.3g} [{low:.3g}, {high:.3g}]"
    return shown


def _bounds(prefix: str) -> tuple[str, str, str]:
    return ("", "_low", "_high") if prefix else ("mean", "low", "high")


def methods(spec: dict, sources: list[Path]) -> Rows:
    """A row for each condition; for each metric its mean, interval and paired p-value."""
    summary = read(sources)
    shown, columns = [], {}
    order = metric_rows(spec, summary, spec["metrics"][0])
    keys = ["model", "condition", "cell_order"]
    for metric in spec["metrics"]:
        rows = metric_rows(spec, summary, metric)
        rows = rows.assign(cell_order=rows.groupby(["model", "condition"]).cumcount())
        shown.append(rows)
        rows = rows.set_index(keys)
        columns[label(spec, metric)] = rows.apply(_estimate, axis=1)
        if rows["difference"].notna().any():
            columns[f"{label(spec, metric)}: difference"] = rows.apply(
                lambda row: _estimate(row, "difference"), axis=1
            )
            columns[f"{label(spec, metric)}: p"] = rows["p_value"].map(
                lambda p: "" if pd.isna(p) else f"{p:.2g}"
            )
    texts = [text.replace("\n", " ") for text in row_labels(order)]
    index = order.assign(cell_order=order.groupby(["model", "condition"]).cumcount())
    index = pd.MultiIndex.from_frame(index[keys])
    table = pd.DataFrame(columns).reindex(index)
    table.insert(0, "condition", texts)
    table.insert(0, "model", index.get_level_values("model"))
    caption = (
        "Means with intervals; difference: paired, steered minus unsteered with the same sampling "
        f"and noise, p of a paired t-test over {spec['about']['unit']}. "
        f"{names(spec, pd.concat(shown))}"
    )
    return table.reset_index(drop=True), caption


def precision(spec: dict, sources: list[Path]) -> Rows:
    """Precision at each K by condition, and the paired test on ranks (paper, ConceptNet)."""
    summary = read(sources)
    summary = summary[summary["group"] == "all"]
    ranked = summary[summary["metric"].str.startswith("precision_at_")]
    ks = sorted({int(metric.rpartition("_")[2]) for metric in ranked["metric"]})
    keys = ["model", "condition", "vector", "layer", "coefficient", "position", "dimensions"]
    rows = []
    for values, part in summary.groupby([*keys, "additions"], dropna=False, sort=False):
        by_metric = part.set_index("metric")
        rank = by_metric.loc["rank"]
        rows.append(
            {
                **dict(zip(keys, values[:-1], strict=True)),
                **{f"P@{k}": _estimate(by_metric.loc[f"precision_at_{k}"]) for k in ks},
                "mean rank difference": _estimate(rank, "difference"),
                "p (Wilcoxon)": "" if pd.isna(rank["p_value"]) else f"{rank['p_value']:.2g}",
            }
        )
    return pd.DataFrame(
        rows
    ), f"Items whose right next token is among the K likeliest. {names(spec, ranked)}"


def qualitative(spec: dict, sources: list[Path]) -> Rows:
    """The first completions of each prompt by sample number, unsteered and steered side by side."""
    table = read(sources)
    count = spec.get("samples", 3)
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
        f"and without steering. Data: {spec['about']['data']}."
    )
    return pd.DataFrame(rows), caption


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
    return table.assign(token=[repr(str(token)) for token in table["token"]]), caption


def next_tokens(spec: dict, sources: list[Path]) -> Rows:
    """What steering does to the next token after each text (paper, next-token effects)."""
    table = read(sources)
    table = table[table["token_ids"].notna()]
    columns = ["tokens", "before", "after"]
    spread = table.explode(columns).reset_index(drop=True)
    spread = spread.astype({"before": float, "after": float})
    spread["ratio"] = spread["after"] / spread["before"]
    # Contribution to KL(steered || unsteered), as the authors rank them.
    spread["kl contribution"] = spread["after"] * np.log(spread["ratio"])
    keys = ["model", "condition", "layer", "coefficient", "text_id"]
    ordered = spread.sort_values("kl contribution", ascending=False)
    top = spec.get("top", 10)
    moved = ordered.groupby(keys, dropna=False).head(top)
    likely = spread.sort_values("before", ascending=False).groupby(keys, dropna=False).head(top)
    found = pd.concat([moved.assign(list="most moved"), likely.assign(list="likeliest unsteered")])
    shown = [*keys, "list", "tokens", "before", "after", "ratio", "kl contribution"]
    caption = (
        "Probability of the next token after the text, without and with steering, their ratio, and "
        "the token's contribution to KL(steered || unsteered) in nats. "
        f"Data: {spec['about']['data']}."
    )
    found = found.sort_values([*keys, "list"], kind="stable")[shown]
    return found.assign(tokens=[repr(token) for token in found["tokens"]]), caption


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
        f"Spearman's rank correlation of the effect over {len(found)} pairs with {told}; not "
        f"corrected for the number of predictors. Data: {spec['about']['data']}."
    )
    return found, caption


def lens(spec: dict, sources: list[Path]) -> Rows:
    """The tokens that a vector's rows point to, by layer and position (logit lens)."""
    table = read(sources)
    table = table[table["rank"] < spec.get("top", 5)].copy()
    table["token"] = [repr(token) for token in table["token"]]
    keys = ["model", "vector", "layer", "position", "direction"]
    found = table.sort_values("rank").groupby(keys, sort=True)["token"].agg(", ".join)
    wide = found.unstack("direction").reset_index()
    caption = (
        "The vector's row at each position through the final norm and the unembedding: the tokens "
        "with the largest (up) and smallest (down) logits."
    )
    return wide, caption


def overhead(spec: dict, sources: list[Path]) -> Rows:
    """What an addition costs in time (paper, inference overhead)."""
    from actadd.overhead import summarise

    caption = (
        "Premium: median over repeats of a steered forward pass's time over the same repeat's "
        "unsteered one, minus 1, with a 95 % bootstrap interval over repeats; arms in random order."
    )
    return summarise(sources), caption


def comparison(spec: dict, sources: list[Path]) -> Rows:
    """Every published number, and every claim, beside ours."""
    table = read(sources)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in table["verdict"].value_counts().items())
    caption = f"Rows by verdict: {counts}. How verdicts are made: docs/reproduction.md."
    return table, caption


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
