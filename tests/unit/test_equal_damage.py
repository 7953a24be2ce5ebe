"""Methods read at equal damage: by hand, against a known truth, and from whole tables."""

import json

import numpy as np
import pandas as pd
import pytest

from actadd.results.equal_damage.compare import compare
from actadd.results.equal_damage.curves import (
    Curve,
    Reading,
    Resampling,
    Values,
    crossing,
    interpolated,
    interval_of,
)
from actadd.results.equal_damage.damages import DAMAGES
from actadd.results.equal_damage.texts import failures
from builders import rows

NONE = float("nan")


# --- what is read off a curve ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("costs", "target", "position"),
    [
        ([0, 1, 3], 2, 1.5),
        ([0, 1, 3], 0.25, 0.25),
        ([0, 1, 3], 1, 1.0),
        ([0, 1, 3], 3, 2.0),
        # Nothing is extrapolated, at either end.
        ([0, 1, 3], 3.01, NONE),
        ([1, 2, 3], 0.5, NONE),
        # A curve that turns back has 2 three times; its weakest strength counts.
        ([0, 4, 1, 3], 2, 0.5),
        # One that first falls may have a damage below unsteered's.
        ([0, -2, 4], -1, 0.5),
        ([0, 2, 2, 3], 2, 1.0),
        ([2], 2, 0.0),
        ([2], 1, NONE),
    ],
)
def test_the_first_crossing_from_the_weakest_strength(costs, target, position):
    found = crossing(np.array([costs], float), np.array([float(target)]))
    assert found == pytest.approx([position], nan_ok=True)


def test_values_between_two_settings_are_linear():
    values = np.array([[0.0, 10.0, 14.0]] * 4)
    positions = np.array([0.0, 0.5, 1.25, NONE])
    assert interpolated(values, positions) == pytest.approx([0, 5, 11, NONE], nan_ok=True)
    assert interpolated(values[:1, :1], np.zeros(1)).tolist() == [0]


def curve(effects, costs, strengths, **options) -> Curve:
    """effects, costs: [settings, prompts], or with draws in front."""

    def values(numbers) -> Values:
        numbers = np.asarray(numbers, float)
        return Values(numbers if numbers.ndim == 3 else numbers[None], "prompts")

    return Curve(
        "m",
        values(effects),
        {"d": values(costs)},
        np.asarray(strengths, float),
        Resampling(),
        **options,
    )


def at(number: float) -> np.ndarray:
    return np.full(1 + Resampling().resamples, float(number))


def test_a_reading_by_hand():
    """Means of two prompts: unsteered (0, 0), then cost 1 with effect 4, then cost 3 with 6."""
    line = curve([[3, 5], [7, 5]], [[1, 1], [2, 4]], [-1, -2])
    reading = line.read("d", at(2))
    assert reading.effects[0] == pytest.approx(5) and reading.strength == pytest.approx(-1.5)
    first = line.read("d", at(0.5))
    assert first.effects[0] == pytest.approx(2) and first.strength == pytest.approx(-0.5)
    # What is no method's at strength 0 begins with its weakest setting.
    line = curve([[3, 5], [7, 5]], [[1, 1], [2, 4]], [1, 2], from_unsteered=False)
    assert np.isnan(line.read("d", at(0.5)).effects[0])
    assert line.why_not("d", 0.5) != line.why_not("d", 9) == "never reached"


def test_a_damage_that_few_resamples_reach_has_no_interval():
    rng = np.random.default_rng(0)
    costs = rng.normal(1, 0.5, (1, 32))
    line = curve(rng.normal(1, 1, (1, 32)), costs, [1])
    top = costs.mean()
    reading = line.read("d", at(top))
    assert 0.3 < reading.reached < 0.7
    effect, low, high = reading.interval
    assert effect == pytest.approx(line.effects[0, 1]) and np.isnan([low, high]).all()
    assert line.read("d", at(top * 1.01)).interval[0] != line.effects[0, 1]
    reading = line.read("d", at(top / 2))
    assert reading.reached > 0.95 and not np.isnan(reading.interval).any()


