"""How figures and tables speak of rows: what they are called, on which model and data."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError

INTERVAL = "95 % percentile bootstrap intervals over prompts"

# So many failed conditions are named in a caption.
NAMED = 3

# What tells one steered line or row from another, and how a legend says it.
COORDINATES = {
    "model": "{}",
    "condition": "{}",
    "vector": "{}",
    "source_layer": "from layer {:g}",
    "layer": "layer {:g}",
    "coefficient": "c = {:g}",
    "position": "{}",
    "dimensions": "{:.0%} of dimensions",
    "phase": "{}",
    "temperature": "T {:g}",
    "top_p": "top-p {:g}",
    "frequency_penalty": "penalty {:g}",
    "seed": "seed {:g}",
    "draws": "{:g} draws",
}


def read(paths: list[Path]) -> pd.DataFrame:
    """Tables under each other; norms of vectors get their vector's and model's names."""
    parts = []
    for path in paths:
        if path.suffix == ".parquet":
            parts.append(pd.read_parquet(path))
        else:
            names = {"vector": path.parent.name, "model": path.parent.parent.name}
            parts.append(pd.read_csv(path).assign(**names))
    return pd.concat(parts, ignore_index=True)


def metric_rows(spec: dict, table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of one metric, over all prompts unless the metric is given as metric@group."""
    name, _, group = metric.partition("@")
    chosen = table[table["metric"] == name]
    if chosen.empty:
        there = sorted(set(table["metric"]))
        raise UserError(f"{spec['name']}: no metric {name!r}; there are {there}")
    found = chosen[chosen["group"] == (group or "all")]
    if len(found):
        return found
    # Where every condition failed, nobody knows the groups.
    if group and not failed(chosen).any():
        there = ", ".join(sorted(set(chosen["group"]) - {"all"})) or "none"
        raise UserError(f"{spec['name']}: {metric}: no such group; there are: {there}")
    return chosen[failed(chosen)] if group else chosen


def failed(rows: pd.DataFrame) -> pd.Series:
    """Which rows stand for what failed and has no number; rows may not know of failures."""
    if "failed" not in rows:
        return pd.Series(False, index=rows.index)
    return rows["failed"].notna()


def failures(rows: pd.DataFrame) -> str:
    """How many conditions failed, which, and why; nothing if none did."""
    keys = [name for name in (*COORDINATES, "additions") if name in rows]
    conditions = rows.drop_duplicates(keys)
    lost = conditions[failed(conditions)]
    if lost.empty:
        return ""
    which = [name.replace("\n", " ") for name in row_labels(conditions)]
    which = [name for name, gone in zip(which, failed(conditions), strict=True) if gone]
    more = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
    reasons = "; ".join(dict.fromkeys(lost["failed"]))
    verb = "is" if len(lost) == 1 else "are"
    return (
        f"{len(lost)} of {len(conditions)} conditions failed and {verb} in no mean (×): "
        f"{', '.join(which[:NAMED])}{more}. Reason: {reasons.rstrip('.')}."
    )


# Categories of characters that leave no mark: controls, directions, halves, private use, line ends.
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
# Of letters that a joiner behind them gives another form.
JOINED = ("Lo", "Mn", "Mc")


def escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def visible(text: str) -> str:
    """A text in which everything can be seen: what leaves no mark is an escape, but for line ends.

    Names that differ look different, and no character turns the direction of what follows.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    characters = []
    for place, char in enumerate(text):
        joins = char in "\u200c\u200d" and unicodedata.category(text[place - 1]) in JOINED
        unseen = unicodedata.category(char) in UNSEEN and char != "\n" and not (joins and place)
        characters.append(escape(char) if unseen else char)
    return "".join(characters)


def label(spec: dict, metric: str) -> str:
    return spec.get("labels", {}).get(metric, metric)


def names(spec: dict, table: pd.DataFrame) -> str:
    """The shared part of every caption: which model, which data, how many, what the bars are."""
    models = ", ".join(sorted(table["model"].unique()))
    lost = failures(table)
    table = table[~failed(table)]
    counts = sorted(set(table["n_prompts"])) or [0]
    prompts = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    about = spec["about"]
    one = counts == [1] and "n_completions" in table
    interval = INTERVAL.replace("prompts", "its completions" if one else about["unit"])
    if table["mean"].isin([0, 1]).any():
        interval += " (exact binomial where all agree on 0 or 1)"
    interval += draws(spec, table)
    sizes = "n = 1 prompt" if one else f"n = {prompts} {about['unit']}"
    if "n_completions" in table and table["n_completions"].notna().any():
        completions = int(table["n_completions"].max())
        sizes += f", up to {completions} completions per condition"
    notes = " ".join(filter(None, [*about.get("notes", []), lost]))
    return f"Model: {models}. Data: {about['data']}; {sizes}; {interval}. {notes}".strip()


def draws(spec: dict, rows: pd.DataFrame) -> str:
    """What there is to say of controls with several draws, after how intervals are made."""
    if "draws" not in rows:
        return ""
    clauses = []
    for name, own in rows[rows["draws"].notna()].groupby("condition", sort=False):
        several = ", ".join(f"{count:g}" for count in sorted(own["draws"].unique()))
        spread = (
            ""
            if own["metric"].duplicated().any()
            else ", ".join(
                f"{label(spec, row.metric)} {row.spread:.2g}" for row in own.itertuples()
            )
        )
        clauses.append(
            f"; {name} is the mean over {several} random vectors, with an interval by Student's t "
            f"that takes vectors and {spec['about']['unit']} for crossed random effects"
            + (f" (standard deviation of the vectors' means: {spread})" if spread else "")
        )
    return "".join(clauses)


def said(name: str, value: Any) -> str:
    """A coordinate in words."""
    return COORDINATES[name].format(value)


def settings(
    rows: pd.DataFrame, x: str = "coefficient", shown: tuple[str, ...] = ()
) -> list[tuple[str, pd.DataFrame]]:
    """(label, rows) of every combination of coordinates but x.

    A label names the coordinates that vary, and those in `shown`; a source layer only where it is
    not the injection layer.
    """
    columns = [name for name in COORDINATES if name != x and name in rows]
    # Against an unsteered row, which has none of them, every coordinate would vary.
    steered = rows[rows["method"] != "unsteered"]
    varying = {name for name in columns if steered[name].nunique(dropna=False) > 1}
    varying |= {"model"} if rows["model"].nunique() > 1 else set()
    varying |= {"condition"} if rows["condition"].nunique() > 1 else set()
    varying |= set(shown)
    own = rows["source_layer"].isna() | (rows["source_layer"] == rows["layer"])
    if own.all():
        varying.discard("source_layer")
        columns.remove("source_layer")
    else:
        varying.add("source_layer")
    found = []
    for values, part in rows.groupby(columns, dropna=False, sort=True):
        named = [
            said(name, value)
            for name, value in zip(columns, values, strict=True)
            if name in varying and name in columns and pd.notna(value)
        ]
        found.append((", ".join(named), part))
    return found


def row_labels(rows: pd.DataFrame) -> list[str]:
    """A name for each row: its condition, layer and coefficient, and what else tells rows apart."""
    columns = [
        name for name in COORDINATES if name not in ("condition", "vector", "layer", "coefficient")
    ]
    steered = rows[rows["coefficient"].notna()]
    varying = [
        name
        for name in columns
        if name in rows and (steered[name].nunique(dropna=False) > 1 or rows[name].nunique() > 1)
    ]
    if (rows["source_layer"].isna() | (rows["source_layer"] == rows["layer"])).all():
        varying = [name for name in varying if name != "source_layer"]
    found = []
    for _, row in rows.iterrows():
        more = [said(name, row[name]) for name in varying if pd.notna(row[name])]
        name = ", ".join([str(row["condition"]), *more])
        if pd.notna(row["layer"]):
            name += f"\n(layer {int(row['layer'])}, c = {row['coefficient']:g})"
        elif row["method"] == "actadd":
            # A composite has no one layer and coefficient.
            parts = [
                f"{a['vector']} at {a['layer']} times {a['coefficient']:g}"
                for a in json.loads(row["additions"])
            ]
            name += f"\n({' + '.join(parts)})"
        found.append(name)
    return found


def differences(rows: pd.DataFrame, text: str) -> str:
    """Paired differences from unsteered in words, and plainly whether they show an effect."""
    found = []
    compared = rows["difference"].notna().to_numpy()
    names_ = [name for name, use in zip(row_labels(rows), compared, strict=True) if use]
    for name, (_, row) in zip(names_, rows[compared].iterrows(), strict=True):
        low, high = row["difference_low"], row["difference_high"]
        if np.isnan(low):
            interval, shown = "(the same for every prompt)", row["difference"] != 0
        else:
            interval, shown = f"[{low:+.3f}, {high:+.3f}]", low > 0 or high < 0
        effect = "" if shown else ", no effect shown"
        found.append(f"{name.splitlines()[0]} {row['difference']:+.3f} {interval}{effect}")
    return f"Paired difference in {text} from unsteered: {'; '.join(found)}." if found else ""
