"""Intervals over prompts: a prompt's samples are not independent, so it is resampled whole.

The seed of resampling is fixed and not the run's, so an interval is a function of its values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import nctdtrinc
from scipy.stats import binomtest, bootstrap, rankdata, ttest_1samp, wilcoxon
from scipy.stats import t as student

RESAMPLES = 2000
LEVEL = 0.95
POWER = 0.8


def mean_interval(values: np.ndarray, share: bool = False) -> tuple[float, float, float]:
    """(mean, low, high) of one value per prompt; 95 % percentile bootstrap, the same every time.

    share: each value is a share between 0 and 1. NaN entries are left out. A bootstrap of equal
    values would claim certainty: a share that is 0, or 1, for every prompt gets the exact binomial
    interval; other equal values, and fewer than two prompts, have NaN bounds.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    return _exact_share(values, share) or difference_interval(values)


def _exact_share(values: np.ndarray, share: bool) -> tuple[float, float, float] | None:
    """The exact binomial interval of a share that is 0, or 1, for every prompt; None for others."""
    if not share or len(values) < 2 or np.ptp(values) != 0 or values[0] not in (0, 1):
        return None
    interval = binomtest(int(values.sum()), len(values)).proportion_ci(LEVEL, method="exact")
    return float(values[0]), float(interval.low), float(interval.high)