def test_a_missing_value_is_left_out_of_its_setting():
    line = curve([[1, 2, NONE], [3, 3, 3]], [[1, 1, 1], [2, 2, 2]], [1, 2])
    assert line.effects[0].tolist() == [0, 1.5, 3]
    assert (line.effects[:, 2] == 3).all()


def test_prompts_are_resampled_together_and_differences_are_paired():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 5, (1, 32))
    resampling = Resampling()
    lines = [
        Curve(
            name,
            Values((noise + shift)[None], "prompts"),
            {"d": Values(np.ones((1, 1, 32)), "prompts")},
            np.ones(1),
            resampling,
        )
        for name, shift in (("a", 0.0), ("b", 1.0))
    ]
    one, other = (line.read("d", at(0.999)) for line in lines)
    _, low, high = one.interval
    assert high - low > 2
    assert (other - one).effects == pytest.approx(np.full(2001, 0.999))


# --- against a known truth ------------------------------------------------------------------------


def simulated(rng, prompts: int, draws: int = 1) -> Curve:
    """Effects 2 s and costs s of strengths s = 1, 2, 4, with deviations of prompts and of draws.

    The true curve is a line: the effect at cost c is 2 c.
    """
    strengths = np.array([1.0, 2.0, 4.0])[:, None]
    of_prompts = rng.normal(0, 1, (1, 1, prompts))
    of_draws = rng.normal(0, 1, (draws, 1, 1)) if draws > 1 else 0.0

    def noisy(true: np.ndarray, size: float) -> np.ndarray:
        noise = rng.normal(0, size, (draws, 3, prompts))
        return true + strengths * (0.5 * of_prompts + 0.25 * of_draws) + noise

    return curve(noisy(2 * strengths, 1.0), noisy(strengths, 0.7), strengths[:, 0])


@pytest.mark.parametrize(("draws", "least", "most"), [(1, 0.91, 0.98), (5, 0.93, 1)])
def test_intervals_cover_the_true_effect_at_a_stated_damage(draws, least, most):
    """Where draws and prompts count alike, Student's t of few draws makes them too wide."""
    rng = np.random.default_rng(7)
    hits = reached = 0
    times = 200
    for _ in range(times):
        line = simulated(rng, 32, draws)
        reading = line.read("d", at(1.5))
        effect, low, high = reading.interval
        if np.isnan(low):
            continue
        reached += 1
        assert low < effect < high
        hits += low <= 3.0 <= high
    assert reached > 0.95 * times
    assert least <= hits / reached <= most


# --- from whole tables ----------------------------------------------------------------------------

SPEC = {
    "name": "c",
    "experiment": "c",
    "dataset": "d",
    "effect": {"metric": "mood.score", "direction": "min"},
    "damage": {
        "disfluency": {
            "experiment": "c",
            "dataset": "d",
            "metric": "judge.perplexity",
            "at": [1.5, 3],
        },
        "divergence": {"experiment": "c-divergence", "dataset": "d", "metric": "kl", "at": [0.2]},
    },
    "controls": ["random"],
}
PROMPTS = 12


def setting(condition: str, strength: float, draw=None, **more) -> dict:
    addition = {"vector": condition, "layer": 3, "coefficient": strength, **more}
    labels = {"condition": condition, "vector": condition, "coefficient": strength, "draw": draw}
    return {**rows.row(), **labels, "additions": json.dumps([addition])}


