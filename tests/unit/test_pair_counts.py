"""Directions of more and more pairs: their effects, and how many pairs are enough."""

import re

import numpy as np
import pandas as pd
import pytest

from actadd import UserError
from actadd.base.intervals import crossed_mean
from actadd.config.checks import checked
from actadd.results import tables
from actadd.results.displays.needs import facts
from actadd.results.displays.pair_counts import enough
from actadd.results.intervals import detectable_correlation
from builders import tiny
from builders.figures import by_need
from builders.pairs import COST_FACTOR, COUNTED, COUNTS, counted
from builders.rows import READS


def effects(sizes: dict[int, float], noise: float, prompts: int = 30, draws: int = 3) -> dict:
    random = np.random.default_rng(1)
    return {
        count: size + noise * random.standard_normal((draws, prompts))
        for count, size in sizes.items()
    }


def test_enough_pairs_have_nearly_the_effect_of_the_most():
    clear = enough(effects(COUNTS, 0.01), 0.9)
    assert (clear.pairs, clear.low, clear.high) == (40, 40, 40)
    assert enough(effects(COUNTS, 0.01), 0.7).pairs == 10
    vague = enough(effects(COUNTS, 1.0), 0.9)
    assert vague.low < vague.high and vague.high == 160
    turned = enough({count: -each for count, each in effects(COUNTS, 0.01).items()}, 0.9)
    assert turned.pairs == 40, "an effect that lowers the metric is one"


def test_without_an_effect_of_the_most_pairs_none_are_enough():
    assert np.isnan(enough(effects(dict.fromkeys(COUNTS, 0.0), 1.0), 0.9).pairs)
    assert np.isnan(enough(effects({160: 1.0}, 0.1), 0.9).pairs), "one count is no curve"


def test_all_pairs_are_drawn_in_one_way():
    some = effects(COUNTS, 0.01)
    some[160] = some[160][:1]
    assert enough(some, 0.9).pairs == 40


def tabulated(tmp_path, sources=None, **spec) -> tuple[pd.DataFrame, str]:
    entry = {"name": "t", "kind": "pair_counts", "title": "Title", **READS, **COUNTED, **spec}
    files = {name: tmp_path / f"t.{name}" for name in ("csv", "markdown", "latex")}
    named = by_need("pair_counts", sources or counted(), tmp_path)
    caption = tables.tabulate(entry, sources=named, **files)["caption"]
    return pd.read_csv(files["csv"]), caption


def test_the_table_has_effects_with_their_intervals(tmp_path):
    table, caption = tabulated(tmp_path)
    assert table.groupby("curve")["pairs"].agg(list).to_dict() == {
        "mean difference": [1, 10, 40, 160],
        "nothing": [1, 160],
    }
    means = table[table["curve"] == "mean difference"].set_index("pairs")
    sources = counted()
    scores = pd.DataFrame(sources["scores/one/e/mood.parquet"])
    wide = scores.pivot(index="cell", columns="prompt_id", values="x")
    for count in COUNTS:
        values = wide.loc[[f"mean-{count}{draw}" for draw in range(3)]] - wide.loc["u"]
        expected = crossed_mean(values.to_numpy())
        found = [float(each) for each in re.findall(r"-?\d+\.\d+", means.loc[count, "effect"])]
        assert found == pytest.approx(expected, abs=2e-3), count
        cost = means.loc[count, "fluency.y, over unsteered"]
        assert float(str(cost).split()[0]) == pytest.approx(COST_FACTOR)
    assert "mean difference 40 [40, 40]" in caption and "most pairs: nothing" in caption


def test_conditions_with_several_settings_are_refused(tmp_path):
    sources = counted()
    extra = [{**row, "cell": "x"} for row in sources["scores/one/e/mood.parquet"][24:48]]
    sources["scores/one/e/mood.parquet"] += extra
    cells = sources["tables/one/e.parquet"]
    cells += [{**row, "cell": "x"} for row in cells[24:48]]
    with pytest.raises(UserError, match=r"experiment: condition 'mean-1' has several settings"):
        tabulated(tmp_path, sources)


def test_the_damage_is_of_the_same_conditions(tmp_path):
    sources = counted()
    for name in [each for each in sources if each.startswith(("tables/one/e", "scores/one/e"))]:
        part = [row for row in sources[name] if row["condition"] != "mean-10"]
        sources[name.replace("one/e", "one/judged")] = part
    with pytest.raises(UserError, match=r"damage: judged has no condition 'mean-10'"):
        tabulated(tmp_path, sources, damage="judged")


def test_conditions_of_one_curve_and_count_are_refused(tmp_path, monkeypatch):
    from builders import pairs

    conditions = {**pairs.CONDITIONS, "other": {"curve": "nothing", "pairs": 160}}
    monkeypatch.setattr(pairs, "CONDITIONS", conditions)
    more = {"conditions": conditions}
    with pytest.raises(UserError, match=r"experiment: 'nothing-160' and 'other' are both nothing"):
        tabulated(tmp_path, counted(), about={**COUNTED["about"], "more": more})


def test_a_curve_whose_cells_all_failed_is_left_out(tmp_path):
    sources = counted()
    for scorer in ("mood", "fluency"):
        for row in sources[f"scores/one/e/{scorer}.parquet"]:
            if row["condition"].startswith("nothing"):
                row |= {"failed": "too large", "x" if scorer == "mood" else "y": None}
    table, _ = tabulated(tmp_path, sources)
    assert set(table["curve"]) == {"mean difference"}


def test_the_config_says_of_how_many_pairs_a_direction_is(tmp_path):
    config = tiny.config()
    tiny.write_data(tmp_path)
    three = {"positive": ["a", "b", "c"], "negative": ["d", "e", "f"]}
    config["vectors"] |= {
        "m": {"kind": "mean_difference", **three},
        "two": {"kind": "pca", "like": "m", "count": 2, "center": False},
        "whole": {"kind": "logistic", "like": "m"},
    }
    added = {"layer": 1, "coefficient": 1, "position": "back"}
    config["experiments"]["sweep"]["conditions"] = {
        "unsteered": {"method": "unsteered"},
        **{
            name: {"method": "actadd", "additions": [{"vector": name, **added}]}
            for name in ("m", "two", "whole", "calm")
        },
    }
    del config["experiments"]["chosen"], config["figures"]
    entry = {"kind": "pair_counts", "title": "x", "experiment": "sweep", "metric": "distinct.x"}
    config["figures"] = {"f": {**entry, "metric": "distinct.distinct_1"}}
    config["tables"] = {}
    valid = checked(config, tmp_path)
    more = facts("figures", valid["figures"]["f"], valid)["more"]["conditions"]
    assert {name: (each["curve"], each["pairs"]) for name, each in more.items()} == {
        "m": ("mean difference", 3),
        "two": ("pca (center: false)", 2),
        "whole": ("logistic", 3),
        "calm": ("pair", 1),
    }


def test_the_smallest_correlation_shrinks_with_more_pairs():
    # G*Power 3.1: 29 pairs for rho = 0.5, 84 for 0.3 (Fisher's z).
    assert detectable_correlation(29) == pytest.approx(0.5, abs=0.01)
    assert detectable_correlation(84) == pytest.approx(0.3, abs=0.01)
