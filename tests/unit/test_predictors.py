"""The best of several predictors, and what is left of it once its choice is accounted for."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from actadd.base.intervals import rank_correlation
from actadd.base.predictors import best_predictor

ITEMS, RESAMPLES = 40, 100


def drawn(rng, signal: float = 0.0, count: int = 8) -> tuple[dict, np.ndarray]:
    values = rng.normal(size=(count, ITEMS))
    outcome = signal * values[0] + rng.normal(size=ITEMS)
    return {f"p{number}": row for number, row in enumerate(values)}, outcome


def test_the_best_has_the_largest_correlation_of_either_sign():
    predictors, outcome = drawn(np.random.default_rng(0), signal=-2)
    best = best_predictor(predictors, outcome)
    assert best.name == "p0" and best.of == 8
    assert best.apparent == rank_correlation(predictors["p0"], outcome)
    assert best.apparent[0] == pytest.approx(spearmanr(predictors["p0"], outcome)[0])
    mean, low, high = best.left_out
    # The sign is that of the choice, so that a choice that holds is positive.
    assert low < mean < high and 0.5 < mean <= abs(best.apparent[0]) + 0.02
    assert best.p == pytest.approx(1 / 2001)
    assert best_predictor(predictors, outcome) == best


def test_of_predictors_that_tell_nothing_nothing_is_left():
    """The largest correlation is well above 0; on items left out it is 0 in the mean."""
    rng = np.random.default_rng(1)
    found = [best_predictor(*drawn(rng), RESAMPLES) for _ in range(20)]
    assert np.mean([abs(each.apparent[0]) for each in found]) > 0.2
    assert abs(np.mean([each.left_out[0] for each in found])) < 0.08
    assert np.mean([each.p < 0.05 for each in found]) <= 0.15


def test_items_and_predictors_without_values():
    predictors, outcome = drawn(np.random.default_rng(2), signal=1)
    more = {**predictors, "none": np.full(ITEMS, np.nan), "same": np.ones(ITEMS)}
    assert best_predictor(more, outcome) == best_predictor(predictors, outcome)
    more["p1"] = np.where(np.arange(ITEMS) < 5, np.nan, predictors["p1"])
    assert best_predictor(more, outcome).apparent == best_predictor(predictors, outcome).apparent
    assert best_predictor({"same": np.ones(ITEMS)}, outcome) is None
    few = best_predictor({"p0": predictors["p0"][:5]}, outcome[:5])
    assert np.isnan(few.left_out).all() and 0 < few.p <= 1
