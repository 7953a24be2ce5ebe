"""Numbers of a card that come from values prompt by prompt."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.intervals import (
    crossed,
    detectable,
    difference_interval,
    mean_interval,
    rank_correlation,
)
from actadd.engine.decoding.sampling import SAMPLING
from actadd.measure.additions import operation_of, strength_of
from actadd.results.reliability.card import (
    Agreement,
    Estimate,
    Prompt,
    Slope,
    Unmeasured,
    Versus,
    WrongWay,
)
from actadd.results.reliability.evidence import Evidence, Setting

# Prompts that a card lists.
WORST = 5
# Strengths of a slope, that of the unsteered among them.
LEAST_STRENGTHS = 3


def mean_of(changes: pd.DataFrame) -> Estimate:
    """The mean with its interval; of several draws, see `base.intervals.crossed`."""
    if changes.shape[1] == 1:
        return Estimate(*difference_interval(changes.to_numpy()[:, 0]))
    return Estimate(*crossed(changes.to_numpy().T).interval)


def effect(evidence: Evidence, setting: Setting, metric: str) -> Estimate | Unmeasured:
    """The mean paired difference from unsteered."""
    if reason := evidence.failed(setting, metric):
        return Unmeasured(why=f"the cell failed: {reason}")
    changes = evidence.changes(setting, metric)
    if changes.empty:
        return Unmeasured(why="there is no unsteered condition with the same sampling and seed")
    return mean_of(changes)


def smallest(changes: "pd.Series[float]") -> float | Unmeasured:
    """The smallest effect that these prompts could have seen."""
    value = detectable(changes.to_numpy())
    if np.isnan(value):
        return Unmeasured(why="it takes two prompts that differ")
    return value


def wrong_way(
    changes: "pd.Series[float]", aim: int, prompts: Mapping[Any, str]
) -> WrongWay | Unmeasured:
    """How many prompts moved against the aim (Tan et al. 2024; Braun et al. 2025), and which most.

    A prompt that did not move at all is not among them.
    """
    if changes.empty:
        return Unmeasured(why="no prompt has a difference from unsteered")
    aimed = aim * changes
    against = aimed[aimed < 0].sort_values(kind="stable")
    worst = tuple(
        Prompt(prompts.get(prompt, str(prompt)), float(changes[prompt]))
        for prompt in against.index[:WORST]
    )
    share = mean_interval((aimed < 0).to_numpy(float), share=True)
    return WrongWay(
        share=Estimate(*share), count=len(against), unmoved=int((aimed == 0).sum()), worst=worst
    )


def slope(
    evidence: Evidence, metric: str, coordinates: "pd.Series[Any]", rises: int
) -> Slope | Unmeasured:
    """The slope of the metric over strengths, prompt by prompt: "steerability" (Tan et al. 2024).

    evidence: of a sweep. coordinates: of the setting; all but its strength have to be the same.
    Least squares over all strengths; the unsteered values stand at 0 for an operation that does
    nothing there. rises: 1 if the metric should rise with the strength, else -1.
    """
    [addition] = json.loads(coordinates["additions"])
    columns: dict[float, pd.Series[float]] = {}
    alike = [each for each in evidence.settings if drawn_alike(each.iloc[0], coordinates)]
    # A sweep may be drawn in another way than the experiment.
    for setting in alike or evidence.settings:
        first = setting.iloc[0]
        if without_strength(first["additions"]) != without_strength(coordinates["additions"]):
            continue
        if evidence.failed(setting, metric):
            continue
        columns[float(first["coefficient"])] = evidence.values(setting, metric)[0]
        unsteered = evidence.unsteered(setting, metric)
        if unsteered is not None and operation_of(addition).nothing_at_zero:
            columns[0.0] = unsteered
    table = pd.DataFrame(columns).dropna().sort_index(axis=1)
    if table.shape[1] < LEAST_STRENGTHS or table.empty:
        strengths = ", ".join(f"{value:g}" for value in table.columns) or "none"
        return Unmeasured(
            why=f"a slope takes {LEAST_STRENGTHS} strengths of this setting, 0 among them; there "
            f"are {strengths}"
        )
    x = table.columns.to_numpy(float) - table.columns.to_numpy(float).mean()
    slopes = table.to_numpy(float) @ x / (x @ x)
    return Slope(
        mean=Estimate(*difference_interval(slopes)),
        spread=float(slopes.std(ddof=1)) if len(slopes) > 1 else float("nan"),
        against=Estimate(*mean_interval((rises * slopes < 0).astype(float), share=True)),
        strengths=tuple(float(value) for value in table.columns),
        prompts=len(table),
    )


def drawn_alike(one: "pd.Series[Any]", other: "pd.Series[Any]") -> bool:
    """Whether two settings have the same sampling and seed."""
    names = [*SAMPLING, "seed"]
    # Where nothing is drawn both are NaN.
    pairs = zip(one[names], other[names], strict=True)
    return all(a == b or (a != a and b != b) for a, b in pairs)


def without_strength(additions: str) -> Any:
    """What tells a setting but its strength; None if it is not one addition."""
    parts = json.loads(additions)
    if len(parts) != 1:
        return None
    return {name: value for name, value in parts[0].items() if name != strength_of(parts[0])}


def without_vector(additions: str) -> list[dict[str, Any]]:
    """Additions but for their vectors."""
    return [
        {name: value for name, value in addition.items() if name != "vector"}
        for addition in json.loads(additions)
    ]


def over_control(
    evidence: Evidence,
    metric: str,
    changes: "pd.Series[float]",
    coordinates: "pd.Series[Any]",
    aim: int,
    controls: frozenset[str],
) -> Versus | Unmeasured:
    """The effect minus that of the control which does most for the aim, at the same setting.

    controls: the vectors that steer nowhere on purpose and belong to this one. Taking the best of
    several is hard on the vector, not on the control.
    """
    if changes.empty:
        return Unmeasured(why="there is no effect to compare")
    candidates = []
    for setting in evidence.settings:
        first = setting.iloc[0]
        if first["vector"] not in controls or first["vector"] == coordinates["vector"]:
            continue
        if not drawn_alike(first, coordinates):
            continue
        if without_vector(first["additions"]) != without_vector(coordinates["additions"]):
            continue
        others = evidence.changes(setting, metric)
        if others.empty or evidence.failed(setting, metric):
            continue
        candidates.append((str(first["condition"]), others))
    if not candidates:
        return Unmeasured(why="no control of this vector is measured at this setting")
    name, others = max(candidates, key=lambda each: aim * each[1].to_numpy().mean())
    difference = others.rsub(changes.reindex(others.index), axis=0).dropna() * aim
    by_prompt = others.mean(axis=1)
    return Versus(
        name=name,
        other=mean_of(others),
        difference=mean_of(difference),
        wrong_way=float((aim * others.to_numpy() < 0).mean()),
        changes=by_prompt,
        at="the same setting",
    )


def over_prompting(readings: pd.DataFrame, condition: str, aim: int) -> Versus | Unmeasured:
    """The effect minus prompting's, read off the condition's curve at prompting's damage.

    readings: of a comparison of methods on one model, see `equal_damage.compare`. The first damage
    at which the curve reaches a prompt counts, and of several prompts the one hardest to beat.
    """
    points = readings[(readings["role"] == "point") & (readings["reference"] != "")]
    if points.empty:
        return Unmeasured(why="the comparison of methods has no prompting, or none was scored")
    of_method = readings[(readings["condition"] == condition) & (readings["reference"] != "")]
    if of_method.empty:
        return Unmeasured(why=f"the comparison of methods has no method {condition!r}")
    # Where prompting does no damage the method is read at strength 0, which compares nothing.
    read = of_method[of_method["minus_point"].notna() & (of_method["strength"] != 0)]
    if read.empty:
        reasons = [reason for reason in of_method["reason"] if reason]
        return Unmeasured(why=reasons[0] if reasons else "prompting does no damage that is read")
    read = read[read["damage"] == read["damage"].iloc[0]]
    row = read.loc[(aim * read["minus_point"]).idxmin()]
    [point] = points[
        (points["damage"] == row["damage"]) & (points["reference"] == row["reference"])
    ].to_dict("records")
    bounds = [aim * row[f"minus_point{end}"] for end in ("", "_low", "_high")]
    return Versus(
        name=str(row["reference"]),
        other=Estimate(*(float(point[f"effect{end}"]) for end in ("", "_low", "_high"))),
        difference=Estimate(bounds[0], min(bounds[1:]), max(bounds[1:])),
        at=f"equal damage ({row['damage']} {row['at']:.3g})",
    )


def cost_ratio(evidence: Evidence, setting: Setting, metric: str) -> Estimate | Unmeasured:
    """How many times as high a metric is as unsteered: the geometric mean over prompts."""
    if reason := evidence.failed(setting, metric):
        return Unmeasured(why=f"its scores failed: {reason}")
    steered, unsteered = evidence.values(setting, metric), evidence.unsteered(setting, metric)
    if unsteered is None:
        return Unmeasured(why="there is no unsteered condition with the same sampling and seed")
    ratios = steered.mean(axis=1) / unsteered.reindex(steered.index)
    logs = np.log(ratios[ratios > 0].to_numpy(float))
    if not np.isfinite(logs).any():
        return Unmeasured(why=f"{metric} has no values above 0")
    return Estimate(*(float(np.exp(value)) for value in difference_interval(logs)))


def agreement(
    evidence: Evidence, setting: Setting, metric: str, others: list[str]
) -> tuple[Agreement, ...]:
    """Whether other scorers saw what this one did, prompt by prompt."""
    changes = evidence.changes(setting, metric)[0]
    results = []
    for other in others:
        theirs = evidence.changes(setting, other)
        both = pd.concat([changes, theirs[0]], axis=1).dropna().to_numpy()
        correlation = Estimate(*rank_correlation(both[:, 0], both[:, 1]))
        results.append(Agreement(other, mean_of(theirs), correlation))
    return tuple(results)


def sign_of(addition: Mapping[str, Any], strength: bool = True) -> int:
    """Which way an addition pushes along its vector: 1, or -1 at a negative strength.

    Ablation takes the direction out, so it pushes the other way. strength: False looks at the
    operation alone.
    """
    sign = -1 if operation_of(addition).name == "ablate" else 1
    negative = strength and float(addition[strength_of(addition)]) < 0
    return -sign if negative else sign
