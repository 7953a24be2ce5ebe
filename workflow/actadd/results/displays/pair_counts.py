"""Directions of more and more contrast pairs: how much they do, and when more add little."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.base.intervals import LEVEL, RESAMPLES, crossed_mean, detectable, difference_interval
from actadd.results.displays.kinds import Sources
from actadd.results.displays.labels import in_order
from actadd.results.displays.pair_count_options import PairCountOptions
from actadd.results.intervals import columns, interval_text, span


@dataclass(frozen=True)
class Enough:
    """The fewest pairs of a curve that do nearly as much as the most.

    pairs, low, high: that number, and the 2.5 and 97.5 percentiles of it over resamples of prompts
    and draws; NaN where the most pairs have no effect that is different from 0.
    """

    pairs: float
    low: float
    high: float


def gather(
    options: PairCountOptions, sources: Sources
) -> tuple[pd.DataFrame, dict[tuple[str, str], Enough]]:
    """(points, enough pairs of each model and curve).

    points: one row for each model, curve and number of pairs: effect, the mean paired difference
    from unsteered with low and high over draws and prompts; below, effect_of_most minus this one,
    paired, with below_low and below_high; cost, the geometric mean of the ratio to unsteered, with
    cost_low and cost_high; draws, prompts; detectable, the smallest effect that would have been
    seen; control; layer and strength.
    """
    rows, points = [], {}
    about = pd.DataFrame.from_dict(sources.facts.more["conditions"], orient="index")
    models = [model for model, experiment in sources.tables if experiment == options.experiment]
    for model in models:
        values = sources.values(model, options.experiment)
        judged = sources.values(model, options.damage) if options.damage else values
        for curve, part in about.sort_values("pairs", kind="stable").groupby("curve", sort=False):
            key = f"{sources.key}.experiment"
            if (same := part.index[part["pairs"].duplicated(keep=False)]).size:
                raise UserError(
                    f"{key}: {same[0]!r} and {same[1]!r} are both {curve} of as many pairs; write "
                    "one of them"
                )
            effects = _effects(values, part["pairs"], options.metric, key)
            for condition, pairs in part["pairs"].items():
                if pairs in effects:
                    point = _point(
                        values, judged, str(condition), effects, pairs, options, sources.key
                    )
                    control = point["vector"] in sources.facts.controls
                    rows.append({"model": model, "curve": curve, **point, "control": control})
            if effects:
                points[model, str(curve)] = enough(effects, options.share)
    return pd.DataFrame(rows).drop(columns="vector"), points


def _effects(
    values: pd.DataFrame, counts: "pd.Series[int]", metric: str, key: str
) -> dict[int, np.ndarray]:
    """Pairs -> differences from unsteered, [draws, prompts], of the prompts that all have."""
    tables = {
        pairs: _differences(values, str(condition), metric, key)
        for condition, pairs in counts.items()
    }
    tables = {pairs: table for pairs, table in tables.items() if table.size}
    if not tables:
        return {}
    shared = functools.reduce(pd.Index.intersection, (table.index for table in tables.values()))
    return {pairs: table.loc[shared].to_numpy().T for pairs, table in tables.items()}


def _point(
    values: pd.DataFrame,
    judged: pd.DataFrame,
    condition: str,
    effects: dict[int, np.ndarray],
    pairs: int,
    options: PairCountOptions,
    key: str,
) -> dict[str, Any]:
    """The columns of one number of pairs. key: of the entry."""
    effect, most = effects[pairs], effects[max(effects)]
    same = len(effect) == len(most)
    below = most - effect if same else (most.mean(axis=0) - effect.mean(axis=0))[None]
    if effect is most:
        below = below[:0]
    steered = values[values["condition"] == condition].iloc[0]
    cost = {}
    if options.cost and condition not in set(judged["condition"]):
        raise UserError(
            f"{key}.damage: {options.damage} has no condition {condition!r}; write an experiment "
            "with the same conditions"
        )
    if options.cost:
        logarithms = judged.assign(value=np.log(judged["value"].where(judged["value"] > 0)))
        ratios = _differences(logarithms, condition, options.cost, "").to_numpy().T
        cost = {name: float(np.exp(value)) for name, value in _columns("cost", ratios).items()}
    return {
        "pairs": pairs,
        **_columns("effect", effect),
        **_columns("below", below),
        **cost,
        "draws": len(effect),
        "prompts": effect.shape[1],
        "detectable": detectable(effect.mean(axis=0)),
        **{name: steered[name] for name in ("vector", "layer")},
        "strength": steered["coefficient"],
    }


def _differences(values: pd.DataFrame, condition: str, metric: str, key: str) -> pd.DataFrame:
    """Steered minus unsteered: a row for each prompt that has both in every draw, a column each.

    Raises UserError if the condition has several settings.
    """
    rows = values[(values["metric"] == metric) & values["failed"].isna()]
    unsteered = rows[rows["method"] == "unsteered"].set_index("prompt_id")["value"]
    steered = rows[rows["condition"] == condition]
    if steered.groupby("prompt_id")["cell"].nunique().max() > max(1, steered["draw"].nunique()):
        raise UserError(f"{key}: condition {condition!r} has several settings; write one of each")
    wide = steered.assign(draw=steered["draw"].fillna(0)).pivot(
        index="prompt_id", columns="draw", values="value"
    )
    return wide.sub(unsteered, axis=0).dropna()


def _columns(name: str, values: np.ndarray) -> dict[str, float]:
    """A mean over draws and prompts with its 95 % interval."""
    if not values.size:
        return columns(name, [float("nan")] * 3)
    several = len(values) > 1
    return columns(name, crossed_mean(values) if several else difference_interval(values[0]))


def enough(effects: dict[int, np.ndarray], share: float) -> Enough:
    """The fewest pairs whose effect is at least a share of that of the most pairs.

    effects: pairs -> differences from unsteered, [draws, prompts]. Prompts are resampled for all
    counts together, and so are draws, which are parts of each other. Where counts differ in their
    draws, as all pairs are drawn in one way, means over draws are taken.
    """
    counts = np.array(sorted(effects))
    matrices = [effects[count] for count in counts]
    whole = _columns("effect", matrices[-1])
    has_effect = whole["effect_low"] > 0 or whole["effect_high"] < 0
    if not has_effect or len(counts) < 2:
        return Enough(*[float("nan")] * 3)
    if len({matrix.shape for matrix in matrices}) > 1:
        matrices = [matrix.mean(axis=0, keepdims=True) for matrix in matrices]
    stacked = np.stack(matrices) * np.sign(whole["effect"])
    generator = np.random.Generator(np.random.Philox(key=0))
    draws, prompts = stacked.shape[1:]

    def fewest(means: np.ndarray) -> float:
        return float(counts[np.argmax(means >= share * means[-1])])

    points = []
    for _ in range(RESAMPLES):
        rows = generator.integers(draws, size=draws)
        columns = generator.integers(prompts, size=prompts)
        points.append(fewest(stacked[:, rows][:, :, columns].mean(axis=(1, 2))))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(points, [tail, 1 - tail], method="nearest")
    return Enough(fewest(stacked.mean(axis=(1, 2))), float(low), float(high))


def caption(
    options: PairCountOptions,
    sources: Sources,
    points: pd.DataFrame,
    enough: dict[tuple[str, str], Enough],
) -> str:
    """What is compared, on what, and how many pairs are enough."""
    several = len({model for model, _ in enough}) > 1
    fewest, unseen = [], []
    for (model, curve), point in enough.items():
        name = f"{curve} on {model}" if several else curve
        if np.isfinite(point.pairs):
            numbers = interval_text((point.pairs, point.low, point.high), "{:g}".format)
            fewest.append(f"{name} {numbers}")
        elif (points["curve"] == curve).sum() > 1:
            unseen.append(name)
    settings = points.drop_duplicates(["model", "layer", "strength"])
    at = "; ".join(
        f"layer {layer:g}, strength {strength:g}"
        for layer, strength in settings[["layer", "strength"]].itertuples(index=False)
    )
    sentences = [
        f"Each point is the paired difference in {options.label(options.metric)} from unsteered, "
        f"at the same strength for each ({at}), by the number of contrast pairs, and the mean over "
        f"{span(points['draws'])} random draws of pairs (a larger draw holds the smaller ones).",
        f"Enough pairs are the fewest with {100 * options.share:g} % of the effect of the most "
        "(dotted lines; in brackets 95 % of resamples of prompts and draws): "
        f"{', '.join(fewest) or 'of no curve'}."
        + (f" Without an effect of the most pairs: {', '.join(unseen)}." if unseen else ""),
        f"The model is {options.listed(in_order(points['model']))}. The data are "
        f"{sources.facts.data}, with n = {span(points['prompts'])} prompts. Bars are 95 % "
        "intervals by Student's t that take "
        "draws and prompts for crossed random effects. Detectable effects, the smallest true ones "
        f"that a paired t-test sees with 80 % power, are {points['detectable'].min():.2g} to "
        f"{points['detectable'].max():.2g}.",
        *sources.facts.notes,
    ]
    return " ".join(sentences)
