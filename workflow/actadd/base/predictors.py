"""The best of several predictors, and what its being the best is worth.

The predictor with the largest correlation was chosen on the items that its correlation is of, so
that the correlation promises too much: the more predictors, the more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from actadd.base.intervals import LEVEL, RESAMPLES, rank_correlation

# Items that a resample leaves out, so that a correlation over them says something.
LEAST_LEFT_OUT = 4
NONE = (float("nan"),) * 3


@dataclass(frozen=True)
class Best:
    """The predictor with the largest rank correlation in absolute value.

    apparent: its (rho, low, high) as by `rank_correlation`, on the items that it was chosen on.
    left_out: (mean, low, high) of rho over items that the choice did not see, its sign the one seen
    in the choice; low and high hold 95 % of the resamples. p: the chance of so large a correlation
    of the best of all predictors if none of them tells anything. of: how many there are.
    """

    name: str
    apparent: tuple[float, float, float]
    left_out: tuple[float, float, float]
    p: float
    of: int


def best_predictor(
    predictors: Mapping[str, np.ndarray], outcome: np.ndarray, resamples: int = RESAMPLES
) -> Best | None:
    """The best of some predictors of an outcome, one value per item each; the same every time.

    left_out: each bootstrap resample of the items chooses anew, and its choice is read on the items
    that it did not draw (Breiman 1996, Out-of-bag estimation). p: of the largest absolute
    correlation under permutations of the outcome (Westfall and Young 1993), exact but for their
    number. Both are over the items that have all predictors. None if no predictor tells
    anything, such as of equal values.
    """
    rhos = {name: _rho(values, outcome) for name, values in predictors.items()}
    rhos = {name: rho for name, rho in rhos.items() if rho}
    if not rhos:
        return None
    name = max(rhos, key=lambda name: abs(rhos[name]))
    values = np.array([*(predictors[each] for each in rhos), outcome], dtype=np.float64)
    values = values[:, ~np.isnan(values).any(axis=0)]
    apparent = rank_correlation(predictors[name], outcome)
    return Best(
        name, apparent, _left_out(values, resamples), _p_value(values, resamples), len(rhos)
    )


def _rho(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rho over the items that have both; 0 if a side does not vary."""
    values = np.array([one, other], dtype=np.float64)
    values = values[:, ~np.isnan(values).any(axis=0)]
    return float(np.prod(_scores(values), axis=0).mean()) if values.size else 0.0


def _left_out(values: np.ndarray, resamples: int) -> tuple[float, float, float]:
    """See `Best.left_out`. values: [predictors + 1, items], the outcome last."""
    count = values.shape[1]
    draws = _generator().integers(count, size=(resamples, count))
    drawn = _scores(values[:, draws])
    inside = (drawn[:-1] * drawn[-1]).mean(axis=-1)
    chosen = np.abs(inside).argmax(axis=0)
    correlations = []
    for draw, predictor, seen in zip(draws, chosen, inside.T, strict=True):
        others = np.setdiff1d(np.arange(count), draw)
        if len(others) >= LEAST_LEFT_OUT:
            rho = _rho(values[predictor, others], values[-1, others])
            correlations.append(np.sign(seen[predictor]) * rho)
    if len(correlations) < LEVEL * resamples:
        return NONE
    low, high = np.quantile(correlations, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.mean(correlations)), float(low), float(high)


def _p_value(values: np.ndarray, resamples: int) -> float:
    """See `Best.p`. values: [predictors + 1, items], the outcome last."""
    if values.shape[1] < LEAST_LEFT_OUT:
        return float("nan")
    *predictors, outcome = _scores(values)
    orders = _generator().permuted(np.tile(outcome, (resamples, 1)), axis=1)
    largest = np.abs(orders @ np.transpose(predictors)).max(axis=1)
    # Equal but for rounding counts as reached.
    reached = largest >= np.abs(np.array(predictors) @ outcome).max() - 1e-9
    return float((1 + reached.sum()) / (1 + resamples))


def _scores(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis with mean 0 and variance 1; 0 where all values are equal."""
    ranks = rankdata(values, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    size = ranks.std(axis=-1, keepdims=True)
    return np.asarray(np.divide(ranks, size, out=np.zeros_like(ranks), where=size > 0))


def _generator() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=0))
