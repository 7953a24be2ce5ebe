"""Intervals over prompts: a prompt's samples are not independent, so it is resampled whole."""

import numpy as np
from scipy.stats import binomtest, bootstrap, ttest_1samp, wilcoxon

RESAMPLES = 2000
LEVEL = 0.95


def mean_interval(values: np.ndarray, share: bool = False) -> tuple[float, float, float]:
    """(mean, low, high) of one value per prompt; 95 % percentile bootstrap, the same every time.

    share: the metric is a share of yes among yes and no. NaN entries are left out. A bootstrap of
    equal values would claim certainty: a share that is 0, or 1, for every prompt gets the exact
    binomial interval; other equal values, and fewer than two prompts, have none (NaN).
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if share and len(values) > 1 and np.ptp(values) == 0 and values[0] in (0, 1):
        hits = int(values.sum())
        interval = binomtest(hits, len(values)).proportion_ci(LEVEL, method="exact")
        return float(values[0]), float(interval.low), float(interval.high)
    return difference_interval(values)


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
    result = bootstrap(
        (sums, counts),
        lambda s, c, axis=-1: s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.Generator(np.random.Philox(key=0)),
    )
    low, high = result.confidence_interval
    return estimate, float(low), float(high)


def median_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(median, low, high) of independent values, as timed repeats are; 95 % percentile bootstrap.

    NaN entries are left out. Fewer than two values, or equal ones, have no bounds (NaN).
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return (float("nan"),) * 3
    estimate = float(np.median(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return estimate, float("nan"), float("nan")
    result = bootstrap(
        (values,),
        np.median,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.Generator(np.random.Philox(key=0)),
    )
    low, high = result.confidence_interval
    return estimate, float(low), float(high)


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
