"""Intervals over prompts. A prompt's samples are not independent, so prompts are resampled whole."""

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

RESAMPLES = 2000
LEVEL = 0.95


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) of one value per prompt; 95 % percentile bootstrap, the same every time.

    NaN entries are left out; an interval of fewer than two prompts is NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    return ratio_interval(values, np.ones_like(values))


def ratio_interval(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """(ratio, low, high) of sum(sums) / sum(counts), prompts resampled: a weighted mean."""
    if not len(sums) or counts.sum() == 0:
        return (float("nan"),) * 3
    estimate = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return estimate, float("nan"), float("nan")
    if np.ptp(sums / np.maximum(counts, 1e-300)) == 0:
        return estimate, estimate, estimate
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


def per_prompt(table: pd.DataFrame, prompt: str, metric: str) -> pd.Series:
    """The mean of a metric over each prompt's samples."""
    return table.groupby(prompt)[metric].mean()
