"""Sentences that captions share: model, data, number, intervals, choices, and what is claimed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from actadd.results.displays.kinds import Options, Sources
from actadd.results.displays.labels import Label, failed, failures, in_order, row_labels
from actadd.results.intervals import interval_text, span

INTERVAL = "95 % percentile bootstrap intervals over prompts"
# A bootstrap over fewer prompts is too narrow to go without a word.
FEW = 10
BEST = {"max": "largest", "min": "smallest"}


def data_sentence(options: Options, sources: Sources, table: pd.DataFrame) -> str:
    """The shared part of captions: which model and data, how many prompts, what the bars are."""
    lost = failures(table, options.label)
    models = options.listed(in_order(table["model"]))
    table = table[~failed(table)]
    counts = sorted(set(table["n_prompts"])) or [0]
    facts = sources.facts
    one = counts == [1] and "n_completions" in table
    unit = "its completions" if one else facts.unit
    sizes = "n = 1 prompt" if one else f"n = {span(counts)} {facts.unit}"
    if "n_completions" in table and table["n_completions"].notna().any():
        completions = int(table["n_completions"].max())
        sizes += f", up to {completions} completions per condition"
    sentences = [
        f"The model is {models}. The data are {facts.data}, with {sizes}.",
        f"Bars are {INTERVAL.replace('prompts', unit)}.",
        bounds(table, facts.unit),
        *_draws(options, sources, table),
        "" if one else few(max(counts), facts.unit),
        chosen(options, sources, table),
        *facts.notes,
        lost,
    ]
    return " ".join(filter(None, sentences))


def bounds(rows: pd.DataFrame, unit: str) -> str:
    """What an open mark is, where some row has one."""
    if not exact(rows).any():
        return ""
    return (
        f"Where all {unit} agree on 0 or on 1, an open triangle is the exact binomial bound over "
        f"{unit}."
    )


def exact(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows have an exact binomial bound in place of a bootstrap: means of 0 or 1."""
    return rows["mean"].isin([0, 1]) & rows["low"].notna() & (rows["low"] < rows["high"])


def few(count: float, unit: str) -> str:
    """A warning, where an interval is over fewer units than a bootstrap needs."""
    if not 0 < count < FEW:
        return ""
    return (
        f"Caution: intervals over fewer than {FEW} {unit} are too narrow, so nothing is concluded "
        "from them."
    )


def chosen(options: Options, sources: Sources, rows: pd.DataFrame) -> str:
    """Which settings a development split chose, and by which rule; rows have their coordinates."""
    settings: dict[tuple[str, str], dict[str, None]] = {}
    several = rows["model"].nunique() > 1
    for condition, rule in sources.facts.choices.items():
        part = rows[(rows["condition"] == condition) & rows["layer"].notna()]
        part = part.drop_duplicates(["model", "layer", "coefficient"])
        for model, layer, strength in part[["model", "layer", "coefficient"]].to_numpy():
            text = f"layer {layer:g} and coefficient {strength:g}"
            text += f" on {options.label(model)}" if several else ""
            settings.setdefault((text, rule_text(options, rule)), {})[options.label(condition)] = (
                None
            )
    return " ".join(
        f"{setting[0].upper() + setting[1:]} ({', '.join(names)}) were chosen {rule}."
        for (setting, rule), names in settings.items()
    )


def rule_text(options: Options, rule: dict[str, Any]) -> str:
    """ "on TEXTS for the largest METRIC, with COST at most 1.5 times unsteered"."""
    cap = rule.get("cap")
    limit = (
        f", with {options.label(cap['metric'])} at most {cap['factor']:g} times unsteered"
        if cap
        else ""
    )
    best = f"{BEST[rule['direction']]} {options.label(rule['metric'])}"
    return f"on {rule['data']} for the {best}{limit}"


def _draws(options: Options, sources: Sources, rows: pd.DataFrame) -> Iterator[str]:
    """A sentence for each control with several draws, about its interval."""
    if "draws" not in rows:
        return
    for name, part in rows[rows["draws"].notna()].groupby("condition", sort=False):
        several = ", ".join(f"{count:g}" for count in sorted(part["draws"].unique()))
        random = set(part["vector"]) <= set(sources.facts.controls)
        spread = (
            ""
            if part["metric"].duplicated().any()
            else ", ".join(
                f"{options.label(metric)} {value:.2g}"
                for metric, value in zip(part["metric"], part["spread"], strict=True)
            )
        )
        yield (
            f"{options.label(str(name))} is the mean over {several} "
            f"{'random' if random else 'drawn'} vectors, with an interval by Student's t "
            f"that takes vectors and {sources.facts.unit} for crossed random effects"
            + (f" (standard deviation of the vectors' means: {spread})" if spread else "")
            + "."
        )


def differences(rows: pd.DataFrame, text: str, label: Label = str) -> str:
    """Paired differences from unsteered in words, and plainly whether they show an effect."""
    sentences = []
    compared = rows["difference"].notna().to_numpy()
    labels = [name for name, use in zip(row_labels(rows, label), compared, strict=True) if use]
    for name, (_, row) in zip(labels, rows[compared].iterrows(), strict=True):
        low, high = row["difference_low"], row["difference_high"]
        bounded = not np.isnan(low)
        interval = (row["difference"], low, high)
        excludes_none = (low > 0 or high < 0) if bounded else row["difference"] != 0
        same = "" if bounded else " (the same for every prompt)"
        effect = "" if excludes_none else ", no effect shown"
        number = interval_text(interval, "{:+.3f}".format)
        sentences.append(f"{name.splitlines()[0]} {number}{same}{effect}")
    if not sentences:
        return ""
    return f"The paired difference in {text} from unsteered is {'; '.join(sentences)}."