def difference_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) of paired differences, one per prompt; NaN bounds if all are equal."""
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    return ratio_interval(values, np.ones_like(values))


def ratio_interval(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """(ratio, low, high) of sum(sums) / sum(counts), prompts resampled: a weighted mean."""
    if not len(sums) or counts.sum() == 0:
        return (float("nan"),) * 3
    estimate = float(sums.sum() / counts.sum())
    if len(sums) < 2 or np.ptp(sums[counts > 0] / counts[counts > 0]) == 0:
        return estimate, float("nan"), float("nan")
    return estimate, *_bootstrap(
        (sums, counts), lambda s, c, axis=-1: s.sum(axis=axis) / c.sum(axis=axis)
    )


def median_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(median, low, high) of independent values such as timings; 95 % percentile bootstrap.

    NaN entries are left out. Fewer than two values, or equal ones, have NaN bounds.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return (float("nan"),) * 3
    estimate = float(np.median(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return estimate, float("nan"), float("nan")
    return estimate, *_bootstrap((values,), np.median)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """(Spearman's rho, low, high) of two values per item; 95 % percentile bootstrap over items.

    Ranks are taken anew in each resample; a resample in which one side is constant counts as 0.
    Items with a NaN are left out. NaN if a side is constant; NaN bounds for fewer than four items.
    """
    return _correlation(first, second, _rho)


def linear_correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """(Pearson's r, low, high) of two values per item; otherwise as `rank_correlation`."""
    return _correlation(first, second, _r)


def _correlation(
    first: np.ndarray, second: np.ndarray, statistic: Callable[..., np.ndarray]
) -> tuple[float, float, float]:
    return _over_items(first, second, statistic, lambda pairs: np.ptp(pairs, axis=1))


def _over_items(
    first: np.ndarray,
    second: np.ndarray,
    statistic: Callable[..., np.ndarray],
    ranges: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, float, float]:
    """A statistic of two values per item with its bounds; items with a NaN are left out.

    NaN for fewer than two items or if one of the `ranges` of [2, items] is 0; NaN bounds for fewer
    than four items.
    """
    pairs = np.array([first, second], dtype=np.float64)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if pairs.shape[1] < 2 or (ranges(pairs) == 0).any():
        return (float("nan"),) * 3
    estimate = float(statistic(*pairs))
    if pairs.shape[1] < 4:
        return estimate, float("nan"), float("nan")
    return estimate, *_bootstrap(tuple(pairs), statistic)


def _rho(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """Spearman's rho along an axis; 0 where a side is constant."""
    return _r(rankdata(first, axis=axis), rankdata(second, axis=axis), axis)


def _r(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """Pearson's r along an axis; 0 where a side is constant."""
    x, y = (side - side.mean(axis=axis, keepdims=True) for side in (first, second))
    size = np.sqrt((x**2).sum(axis=axis) * (y**2).sum(axis=axis))
    product = (x * y).sum(axis=axis)
    return np.asarray(np.divide(product, size, out=np.zeros_like(product), where=size > 0))


def variance_share(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """(share, low, high) of the variance of all values that lies between two groups (eta squared).

    Two values per item, one of each group; 95 % percentile bootstrap over items. Items with a NaN
    are left out. NaN for fewer than two items, NaN bounds for fewer than four.
    """
    return _over_items(first, second, _eta_squared, np.ptp)


def _eta_squared(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    whole = np.concatenate([first, second], axis=axis)
    between = (first.mean(axis=axis) - second.mean(axis=axis)) ** 2 / 4
    variance = whole.var(axis=axis)
    return np.asarray(np.divide(between, variance, out=np.zeros_like(between), where=variance > 0))


def _bootstrap(data: tuple[np.ndarray, ...], statistic: Callable[..., Any]) -> tuple[float, float]:
    """(low, high) of a statistic whose arguments are resampled together."""
    result = bootstrap(
        data,
        statistic,
        paired=len(data) > 1,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.Generator(np.random.Philox(key=0)),
    )
    low, high = result.confidence_interval
    return float(low), float(high)


def share_interval(hits: int, count: int) -> tuple[float, float, float]:
    """(share, low, high) of independent cases, with the exact binomial 95 % interval."""
    interval = binomtest(hits, count).proportion_ci(LEVEL, method="exact")
    return hits / count, float(interval.low), float(interval.high)


def resampled_counts(count: int) -> np.ndarray:
    """How often each of `count` prompts is drawn in each resample, float64 [RESAMPLES, count]."""
    generator = np.random.Generator(np.random.Philox(key=0))
    draws = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return draws.astype(np.float64)


def paired_p_value(differences: np.ndarray, ranked: bool = False) -> float:
    """Two-sided p of a paired t-test, or of Wilcoxon's signed-rank test if `ranked`.

    NaN for fewer than two differences, or if all are equal.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2 or np.ptp(values) == 0:
        return float("nan")
    test = wilcoxon(values) if ranked else ttest_1samp(values, 0)
    return float(test.pvalue)


def detectable(differences: np.ndarray) -> float:
    """The smallest true mean difference that this sample could have seen, in the values' unit.

    That is the mean that a two-sided paired t-test at 5 % finds with 80 % power, given the number
    and the standard deviation of `differences`, one per prompt, from the noncentral t distribution
    (Cohen 1988, Statistical Power Analysis, chapter 2); a significant result of the wrong sign,
    with a chance below 1e-6, is not counted. Compare an effect that was missed with it, not one
    that was seen. NaN entries are left out. NaN for fewer than two differences, or if all are
    equal.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2 or np.ptp(values) == 0:
        return float("nan")
    freedom = len(values) - 1
    threshold = student.ppf((1 + LEVEL) / 2, freedom)
    noncentrality = nctdtrinc(freedom, 1 - POWER, threshold)
    return float(noncentrality * values.std(ddof=1) / len(values) ** 0.5)


# --- one control of several draws -----------------------------------------------------------------
# Every random vector is measured on every prompt, so draws and prompts are crossed random effects.
# A bootstrap interval over five draws would be much too narrow.


@dataclass(frozen=True)
class Crossed:
    """The mean over draws and prompts, its variance, and the degrees of freedom of that variance.

    variance and freedom are NaN if there are fewer than two draws or prompts, or all values agree.
    """

    mean: float
    variance: float
    freedom: float

    @property
    def interval(self) -> tuple[float, float, float]:
        """(mean, low, high): 95 % by Student's t."""
        reach = float(student.ppf((1 + LEVEL) / 2, self.freedom)) * self.variance**0.5
        return self.mean, self.mean - reach, self.mean + reach

    @property
    def p_value(self) -> float:
        """Two-sided p of the mean being 0."""
        if np.isnan(self.variance):
            return float("nan")
        return float(2 * student.sf(abs(self.mean) / self.variance**0.5, self.freedom))


def crossed(sums: np.ndarray, counts: np.ndarray | None = None) -> Crossed:
    """The mean sum(sums) / sum(counts) over draws and prompts, [draws, prompts] both.

    The variance is that of two crossed random effects, from the mean squares of draws, of prompts
    and of the residual (quasi-F; Clark 1973, Journal of Verbal Learning and Verbal Behavior 12),
    with Satterthwaite's degrees of freedom; an effect with a negative estimate is dropped.
    With counts the mean is a ratio, linearised.
    """
    counts = np.ones(sums.shape) if counts is None else counts
    draws, prompts = sums.shape
    total = counts.sum()
    if total == 0:
        return Crossed(float("nan"), float("nan"), float("nan"))
    mean = float(sums.sum() / total)
    if min(draws, prompts) < 2:
        return Crossed(mean, float("nan"), float("nan"))
    # Each value's contribution to the linearised ratio.
    values = (sums - mean * counts) / counts.mean()
    by_draw, by_prompt = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    of_draws = prompts * (by_draw**2).sum() / (draws - 1)
    of_prompts = draws * (by_prompt**2).sum() / (prompts - 1)
    within = (draws - 1) * (prompts - 1)
    residual = ((values - by_draw - by_prompt) ** 2).sum() / within
    if np.allclose(values, 0, rtol=0, atol=1e-12 * max(abs(mean), 1e-300)):
        return Crossed(mean, float("nan"), float("nan"))
    effects = [(of_draws, draws - 1), (of_prompts, prompts - 1)]
    effects = [(square, freedom) for square, freedom in effects if square > residual]
    if len(effects) == 2:
        square = of_draws + of_prompts - residual
        parts = [size**2 / freedom for size, freedom in (*effects, (residual, within))]
        freedom = square**2 / sum(parts)
    else:
        [(square, freedom)] = effects or [(residual, within)]
    return Crossed(mean, float(square) / (draws * prompts), float(freedom))


def crossed_mean(values: np.ndarray, share: bool = False) -> tuple[float, float, float]:
    """`mean_interval` of a control without NaN, [draws, prompts]; a share is within 0 and 1."""
    mean, low, high = _exact_share(values.mean(axis=0), share) or crossed(values).interval
    return (mean, max(low, 0.0), min(high, 1.0)) if share else (mean, low, high)


def signed_ranks(values: np.ndarray) -> np.ndarray:
    """Each value's rank among all absolute values, with its sign (Conover and Iman 1981)."""
    return np.sign(values) * rankdata(np.abs(values)).reshape(values.shape)
