"""Doses that are read off curves of effect and damage."""

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.base.kinds import build
from actadd.results.displays.kinds import FIGURES, TABLES, Experiment
from actadd.results.displays.needs import sources_of
from actadd.results.doses.curves import (
    Curves,
    bounds,
    crossing,
    curves_of,
    means,
    median,
    readings,
    spread,
)
from actadd.results.doses.texts import interval
from builders import doses
from builders.figures import by_need
from builders.rows import ABOUT

DOSES = np.array([0.5, 1.0, 2.0])


def test_a_crossing_lies_on_the_line_between_two_doses():
    curves = np.array([[0.0, 1.0, 3.0], [2.0, 0.0, 5.0], [0.1, 0.2, 0.3], [0.0, np.nan, 9.0]])
    level = np.array([0.5, 1.0, 9.0, 4.0])
    # The first from 0 at 0.5 to 1 at 1; the second on the way from 0 at 0; the third never; the
    # fourth at the dose at which the model failed.
    assert crossing(DOSES, curves, level, 0.0).tolist() == [0.75, 0.25, np.inf, 1.0]
    assert crossing(DOSES, np.array([[4.0, 8.0, 9.0]]), np.array([6.0]), 2.0).tolist() == [0.75]


def test_an_effect_behind_a_setting_that_failed_is_read_at_its_dose():
    effect = np.array([[np.nan, 1.0, 0.9]])[..., None] + np.zeros((1, 3, 4))
    curves = Curves(np.array([0]), DOSES, effect, effect, np.isnan(effect[..., 0]), 0.0)
    assert readings(curves, 9.0).half[0].tolist() == [1.0]


def test_readings_of_all_prompts_and_of_resampled_ones():
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 3, 40))
    # Layer 0 peaks at a dose of 1 and collapses at 1.5; layer 1 has no effect and never collapses.
    effect = np.array([[0.2, 0.8, 0.1], [-0.3, -0.4, -0.5]])[..., None] + noise
    damage = np.array([[0.1, 0.5, 1.5], [0.1, 0.2, 0.3]])[..., None] + noise
    curves = Curves(np.array([0, 1]), DOSES, effect, damage, np.zeros((2, 3), bool), 0.0)
    read = readings(curves, 1.0)
    assert read.best[0].tolist()[0] == 1 and np.isnan(read.best[0, 1])
    half = bounds(read.half[:, 0])
    assert half == pytest.approx((2 / 3, 2 / 3, 2 / 3), abs=0.02) and half[1] < half[0] < half[2]
    collapse = bounds(read.collapse[:, 0])
    assert collapse == pytest.approx((1.5, 1.5, 1.5), abs=0.02) and collapse[1] < 1.5 < collapse[2]
    assert bounds(read.collapse[:, 1]) == (np.inf, np.inf, np.inf)
    again = readings(curves, 1.0)
    assert np.array_equal(read.half, again.half, equal_nan=True)