UNSTEERED = {**rows.unsteered(), "additions": "[]", "draw": None}
PROMPTING = {
    **{**UNSTEERED, "condition": "prompting", "method": "prompting"},
}
# (cell, effect, ratio of perplexity, KL) of each setting.
SETTINGS = [
    (UNSTEERED, 0.0, 1.0, 0.0),
    (PROMPTING, -0.15, 1.5, 0.1),
    # In another order than that of their strengths.
    (setting("add", -4), -0.9, 4.0, 0.4),
    (setting("add", -1), -0.2, 1.25, 0.05),
    (setting("add", -2), -0.4, 2.0, 0.2),
    *((setting("random", -4, draw), -0.1 * draw, 2.0, 0.4) for draw in range(3)),
]


@pytest.fixture
def compared(tmp_path):
    """Compares made-up tables; noise moves prompts, and no mean."""

    def run(settings=SETTINGS, spec=SPEC, failed=(), unread=(), gaps=(), without=None) -> tuple:
        """failed: (condition, strength) -> why; unread: likewise, of given texts alone. gaps:
        (condition, scorer, prompt) without a score, or (condition, strength, scorer, prompt).
        without: a prompt that no table has.
        """
        failed, unread = dict(failed), dict(unread)
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 0.1, PROMPTS)
        noise -= noise.mean()
        cells, texts, scores = [], [], {"mood": [], "judge": []}
        for number, (labels, effect, ratio, kl) in enumerate(settings):
            at = (labels["condition"], labels["coefficient"])
            reason, of_texts = failed.get(at), failed.get(at) or unread.get(at)
            cell = {**labels, "cell": f"cell{number}", "failed": reason}
            for prompt in sorted({*range(PROMPTS)} - {without}):
                shared = {"prompt_id": prompt, "sample": 0}
                cells.append({**cell, **shared})
                of_cell = {name: cell[name] for name in ("condition", "cell", "failed")} | shared
                own = 0.0 if labels is UNSTEERED else noise[prompt]
                lost = dict.fromkeys(scores, np.nan if reason else 1.0)
                for condition, *strength, scorer, without_score in gaps:
                    if (condition, without_score) == (at[0], prompt) and strength in ([], [at[1]]):
                        lost[scorer] = np.nan
                scores["mood"].append({**of_cell, "score": lost["mood"] * (0.3 + effect + own)})
                perplexity = lost["judge"] * (20 + prompt) * ratio * np.exp(own)
                scores["judge"].append({**of_cell, "perplexity": perplexity})
                if kl is not None:
                    text = {"text_id": prompt, "entropy": 1.0, "kl": kl, "modified": False}
                    text |= {"failed": of_texts, "kl": np.nan if of_texts else kl}
                    texts.append({**cell, **text, "token_ids": None, "tokens": None})
        files = {"c": cells, "c-divergence": texts, **scores}
        types = {"failed": "string", "group": "string"}
        for name, each in files.items():
            table = pd.DataFrame(each)
            if name == "c-divergence":
                table = table.assign(before=None, after=None, watched=None)
            table.astype({k: v for k, v in types.items() if k in table}).to_parquet(
                tmp_path / f"{name}.parquet"
            )
        paths = {name: tmp_path / f"{name}.parquet" for name in files}
        experiments = {name: paths.pop(name) for name in ("c", "c-divergence")}
        return compare(spec, experiments, paths)

    return run


def read(readings: pd.DataFrame, condition: str, damage: str, at=None, point="") -> dict:
    part = readings[(readings["condition"] == condition) & (readings["damage"] == damage)]
    part = part[part["reference"] == point]
    [row] = (part if at is None else part[part["at"] == at]).to_dict("records")
    return row


def test_methods_are_read_where_they_reach_a_damage(compared):
    curves, readings = compared()
    add = curves[(curves["condition"] == "add") & (curves["damage"] == "disfluency")]
    assert add["strength"].tolist() == [-1, -2, -4]
    assert add["cost"].tolist() == pytest.approx([1.25, 2, 4])
    assert add["effect"].tolist() == pytest.approx([-0.2, -0.4, -0.9])
    assert (add["effect_low"] < add["effect"]).all() and (add["n_prompts"] == PROMPTS).all()
    # On the scale of logarithms, between 1.25 and 2.
    share = np.log(1.5 / 1.25) / np.log(2 / 1.25)
    row = read(readings, "add", "disfluency", 1.5)
    assert row["effect"] == pytest.approx(-0.2 - 0.2 * share)
    assert row["strength"] == pytest.approx(-1 - share)
    assert read(readings, "add", "divergence", 0.2)["effect"] == pytest.approx(-0.4)


