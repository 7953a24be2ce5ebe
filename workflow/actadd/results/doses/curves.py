"""Curves of effect and damage by dose at each layer, and the doses that are read off them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from actadd.base.intervals import LEVEL, resampled_counts
from actadd.measure.methods import METHODS

# Quantiles of the interval.
BOUNDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
# Effect that is half of the largest one.
HALF = 0.5


@dataclass(frozen=True, eq=False)
class Curves:
    """Values of one condition on one model.

    layers [L]; doses [D], rising; effect and damage [L, D, prompts]: the effect is the paired
    difference from unsteered. failed [L, D]: cells that could not be computed. base: the mean
    damage of unsteered text; NaN where it has none.
    """

    layers: np.ndarray
    doses: np.ndarray
    effect: np.ndarray
    damage: np.ndarray
    failed: np.ndarray
    base: float


@dataclass(frozen=True, eq=False)
class Readings:
    """Doses that are read off curves, [1 + resamples, L]: the first of all prompts, then of
    resampled ones. inf: not reached within the measured doses; NaN: there is no effect.
    """

    peak: np.ndarray
    best: np.ndarray
    half: np.ndarray
    collapse: np.ndarray


def curves_of(values: pd.DataFrame, condition: str, effect: str, damage: str) -> Curves:
    """The curves of one condition. values: see `prompt_values`, of one model and experiment."""
    plain = values[values["method"].map(lambda name: METHODS[name].role) == "unsteered"]
    steered = values[values["condition"] == condition]
    layers, doses = (np.unique(steered[name].dropna()) for name in ("layer", "coefficient"))
    columns = pd.MultiIndex.from_product([layers, doses], names=["layer", "coefficient"])
    tables = {}
    for metric in (effect, damage):
        rows = steered[steered["metric"] == metric]
        # Several draws of a control are one curve.
        each = rows.groupby(["prompt_id", *columns.names])["value"].mean()
        tables[metric] = each.unstack(columns.names).reindex(columns=columns)
    shape = (len(layers), len(doses), len(tables[effect]))
    unsteered = plain[plain["metric"] == effect].set_index("prompt_id")["value"]
    moved = tables[effect].sub(unsteered.reindex(tables[effect].index), axis="index")
    costs = tables[damage].reindex(index=moved.index, columns=moved.columns)
    return Curves(
        layers.astype(int),
        doses.astype(float),
        moved.to_numpy(float).T.reshape(shape),
        costs.to_numpy(float).T.reshape(shape),
        costs.isna().all().to_numpy().reshape(shape[:2]),
        float(plain[plain["metric"] == damage]["value"].mean()),
    )


def means(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weighted means over prompts, [R, L, D]; values [L, D, prompts], counts [R, prompts]."""
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.einsum("ldp,rp->rld", np.where(finite, values, 0), counts)
        averaged: np.ndarray = sums / np.einsum("ldp,rp->rld", finite.astype(float), counts)
    return averaged


def crossing(doses: np.ndarray, curves: np.ndarray, level: np.ndarray, start: float) -> np.ndarray:
    """The first dose at which a curve reaches a level, between doses by a straight line.

    doses [D]; curves [..., D]; level [...]; start: the value at dose 0. inf where it is not
    reached; values that are missing count as reached, since a model that fails has collapsed.
    """
    at = np.concatenate([[0.0], doses])
    zero = np.full((*curves.shape[:-1], 1), start)
    points = np.concatenate([zero, np.where(np.isnan(curves), np.inf, curves)], axis=-1)
    reached = points >= level[..., None]
    first = reached.argmax(axis=-1)
    before = np.maximum(first - 1, 0)
    low, high = (
        np.take_along_axis(points, index[..., None], -1)[..., 0] for index in (before, first)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        # Beside a value that is missing there is no line, so the dose itself counts.
        line = np.isfinite(low) & np.isfinite(high) & (first > 0)
        share = np.where(line, (level - low) / (high - low), 1.0)
    result: np.ndarray = at[before] + share * (at[first] - at[before])
    return np.where(reached.any(axis=-1), result, np.inf)


def readings(curves: Curves, limit: float) -> Readings:
    """The largest effect, its dose, the dose of its half, and that of collapse, with resamples.

    limit: the damage from which on a model counts as collapsed.
    """
    prompts = curves.effect.shape[-1]
    counts = np.vstack([np.ones((1, prompts)), resampled_counts(prompts)])
    effects, damages = means(curves.effect, counts), means(curves.damage, counts)
    known = np.where(np.isnan(effects), -np.inf, effects)
    peak = known.max(axis=-1)
    best = curves.doses[known.argmax(axis=-1)]
    half = crossing(curves.doses, known, HALF * peak, 0.0)
    none = peak <= 0
    limits = np.full(damages.shape[:-1], limit)
    start = 0.0 if np.isnan(curves.base) else curves.base
    return Readings(
        peak,
        np.where(none, np.nan, best),
        np.where(none, np.nan, half),
        crossing(curves.doses, damages, limits, start),
    )


def bounds(values: np.ndarray) -> tuple[float, float, float]:
    """(value, low, high) of readings [1 + resamples]; inf counts as larger than all."""
    if np.isnan(values[1:]).all():
        return float(values[0]), np.nan, np.nan
    low, high = np.nanquantile(values[1:], BOUNDS, method="inverted_cdf")
    return float(values[0]), float(low), float(high)


def spread(values: np.ndarray) -> np.ndarray:
    """The factor by which layers differ, [R]: exp of the standard deviation of logarithms.

    values [R, L]; those that are not reached are left out. NaN for fewer than two.
    """
    logs = np.where(np.isfinite(values) & (values > 0), np.log(np.maximum(values, 1e-300)), np.nan)
    few = np.isfinite(logs).sum(axis=-1) < 2
    logs[few] = 0.0
    return np.where(few, np.nan, np.exp(np.nanstd(logs, axis=-1, ddof=1)))


def median(values: np.ndarray) -> np.ndarray:
    """The median over layers, [R]; NaN are left out, inf counts as larger than all."""
    middle: np.ndarray = np.full(len(values), np.nan)
    some = ~np.isnan(values).all(axis=-1)
    middle[some] = np.nanquantile(values[some], 0.5, axis=-1, method="inverted_cdf")
    return middle
