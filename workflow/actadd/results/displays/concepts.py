"""Concepts in two wordings of a contrast pair: gain, control, layer, and how the wordings agree."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.base.intervals import (
    detectable,
    difference_interval,
    linear_correlation,
    paired_p_value,
    rank_correlation,
    variance_share,
)
from actadd.base.kinds import name_of
from actadd.results.displays.concept_options import ConceptOptions
from actadd.results.displays.kinds import Sources
from actadd.results.intervals import columns, detectable_correlation

# What is left of a wording's gain if only every other prompt is read.
HALVES = ("even", "odd")


def gather(options: ConceptOptions, sources: Sources) -> pd.DataFrame:
    """One row for each model, wording and concept.

    layer: the chosen one. gain: steered minus unsteered; control: of the control; net: steered
    minus control; all paired over prompts, with low and high, and detectable of net. p: of gain.
    damage: geometric mean over prompts of `options.damage` over unsteered's. gain_even and
    gain_odd: from every other prompt; layer_even and layer_odd: what every other development
    prompt would have chosen by its mean alone: a cap of the choice is on a mean over all prompts,
    and does not hold for halves.
    failed: why there are no numbers.
    """
    models = dict.fromkeys(model for model, _ in sources.tables)
    rows = [
        {"model": model, **row} for model in models for row in _of_model(options, sources, model)
    ]
    return pd.DataFrame(rows)


def _of_model(options: ConceptOptions, sources: Sources, model: str) -> Iterator[dict[str, Any]]:
    values, sweep, controls = (
        _by_condition(sources.values(model, getattr(options, name)))
        for name in ("experiment", "sweep", "controls")
    )
    named = [each.condition for side in options.wordings.values() for each in side.values()]
    for name, others in (("sweep", sweep), ("controls", controls)):
        if missing := [each for each in named if each not in others]:
            raise UserError(
                f"{sources.key}.{name}: {getattr(options, name)} has no condition {missing[0]!r}; "
                "add one of that name"
            )
    unsteered = next(name for name, (method, _) in values.items() if method == "unsteered")
    for wording, concepts in options.wordings.items():
        for concept, worded in concepts.items():
            row: dict[str, Any] = {"wording": wording, "concept": concept}
            steered, control, plain = (
                _mean(table, worded.metric)
                for _, table in (
                    values[worded.condition],
                    controls[worded.condition],
                    values[unsteered],
                )
            )
            table = values[worded.condition][1]
            row |= {"layer": table["layer"].iloc[0], "unsteered": plain.mean()}
            differences = {
                "gain": steered - plain,
                "control": control - plain,
                "net": steered - control,
            }
            for name, each in differences.items():
                row |= columns(name, difference_interval(each.to_numpy()))
            gain = differences["gain"]
            damage = _mean(table, options.damage) / _mean(values[unsteered][1], options.damage)
            row |= {
                "p": paired_p_value(gain.to_numpy()),
                "detectable": detectable(differences["net"].to_numpy()),
                "prompts": int(gain.count()),
                "damage": float(np.exp(np.log(damage).mean())),
                "failed": next(iter(table["failed"].dropna()), None),
            }
            for half, name in enumerate(HALVES):
                row[f"gain_{name}"] = gain.iloc[half::2].mean()
                row[f"layer_{name}"] = _best(sweep[worded.condition][1], worded.metric, half)
            yield row


def _by_condition(values: pd.DataFrame) -> dict[str, tuple[str, pd.DataFrame]]:
    """Condition -> its method and its rows of `prompt_values`."""
    parts = values.groupby("condition", sort=False)
    return {str(name): (part["method"].iloc[0], part) for name, part in parts}


def _mean(rows: pd.DataFrame, metric: str) -> "pd.Series[float]":
    """A metric of each prompt, the mean over cells such as draws."""
    return rows[rows["metric"] == metric].groupby("prompt_id")["value"].mean()


def _best(rows: pd.DataFrame, metric: str, half: int) -> float:
    """The layer with the largest mean over every other prompt; of equals, the lowest."""
    rows = rows[rows["metric"] == metric]
    means = rows.pivot_table(index="prompt_id", columns="layer", values="value").iloc[half::2]
    return float(str(means.mean().idxmax())) if means.size else float("nan")


# --- answers --------------------------------------------------------------------------------------

Interval = tuple[float, float, float]


def answers(rows: pd.DataFrame) -> dict[str, Interval]:
    """Question -> (estimate, low, high) over the concepts of one model.

    rows: of `gather`. Correlations are Pearson's; that of halves of prompts says how well a gain or
    a layer agrees with itself, the most that two wordings could agree.
    """
    first, second = dict.fromkeys(rows["wording"])
    sides = [rows[rows["wording"] == each].set_index("concept") for each in (first, second)]
    one, other = (side.loc[sides[0].index] for side in sides)

    def r(a: "pd.Series[Any]", b: "pd.Series[Any]") -> Interval:
        return linear_correlation(a.to_numpy(float), b.to_numpy(float))

    result: dict[str, Interval] = {}
    for wording, side in ((first, one), (second, other)):
        result[f"gain, {wording}"] = difference_interval(side["gain"].to_numpy())
        result[f"gain of the control, {wording}"] = difference_interval(side["control"].to_numpy())
        result[f"gain minus control, {wording}"] = difference_interval(side["net"].to_numpy())
        result[f"disfluency over unsteered, {wording}"] = difference_interval(
            side["damage"].to_numpy()
        )
        result[f"chosen layer, {wording}"] = difference_interval(side["layer"].to_numpy(float))
    gains = (other["gain"].to_numpy(), one["gain"].to_numpy())
    result[f"gain, {second} minus {first}"] = difference_interval(gains[0] - gains[1])
    result["share of the gains' variance between wordings"] = variance_share(*gains)
    result["r of gain across wordings"] = r(one["gain"], other["gain"])
    result["r of chosen layer across wordings"] = r(one["layer"], other["layer"])
    for wording, side in ((first, one), (second, other)):
        for column in ("gain", "layer"):
            halves = (side[f"{column}_{half}"] for half in HALVES)
            result[f"r of {column} across halves of the prompts, {wording}"] = r(*halves)
    return result


def beside_published(
    rows: pd.DataFrame, column: str, published: pd.DataFrame
) -> dict[str, Interval]:
    """Spearman's rho of our gains or layers (column) with published ones, by wording.

    rows: of one model. published: text (the concept), label and group; the groups, sorted, are the
    wordings. Only what both have is compared.
    """
    theirs = published.assign(concept=[name_of(text) for text in published["text"]])
    groups = sorted(theirs["group"].dropna().unique())
    result: dict[str, Interval] = {}
    for wording, group in zip(dict.fromkeys(rows["wording"]), groups, strict=False):
        ours = rows[rows["wording"] == wording].set_index("concept")[column]
        labels = theirs[theirs["group"] == group].set_index("concept")["label"]
        both = pd.concat([ours, labels[~labels.index.duplicated()]], axis=1, join="inner")
        row = f"rho with published {column} of {len(both)} concepts, {wording}"
        result[row] = rank_correlation(*both.to_numpy(float).T)
    return result


def sentences(rows: pd.DataFrame) -> str:
    """How many concepts moved on each model, and which effects would have been detected."""
    return " ".join(
        f"{model}: {_moved(part)} {_power(part)}"
        for model, part in rows.groupby("model", sort=False)
    )


def _moved(rows: pd.DataFrame) -> str:
    parts = []
    for wording, side in rows.groupby("wording", sort=False):
        moved = int((side["net_low"] > 0).sum())
        parts.append(f"{moved} of {len(side)} in wording {wording}")
    return f"Concepts whose gain minus control is above zero: {', '.join(parts)}."


def _power(rows: pd.DataFrame) -> str:
    r = detectable_correlation(rows["concept"].nunique())
    return (
        "Smallest effects that 80 % power detects: a gain minus control of "
        f"{rows['detectable'].median():.3f} for the median concept, a correlation of {r:.2f}."
    )