def test_a_prompt_is_a_point_and_others_are_read_at_its_damage(compared):
    _, readings = compared()
    point = read(readings, "prompting", "divergence", point="prompting")
    assert (point["role"], point["at"]) == ("point", pytest.approx(0.1))
    assert point["effect"] == pytest.approx(-0.15)
    add = read(readings, "add", "divergence", point="prompting")
    assert add["effect"] == pytest.approx(-0.2 - 0.2 / 3)
    assert add["minus_point"] == pytest.approx(add["effect"] + 0.15)
    assert readings[(readings["role"] == "point") & (readings["reference"] == "")].empty


def test_methods_are_compared_with_the_best_control_that_gets_there(compared):
    _, readings = compared()
    row = read(readings, "add", "disfluency", 1.5)
    control = read(readings, "random", "disfluency", 1.5)
    assert control["role"] == "control" and row["control"] == "random"
    assert control["effect"] == pytest.approx(-0.1 * np.log(1.5) / np.log(2))
    assert row["minus_control"] == pytest.approx(row["effect"] - control["effect"])
    assert row["minus_control_low"] < row["minus_control"] < row["minus_control_high"]
    # At three times the perplexity there is no control any more.
    row = read(readings, "add", "disfluency", 3)
    assert row["control"] == "" and np.isnan(row["minus_control"])
    assert read(readings, "random", "disfluency", 3)["reason"] == "never reached"


def test_the_best_control_is_that_of_the_wanted_direction(compared):
    more = [(setting("shuffled", -4), 0.5, 2.0, 0.4)]
    for direction, best in (("min", "random"), ("max", "shuffled")):
        spec = {**SPEC, "controls": ["random", "shuffled"]}
        spec["effect"] = {"metric": "mood.score", "direction": direction}
        _, readings = compared([*SETTINGS, *more], spec)
        assert read(readings, "add", "disfluency", 1.5)["control"] == best


def test_a_failed_setting_ends_its_curve_and_says_so(compared):
    curves, readings = compared(failed={("add", -4): "too large"})
    row = read(readings, "add", "disfluency", 3)
    assert np.isnan(row["effect"]) and "too large" in row["reason"]
    assert read(readings, "add", "disfluency", 1.5)["effect"] < 0
    last = curves[(curves["condition"] == "add") & (curves["strength"] == -4)]
    assert last["failed"].unique().tolist() == ["too large"] and last["cost"].isna().all()
    assert "before: add -4. Reason: too large." in failures(curves)


def test_a_damage_that_failed_ends_the_curve_of_that_damage_alone(compared):
    whole, (curves, readings) = compared()[1], compared(unread={("add", -2): "too large"})
    row = read(readings, "add", "divergence", 0.2)
    assert np.isnan(row["effect"]) and "it ends where too large" in row["reason"]
    same = readings["damage"] == "disfluency"
    pd.testing.assert_frame_equal(readings[same], whole[same])
    others = (readings["damage"] == "divergence") & (readings["condition"] != "add")
    pd.testing.assert_frame_equal(readings[others], whole[others])
    add = curves[(curves["condition"] == "add") & (curves["damage"] == "divergence")]
    assert add["failed"].fillna("").tolist() == ["", "too large", ""]
    assert add["cost"].isna().tolist() == [False, True, True] and add["effect"].notna().all()
    assert "before: add -2 (divergence). Reason: too large." in failures(curves)


