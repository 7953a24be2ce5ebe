"""Concepts in two wordings, and one property on several models, from made-up values."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.base.intervals import linear_correlation, rank_correlation, variance_share
from actadd.base.kinds import build
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.results.displays import concepts, models
from actadd.results.displays.kinds import FIGURES, TABLES, Experiment, Sources
from builders import concepts as made
from builders import tiny
from builders.concepts import CONCEPTS, WORDINGS


def spec(**keys) -> dict:
    return {"title": "t", **made.spec(**keys)}


def sources(folder, experiments, **fields) -> Sources:
    return made.sources(made.files(experiments), folder, **fields)


@pytest.fixture
def worded(tmp_path) -> Sources:
    return sources(tmp_path, made.worded())


def test_gains_are_in_the_metric_of_the_concept_and_paired_with_the_control(worded):
    rows = concepts.gather(build(TABLES["concepts"].options, spec()), worded)
    assert list(rows["concept"][:5]) == CONCEPTS and len(rows) == 10
    row = rows.set_index(["wording", "concept"]).loc[("sentence", "rain")]
    assert row["gain"] == pytest.approx(0.7) and row["control"] == pytest.approx(0.05)
    assert row["net"] == pytest.approx(0.65) and row["damage"] == pytest.approx(2)
    assert (row["layer"], row["layer_even"], row["layer_odd"]) == (2, 2, 2)
    assert row["gain_even"] == pytest.approx(0.7, abs=0.005) and row["unsteered"] == pytest.approx(
        0.2
    )


def test_answers_tell_wording_from_concept(worded):
    rows = concepts.gather(build(TABLES["concepts"].options, spec()), worded)
    answers = concepts.answers(rows)
    assert answers["gain, word"][0] == pytest.approx(0.2)
    assert answers["gain, sentence minus word"][0] == pytest.approx(0.5)
    assert answers["r of gain across wordings"][0] == pytest.approx(1)
    # By a word all layers are equal.
    assert math.isnan(answers["r of chosen layer across wordings"][0])
    assert answers["r of layer across halves of the prompts, sentence"][0] == pytest.approx(1)
    gains = rows["gain"].to_numpy()
    between = 0.25**2 / gains.var()
    assert answers["share of the gains' variance between wordings"][0] == pytest.approx(between)


def test_figure_and_tables_show_the_same_numbers(worded):
    figure, caption = FIGURES["concepts"](build(FIGURES["concepts"].options, spec()), worded)
    left, gain, layer = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == CONCEPTS[::-1]
    assert gain.get_xlabel() == "gain, word" and layer.get_ylabel() == "chosen layer, sentence"
    assert "r = +1.00" in gain.get_title() and "5 of 5 in wording sentence" in caption
    table, caption = TABLES["concepts"](build(TABLES["concepts"].options, spec()), worded)
    assert table.index[0] == ("m", "winter", "word") and len(table) == 10
    assert table.loc[("m", "rain", "sentence"), "gain"].startswith("+0.700")
    assert "4 of 5 in wording word" in caption and "80 % power" in caption
    kind = TABLES["concept_wordings"]
    published = {"r of gain across wordings": 0.52}
    table, _ = kind(build(kind.options, spec(published=published)), worded)
    assert table.loc[("m", "r of gain across wordings"), "published"] == "0.52"
    assert table.loc[("m", "gain, word"), "published"] == ""


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, []),
        ({"experiment": "plain"}, ["experiment: plain", "unsteered"]),
        ({"wordings.word.bread.condition": "none"}, ["wordings.word.bread.condition", "'none'"]),
        ({"wordings.word.bread.condition": "unsteered"}, ["word.bread.condition", "unsteered"]),
        ({"wordings.word": {"bread": {}}}, ["wordings", "'cats'"]),
    ],
)
def test_what_an_experiment_lacks_is_named(keys, words):
    entry = spec()
    for key, value in keys.items():
        *parents, last = key.split(".")
        section = entry
        for name in parents:
            section = section[name]
        section[last] = value
    if words and "bread" in entry["wordings"]["word"] and not entry["wordings"]["word"]["bread"]:
        entry["wordings"]["word"]["bread"] = spec()["wordings"]["word"]["bread"]
    conditions = {
        f"{name}-{wording}": {"method": "actadd", "additions": [{"vector": "v"}]}
        for name in CONCEPTS
        for wording in WORDINGS
    }
    if entry["experiment"] == "e":
        conditions["unsteered"] = {"method": "unsteered"}
    experiment = Experiment(name=entry["experiment"], entry={"conditions": conditions}, dataset={})
    problems = list(build(TABLES["concepts"].options, entry).check(experiment))
    assert len(problems) == bool(words) and all(word in problems[0] for word in words)


# Coefficient or dose of a setting -> its figure's label, and the largest dose at a position: the
# rows have half and a quarter of the stream's norm, so that a dose of 1 is a coefficient of 8**0.5.
STRENGTHS = [
    ({"coefficient": 4.0}, "c = 4, dose 2", 2.0),
    ({"dose": 1.0}, "dose 1, dose 1.4", 2**0.5),
]


@pytest.mark.parametrize(("strength", "label", "dose"), STRENGTHS)
@pytest.mark.parametrize("aim", [1, -1])
def test_a_model_has_one_row_with_the_setting_that_was_chosen(tmp_path, strength, label, dose, aim):
    """Three draws of the control are one control, whose interval counts them too."""
    [norms] = tiny.written({"norms.csv": made.norms()}, tmp_path)
    of_model = sources(
        tmp_path,
        {"e": made.on_a_model(**strength)},
        norms={("m", "v"): norms},
        facts={"more": {"layers": {"m": 6}, "aim": aim}},
    )
    entry = {"title": "t", **made.MODELS}
    options = build(TABLES["models"].options, entry)
    [row] = models.gather(options, of_model).to_dict("records")
    assert (row["layer"], row["blocks"], row["dose"]) == (2, 6, pytest.approx(dose))
    assert row["gain"] == pytest.approx(0.3) and row["damage"] == pytest.approx(1.5)
    assert row["control"] == pytest.approx(0.1 / 3, abs=1e-3)
    assert row["control_high"] - row["control_low"] > 0.2
    assert row["net"] == pytest.approx(row["gain"] - row["control"])
    assert row["wrong"] == (aim < 0), "the metric rose with every prompt"
    table, caption = TABLES["models"](options, of_model)
    assert table.loc["m", "layer"] == "2 of 6" and "80 % power" in caption
    figure, _ = FIGURES["models"](build(FIGURES["models"].options, entry), of_model)
    [written] = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert written == f"m\nlayer 2 of 6, {label}"


def test_a_row_of_models_and_a_concept_are_one_setting():
    swept = {"vector": "v", "layer": [1, 2], "coefficient": 1}
    conditions = {
        "unsteered": {"method": "unsteered"},
        "a": {"method": "actadd", "additions": [swept]},
        "b": {"method": "actadd", "additions": [{**swept, "layer": [1], "draws": 3}]},
        "c": {"method": "actadd", "seed": [0, 1], "additions": [{**swept, "layer": 1}]},
    }
    experiment = Experiment(name="e", entry={"conditions": conditions}, dataset={})
    entry = {"title": "t", "experiment": "e", "metric": "a.b", "damage": "c.d"}

    def problems(steered: str, control: str) -> list[str]:
        options = {**entry, "steered": steered, "control": control}
        return list(build(TABLES["models"].options, options).check(experiment))

    assert not problems("b", "b")
    [sweep] = problems("a", "b")
    [seeds] = problems("b", "c")
    assert sweep.startswith("steered: 'a' has several values of layer")
    assert seeds.startswith("control: 'c' has several values of seed")
    wordings = {
        wording: {name: {"condition": "b", "metric": "x.y"} for name in ("one", "two")}
        for wording in WORDINGS
    }
    wordings["word"]["one"] = {"condition": "a", "metric": "x.y"}
    [problem] = build(TABLES["concepts"].options, spec(wordings=wordings)).check(experiment)
    assert problem.startswith("wordings.word.one.condition: 'a' has several values of layer")


def test_the_aim_of_a_row_of_models_is_that_of_its_choice():
    sweep = {"experiment": "s", "condition": "a", "metric": "a.b"}
    config = {"models": {"m": {"layers": 6}}, "experiments": {}}

    def aim(direction: str, **addition) -> int:
        config["experiments"]["e"] = {
            "models": ["m"],
            "choices": {"best": {**sweep, "direction": direction}},
            "conditions": {"a": {"method": "actadd", "additions": [{"vector": "v", **addition}]}},
        }
        entry = {"title": "t", "experiment": "e", "metric": "a.b", "damage": "c.d"}
        options = build(TABLES["models"].options, {**entry, "steered": "a", "control": "a"})
        return options.facts(config)["aim"]

    assert (aim("min", choice="best"), aim("max", choice="best")) == (-1, 1)
    assert (aim("min", choice="best", factor=-1), aim("min", layer=1)) == (1, 1)


def test_correlations_and_variance_shares_equal_plain_arithmetic():
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    y = y + x
    r, low, high = linear_correlation(x, y)
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1]) and low < r < high
    assert linear_correlation(x, np.exp(y))[0] < rank_correlation(x, np.exp(y))[0]
    assert linear_correlation(np.append(x, np.nan), np.append(y, 0)) == (r, low, high)
    assert np.isnan(linear_correlation(x, np.ones(30))).all()
    share, low, high = variance_share(x, y + 2)
    whole = np.concatenate([x, y + 2])
    within = (x.var() + y.var()) / 2
    assert share == pytest.approx(1 - within / whole.var()) and 0 < low < share < high < 1
    assert variance_share(x, x)[0] == 0 and math.isnan(variance_share(x[:1], y[:1])[0])


def test_published_values_are_compared_by_rank_where_both_have_the_concept(worded, tmp_path):
    published = pd.DataFrame(
        {
            "text": ["Bread", "Cats", "RAIN", "War", "Something else", "Bread", "Cats"],
            "label": [1.0, 20.0, 300.0, 4000.0, 5.0, 9.0, 8.0],
            "group": ["1"] * 5 + ["2"] * 2,
        }
    )
    published.to_parquet(tmp_path / "gains.parquet")
    kind = TABLES["concept_wordings"]
    options = build(kind.options, spec(published_gain="gains"))
    published_too = dataclasses.replace(worded, texts={"gains": tmp_path / "gains.parquet"})
    table, _ = kind(options, published_too)
    ours = table.xs("m")["ours"]
    assert ours["rho with published gain of 4 concepts, word"].startswith("1.000 [")
    assert float(ours["rho with published gain of 2 concepts, sentence"]) == -1


def test_the_full_size_reads_the_users_copy_of_the_replication(tmp_path):
    """Its files are not shipped; these are made up in their form."""
    folder = tmp_path / "concepts"
    folder.mkdir()
    columns = [f"{side} Prompt Type {n}" for n in (1, 2) for side in ("Positive", "Negative")]
    header = ["Concept", *columns, "Positive Label", "Negative Label"]
    rows = [
        ["Old Books", "Old Books", " ", "I talk of old books", "I do not", "It is of books", "No"],
        ["Ärger", "Ärger", " ", "I talk of anger", "I do not", "It is of anger", "No"],
    ]
    pd.DataFrame(rows, columns=header).to_csv(folder / "concepts.csv", index=False)
    (folder / "concept_scores.csv").write_text(
        "Concept,Prompt Type,Optimal Layer,Old Final Score (difference)\nOld Books,1,2,0.1\n"
    )
    files = [tiny.ROOT / "config.yaml", tiny.ROOT / "config/laboratory/concepts_full.yaml"]
    config = checked(load(files, {"data_dir": str(tmp_path)}), tiny.ROOT)
    assert config["vectors"]["old-books-sentence"]["positive"] == "I talk of old books"
    assert config["vectors"]["arger-word"]["negative"] == " "
    assert config["scorers"]["about"]["texts"] == {
        "old-books": "It is of books.",
        "arger": "It is of anger.",
    }
    [addition] = config["experiments"]["concepts-sweep"]["conditions"]["arger-word"]["additions"]
    assert addition["layer"] == list(range(48))
    shown = config["figures"]["concepts"]["wordings"]["word"]
    assert shown["arger"] == {"condition": "arger-word", "metric": "about.arger"}
    without = load(files)
    with pytest.raises(UserError, match=r"concepts_full\.yaml, line \d+: lists\.concept\.file"):
        checked(without, tiny.ROOT)
