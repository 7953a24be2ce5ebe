"""What conditions change, beside what a control changes: rows, options and words."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.intervals import detectable, share_interval
from actadd.measure.methods import METHODS
from actadd.results.displays.captions import chosen, few
from actadd.results.displays.effect_options import EffectsOptions
from actadd.results.displays.kinds import Sources
from actadd.results.displays.labels import Label, in_order, row_labels
from actadd.results.intervals import columns, interval_text
from actadd.results.reliability.effects import mean_of
from actadd.results.reliability.evidence import Evidence, Setting


def effect_rows(options: EffectsOptions, sources: Sources) -> Iterator[dict[str, Any]]:
    """One row of a panel for each setting, then one for each that is compared with the control.

    label; model, condition, layer and coefficient: its coordinates; metric; mean, low, high; bound:
    of the difference's size, where none of the prompts differs; detectable: the smallest difference
    that the prompts detect; prompts: how many; draws: means of each draw of several; net: whether
    it is a difference from the control; failed: why there is no number.
    """
    several = len({model for model, _ in sources.tables}) > 1
    order = sources.facts.more["conditions"]
    for model, experiment in sources.tables:
        end = f", {options.label(model)}" if several else ""
        evidence = Evidence(sources.values(model, experiment))
        settings = [each for each in evidence.settings if not _is_unsteered(each)]
        settings.sort(key=lambda each: order.index(each.iloc[0]["condition"]))
        [control] = [each for each in settings if each.iloc[0]["condition"] == options.control]
        named = list(zip(_labels(settings, options.label), settings, strict=True))
        for metric in options.metrics:
            share = bool(sources.facts.scales.get(metric, {}).get("share"))
            for label, setting in named:
                changes, failed = (
                    evidence.changes(setting, metric),
                    evidence.failed(setting, metric),
                )
                row = {**_about(setting), **_row(changes, failed, share), "metric": metric}
                yield {**row, "label": label + end}
            for label, setting in named:
                if setting is control or setting.iloc[0]["additions"] == "[]":
                    continue
                row = _row(*_net(evidence, setting, control, metric), share)
                row |= {**_about(setting), "metric": metric, "net": True}
                yield {**row, "label": f"{label}\nminus {options.label(options.control)}{end}"}


def _is_unsteered(setting: Setting) -> bool:
    return METHODS[setting.iloc[0]["method"]].role == "unsteered"


def _about(setting: Setting) -> dict[str, Any]:
    """The coordinates of a setting that a caption names."""
    first = setting.iloc[0]
    return {name: first[name] for name in ("model", "condition", "layer", "coefficient")}


def _labels(settings: list[Setting], label: Label) -> list[str]:
    """A name for each setting: its condition, and its layer and strength where that has several."""
    firsts = pd.DataFrame([each.iloc[0] for each in settings])
    single = ~firsts["condition"].duplicated(keep=False)
    whole = row_labels(firsts.assign(draws=float("nan")), label)
    names = zip(firsts["condition"], whole, single, strict=True)
    return [label(str(name)) if one else text for name, text, one in names]


def _net(
    evidence: Evidence, setting: Setting, control: Setting, metric: str
) -> tuple[pd.DataFrame, str | None]:
    """A setting's differences from the control, float64 [prompts, draws], or why it has none."""
    failed = evidence.failed(setting, metric) or evidence.failed(control, metric)
    others = evidence.changes(control, metric)
    changes = evidence.changes(setting, metric)
    if changes.shape[1] > 1:
        changes = changes.mean(axis=1).to_frame()
    return others.rsub(changes[0].reindex(others.index), axis=0).dropna(), failed


def _row(changes: pd.DataFrame, failed: str | None, share: bool) -> dict[str, Any]:
    """share: the metric of one completion is 0 or 1."""
    row: dict[str, Any] = {"failed": failed, "net": False, "prompts": len(changes), "draws": []}
    row["bound"] = np.nan
    if failed or changes.empty:
        return {**row, **columns("mean", [np.nan] * 3), "detectable": np.nan}
    if changes.shape[1] > 1:
        row["draws"] = changes.mean().tolist()
    if share and len(changes) > 1 and not changes.to_numpy().any():
        # Of a share, a mean difference is at most the share of prompts that differ.
        row["bound"] = share_interval(0, len(changes))[2]
    row["detectable"] = detectable(changes.mean(axis=1).to_numpy())
    return row | columns("mean", mean_of(changes))


def caption(options: EffectsOptions, sources: Sources, rows: pd.DataFrame) -> str:
    """What is shown, on what, chosen how, how many, what may be concluded."""
    unit, control = sources.facts.unit, options.label(options.control)
    draws, prompts = max(map(len, rows["draws"])), int(rows["prompts"].max())
    bound = rows["bound"].dropna()
    same = (
        "completions of the same prompts with the same noise"
        if unit == "prompts"
        else f"on the same {unit}"
    )
    same = (
        "completions of the same prompts with the same noise"
        if unit == "prompts"
        else f"on the same {unit}"
    )
    sentences = [
        f"Marks are mean differences from unsteered {same}; shaded rows are differences from "
        f"the control ({control}), which has the same norm at each position. Bars are 95 % "
        "intervals over n = "
        f"{prompts} {unit}.",
        f"The {control} row is the mean of {draws} draws, each a small line, and its intervals "
        f"cover {unit} and draws."
        if draws
        else "",
        f"Where no prompt differs, open triangles are the exact binomial bound over {unit}, "
        f"±{bound.iloc[0]:.2g}."
        if len(bound)
        else "",
        few(prompts, unit),
        *(_claim(options, rows[rows["metric"] == metric], metric) for metric in options.metrics),
        chosen(options, sources, rows),
        f"The model is {options.listed(in_order(rows['model']))}.",
        sources.facts.sentences,
    ]
    return " ".join(filter(None, sentences))


def _claim(options: EffectsOptions, rows: pd.DataFrame, metric: str) -> str:
    """The differences from the control, which alone carry a claim, and the detectable ones."""
    net = rows[rows["net"] & rows["failed"].isna()]
    texts = []
    for label, mean, low, high, smallest in net[
        ["label", "mean", "low", "high", "detectable"]
    ].to_numpy():
        bounded = not np.isnan(low)
        differs = (low > 0 or high < 0) if bounded else mean != 0
        number = interval_text((mean, low, high), "{:+.3f}".format)
        text = f"{' '.join(label.split())} is {number}"
        text += "" if differs else ", so no effect is claimed"
        texts.append(text + (f" (80 % power detects {smallest:.2g})" if bounded else ""))
    return f"In {options.label(metric)}, {'; '.join(texts)}." if texts else ""