def test_a_damage_that_no_cell_has_says_so(compared):
    """As of targets whose unsteered cell failed: no text has a precision."""
    spec = {**SPEC, "damage": {**SPEC["damage"]}}
    spec["damage"]["divergence"] = {**SPEC["damage"]["divergence"], "metric": "precision_at_1"}
    curves, readings = compared(spec=spec)
    for condition in ("add", "random"):
        reason = read(readings, condition, "divergence", 0.2)["reason"]
        assert reason == "no prompt has a value of divergence"
    assert read(readings, "add", "disfluency", 1.5)["effect"] < 0
    assert "prompting (divergence)" in failures(curves)


@pytest.mark.parametrize(
    "gap", [("prompting", "mood"), ("prompting", "judge"), ("add", "judge"), ("random", "mood")]
)
def test_differences_are_over_prompts_that_both_have(compared, gap):
    """As if no table had the prompt; a mean over other prompts is never subtracted."""
    missing, without, whole = (
        compared(**changes)[1] for changes in ({"gaps": {(*gap, 3)}}, {"without": 3}, {})
    )
    same = {"minus_point": {"prompting", "add"}, "minus_control": {"random", "add"}}
    for name, both in same.items():
        point = "prompting" if name == "minus_point" else ""
        rows = [
            read(each, "add", "disfluency", None if point else 1.5, point=point)
            for each in (missing, without, whole)
        ]
        of_missing, of_without, of_whole = (row[name] for row in rows)
        expected = of_without if gap[0] in both else of_whole
        assert of_missing == pytest.approx(expected, rel=1e-12)
        assert rows[0][f"{name}_low"] <= of_missing + 1e-12 <= rows[0][f"{name}_high"] + 2e-12


def test_a_setting_that_a_reading_does_not_need_takes_no_prompt_from_it(compared):
    """At 1.5 times the perplexity, the strongest addition plays no part."""
    missing, whole = compared(gaps={("add", -4, "judge", 3)})[1], compared()[1]
    rows = [read(each, "add", "disfluency", point="prompting") for each in (missing, whole)]
    assert rows[0] == rows[1] and not np.isnan(rows[0]["minus_point_low"])


def test_what_was_not_measured_says_so(compared):
    settings = [
        (labels, effect, ratio, None) if labels["condition"] == "add" else rest
        for rest in SETTINGS
        for labels, effect, ratio, _ in [rest]
    ]
    _, readings = compared(settings)
    assert read(readings, "add", "divergence", 0.2)["reason"] == "not measured"
    assert read(readings, "add", "disfluency", 1.5)["effect"] < 0


def test_a_clamp_does_not_start_at_unsteered(compared):
    clamp = [(setting("clamp", c, operation="clamp"), -0.2 * c, 1 + c / 2, 0.1 * c) for c in (2, 3)]
    _, readings = compared([*SETTINGS, *clamp])
    assert read(readings, "clamp", "disfluency", 1.5)["reason"] == "less than any setting's"


def test_ratios_are_geometric_and_what_has_none_is_missing():
    measured = DAMAGES["disfluency"].measured(np.array([2.0, 8.0, 0.0]), np.array([1.0, 2.0, 1.0]))
    assert np.exp(np.nanmean(measured)) == pytest.approx(8**0.5) and np.isnan(measured[2])
    assert interval_of(np.array([1.0, 2.0, 2.0]))[0] == 1
    assert np.isnan(Reading(np.array([1.0, 2.0, 2.0])).interval[1]), "equal values claim nothing"


def test_it_is_the_same_each_time_and_no_method_moves_another(compared):
    first, again = compared()[1], compared()[1]
    pd.testing.assert_frame_equal(first, again)
    more = [(setting("other", -1), -0.3, 1.2, 0.1), (setting("other", -3), -0.5, 1.9, 0.3)]
    third = compared([*SETTINGS, *more])[1]
    third = third[third["condition"] != "other"].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, third)