def test_a_mean_leaves_out_prompts_without_a_value():
    values = np.array([[[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]])
    result = means(values, np.array([[1, 1, 1], [2, 1, 0]]))
    assert result[:, 0, 0].tolist() == [2, 1] and np.isnan(result[:, 0, 1]).all()


def test_spread_is_the_same_in_any_unit_and_counts_what_is_reached():
    doses = np.array([[1.0, 2.0, 4.0, np.inf], [1.0, np.inf, np.nan, np.inf]])
    factors = spread(doses)
    assert factors[0] == pytest.approx(2) and np.isnan(factors[1])
    assert spread(1000 * doses)[0] == pytest.approx(2)
    assert median(doses).tolist() == [2, np.inf]


def test_curves_are_of_one_condition_paired_with_unsteered():
    rows = []
    for prompt in range(3):
        base = {"prompt_id": prompt, "draw": None}
        rows.append(
            {**base, "condition": "plain", "method": "unsteered", "metric": "e", "value": 1}
        )
        rows.append(
            {**base, "condition": "plain", "method": "unsteered", "metric": "d", "value": 7}
        )
        for layer in (3, 1):
            for dose in (2.0, 0.5):
                place = {"method": "actadd", "layer": layer, "coefficient": dose, **base}
                for condition in ("steered", "other"):
                    for metric in ("e", "d"):
                        value = prompt + 10 * layer + 100 * dose + (condition == "other")
                        rows.append(
                            {**place, "condition": condition, "metric": metric, "value": value}
                        )
    curves = curves_of(pd.DataFrame(rows), "steered", "e", "d")
    assert curves.layers.tolist() == [1, 3] and curves.doses.tolist() == [0.5, 2]
    assert curves.effect[1, 0].tolist() == [79, 80, 81] and curves.base == 7
    assert curves.damage[0, 1].tolist() == [210, 211, 212] and not curves.failed.any()


def test_numbers_in_words():
    assert interval(0.512, 0.401, np.inf) == "0.512 [0.401, –]"
    assert (interval(np.nan), interval(np.inf), interval(2.0)) == ("", "–", "2")


def table_of(folder, failing=False, **changes) -> tuple[pd.DataFrame, str]:
    options = {"title": "T", "experiment": "e", **doses.OPTIONS, **changes}
    files = by_need("dose", doses.sources(failing), folder)
    sources = sources_of("tables", {"name": "d", "about": ABOUT}, files)
    return TABLES["dose"](build(TABLES["dose"].options, options), sources)


def test_the_table_has_doses_and_coefficients_of_each_layer(tmp_path):
    table, caption = table_of(tmp_path)
    rows = table.loc["one"]
    first = rows.loc["layer 0"]
    # Damage grows as the dose, by half more at layer 1; a dose of 1 is a coefficient of 4.
    assert first["collapse dose"].startswith("1 ") and first["collapse coefficient"] == "4"
    assert rows.loc["layer 1", "collapse dose"].startswith("0.667 ")
    assert (first["at dose"], first["half-maximal dose"][:4]) == ("1", "0.5 ")
    assert first["largest effect"].startswith("0.115 [")
    spread = rows.loc["spread of layers, factor", "collapse dose"]
    assert float(spread.split()[0]) == pytest.approx(np.exp(np.log(1.5) / 2**0.5), abs=0.01)
    assert rows.loc["spread in coefficients, factor", "collapse dose"] == spread
    for word in ("one (2 layers, n = 4 prompts)", "mean kl_over_entropy is 1", "80 % power"):
        assert word in caption


def test_a_setting_that_failed_counts_as_collapsed(tmp_path):
    table, caption = table_of(tmp_path, failing=True, limit=9)
    assert table.loc["one"].loc["layer 1", "collapse dose"].startswith("2 ")
    assert table.loc["one"].loc["layer 0", "collapse dose"].startswith("–")
    assert "failed (1) count as collapsed" in caption


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"effect": "vader.compound"}, ["no metric 'vader.compound'", "there are"]),
        ({"limit": None, "factor": 2}, ["factor", "write limit"]),
    ],
)
def test_metrics_that_are_not_there(tmp_path, changes, words):
    with pytest.raises(UserError) as error:
        table_of(tmp_path, **changes)
    assert all(word in str(error.value) for word in ["tables.d", *words])


UNSTEERED = {"method": "unsteered"}


def dosed(**addition) -> dict:
    return {"method": "actadd", "additions": [{"vector": "v", "layer": 1, "dose": 1, **addition}]}


@pytest.mark.parametrize(
    ("conditions", "changes", "word"),
    [
        ({"u": UNSTEERED, "actadd": dosed()}, {"factor": 2}, "limit or factor"),
        ({"u": UNSTEERED, "actadd": dosed()}, {"limit": None}, "limit or factor"),
        ({"u": UNSTEERED, "other": dosed()}, {}, "there are: other, u"),
        ({"actadd": dosed()}, {}, "no unsteered"),
        ({"u": UNSTEERED, "actadd": {"method": "prompting"}}, {}, "one addition with a dose"),
        ({"u": UNSTEERED, "actadd": dosed(operation="clamp")}, {}, "does not add"),
        ({"u": UNSTEERED, "actadd": dosed(source_layer=0)}, {}, "source_layer"),
        ({"u": UNSTEERED, "actadd": dosed(dose=[-1, 1])}, {}, "dose of -1"),
    ],
)
def test_what_the_experiment_lacks_is_said_before_anything_runs(conditions, changes, word):
    options = {"title": "T", "experiment": "e", **doses.OPTIONS, **changes}
    experiment = Experiment(name="e", entry={"conditions": conditions}, dataset={})
    for kinds in (FIGURES, TABLES):
        [sentence, *_] = build(kinds["dose"].options, options).check(experiment)
        assert word in sentence
