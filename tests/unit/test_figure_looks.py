"""What figures of one config share, and what a figure says beside its marks."""

import json

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from actadd.results import drawing
from actadd.results.displays import needs
from actadd.results.displays.metrics import scale
from builders.figures import lines
from builders.rows import ABOUT, COST, WORDS, row, unsteered

ADDED = json.dumps([{"vector": "v", "layer": 3, "coefficient": 1.0}])
RULE = {
    **{"experiment": "e", "condition": "actadd", "metric": WORDS, "direction": "max"},
    "cap": {"metric": COST, "factor": 1.5},
}


def steering(*vectors: str) -> dict:
    return {"method": "actadd", "additions": [{"vector": name} for name in vectors]}


def config(**experiments: dict) -> dict:
    return {
        "vectors": {"v": {"kind": "pair"}, "r": {"kind": "random"}, "s": {"kind": "random"}},
        "experiments": {name: {"conditions": each} for name, each in experiments.items()},
    }


def test_a_condition_looks_the_same_in_every_experiment():
    nothing = {"method": "unsteered"}
    settings = config(
        first={"unsteered": nothing, "a": steering("v"), "random": steering("r")},
        second={"random": steering("r"), "c": steering("v"), "other": steering("s")},
        third={"b": steering("v"), "c": steering("v"), "a": steering("v")},
    )
    looks = needs.looks(settings)
    assert looks["unsteered"] == ("unsteered", 0)
    assert looks["a"] == ("steered", 0) and looks["random"] == ("control", 0)
    # Both are beside others: c beside a and b, and other beside random.
    assert looks["c"] == ("steered", 1) and looks["b"] == ("steered", 2)
    assert looks["other"] == ("control", 1)
    # What stands behind the others changes none of them.
    longer = config(**{n: e["conditions"] for n, e in settings["experiments"].items()}, d={})
    longer["experiments"]["d"]["conditions"] = {"new": steering("v"), "unsteered": nothing}
    assert needs.looks(longer) == {**looks, "new": ("steered", 0)}


def test_what_steers_has_a_colour_and_what_is_compared_with_is_grey():
    looks = {"a": ("steered", 1), "r": ("control", 0), "u": ("unsteered", 0)}
    steered, control, nothing = (drawing.look(looks, name) for name in "aru")
    assert len({*matplotlib.colors.to_rgb(steered["color"])}) == 3
    for style in (control, nothing):
        assert len({*matplotlib.colors.to_rgb(style["color"])}) == 1
    assert control["markerfacecolor"] == "white" and control["color"] != nothing["color"]


def grid() -> list[dict]:
    """Layers 3 and 6 at c = 1 and 2; the largest effect, at layer 6, is over the cap."""
    effects = {(3.0, 1.0): 0.3, (3.0, 2.0): 0.4, (6.0, 1.0): 0.2, (6.0, 2.0): 0.9}
    rows = [
        unsteered(metric=WORDS, mean=0.1, low=0.0, high=0.2),
        unsteered(metric=COST, mean=10.0, low=9.0, high=11.0),
    ]
    for (layer, c), effect in effects.items():
        setting = {"layer": layer, "source_layer": layer, "coefficient": c, "additions": ADDED}
        bounds = {"low": effect - 0.05, "high": effect + 0.05}
        rows.append(row(metric=WORDS, mean=effect, **bounds, **setting))
        cost = 20.0 if effect == 0.9 else 12.0
        rows.append(row(metric=COST, mean=cost, low=cost - 1, high=cost + 1, **setting))
    return rows


@pytest.fixture
def swept(draw, tmp_path):
    choices = [{"rule": RULE, "experiments": ["topic"]}]
    scales = {WORDS: scale("words.any"), COST: {"lower": True, "span": 1.0}}
    about = {**ABOUT, "scales": scales, "more": {"choices": choices}}
    labels = {WORDS: "share", COST: "perplexity", "one": "Model One", "v": "v − w"}
    figure, caption = draw("sweep", grid(), metrics=[WORDS, COST], about=about, labels=labels)
    return figure, caption, pd.read_csv(tmp_path / "f.csv")


def test_a_sweep_begins_unsteered_and_marks_what_was_chosen(swept):
    figure, caption, _ = swept
    effects, square, costs, _ = figure.axes[:4]
    assert lines(effects) == [pytest.approx([0.1, 0.3, 0.4]), pytest.approx([0.1, 0.2, 0.9])]
    rings = [line for line in effects.lines if line.get_label() == "chosen"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(2, 0.4)]
    [cap] = [line for line in costs.lines if str(line.get_label()).startswith("cap")]
    assert list(cap.get_ydata()) == [15, 15]
    assert square.images[0].get_array().tolist() == [[0.3, 0.4], [0.2, 0.9]]
    assert [text.get_text() for text in square.texts] == ["0.3", "0.4", "0.2", "0.9 ×"]
    assert "The ring marks layer 3 and coefficient 2, chosen on these prompts" in caption
    assert "largest share, with perplexity at most 1.5 times unsteered" in caption
    assert "vector v − w" in caption and "The model is Model One." in caption
    assert "↓ lower is better" in costs.get_ylabel() and "better" not in effects.get_ylabel()


def test_the_bars_of_a_sweep_are_in_view_and_its_panels_have_letters(swept):
    figure, _, _ = swept
    effects = figure.axes[0]
    low, high = effects.get_ylim()
    assert low < -0.0 and high > 0.94
    assert [axis.get_title(loc="left") for axis in figure.axes[:4]] == list("abcd")
    low, high = effects.get_xlim()
    assert low < 0 and high > 2


def test_what_is_drawn_is_also_a_table(swept):
    _, _, table = swept
    points = table[(table["panel"] == "a") & (table["mark"] == "point")]
    layer = points[points["series"] == "layer 6"]
    assert layer[["x", "y", "y_low", "y_high"]].to_numpy().tolist()[1:] == [
        [1, 0.2, 0.15, 0.25],
        [2, 0.9, 0.85, 0.95],
    ]
    assert layer["y_low"].isna().tolist() == [True, False, False], "0 was not measured there"
    cells = table[table["mark"] == "cell"]
    assert cells["value"].tolist() == [0.3, 0.4, 0.2, 0.9, 12, 12, 12, 20]
    assert cells["x_name"].astype(float).tolist() == [1, 2] * 4
    assert cells["y_name"].astype(float).tolist() == [3, 3, 6, 6] * 2
    levels = table[table["mark"] == "level"].groupby("panel")["y"].agg(list)
    assert levels["a"] == [0.1] and levels["c"] == [10, 15]
    band = table[(table["mark"] == "band") & (table["panel"] == "a")]
    assert band[["y_low", "y_high"]].to_numpy().tolist() == [[0, 0.2]]
    assert set(table.loc[table["panel"] == "c", "vertical"]) == {"perplexity (↓ lower is better)"}


def test_conditions_are_rows_of_the_table_with_their_names(draw, tmp_path):
    rows = [unsteered(metric=WORDS), row(metric=WORDS, mean=0.7)]
    labels = {"actadd": "steered"}
    draw("conditions", rows, metrics=[WORDS], labels=labels)
    table = pd.read_csv(tmp_path / "f.csv")
    points = table[table["mark"] == "point"]
    assert points["y_name"].tolist() == ["unsteered", "steered (layer 3, c = 1)"]
    assert points[["x", "x_low", "x_high"]].to_numpy().tolist() == [
        [0.5, 0.4, 0.6],
        [0.7, 0.4, 0.7],
    ]


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_an_exact_bound_is_an_open_mark_that_the_caption_names(draw, tmp_path, mean):
    bounds = {"low": 0.0, "high": 0.3} if mean == 0 else {"low": 0.7, "high": 1.0}
    rows = [unsteered(metric=WORDS), row(metric=WORDS, mean=mean, **bounds)]
    figure, caption = draw("conditions", rows, metrics=[WORDS])
    table = pd.read_csv(tmp_path / "f.csv")
    assert table.loc[table["mark"] == "bound", "x"].tolist() == [abs(mean - 0.3)]
    point = table[(table["mark"] == "point") & (table["x"] == mean)]
    assert len(point) == 1 and point["x_low"].isna().all(), "no bar"
    assert "an open triangle is the exact binomial bound over prompts" in caption
    low, high = figure.axes[0].get_xlim()
    assert low <= min(mean, abs(mean - 0.3)) and high >= max(mean, abs(mean - 0.3))


def test_few_prompts_are_warned_of(draw):
    rows = [unsteered(metric=WORDS), row(metric=WORDS)]
    _, caption = draw("conditions", rows, metrics=[WORDS])
    assert "Caution: intervals over fewer than 10 prompts" in caption
    many = [{**each, "n_prompts": 10} for each in rows]
    assert "Caution" not in draw("conditions", many, metrics=[WORDS])[1]


def test_the_caption_says_which_settings_a_development_split_chose(draw):
    rule = {**RULE, "data": "openings (development split)"}
    about = {**ABOUT, "choices": {"actadd": rule}}
    rows = [unsteered(metric=WORDS), row(metric=WORDS)]
    _, caption = draw("conditions", rows, metrics=[WORDS], about=about, labels={WORDS: "share"})
    assert (
        "Layer 3 and coefficient 1 (actadd) were chosen on openings (development split) for the "
        f"largest share, with {COST} at most 1.5 times unsteered." in caption
    )


def test_a_null_is_not_stretched_over_the_axis(draw):
    """The least span of a share, and four ticks at least."""
    rows = [
        unsteered(metric=WORDS, mean=0.5, low=0.49, high=0.51),
        row(metric=WORDS, mean=0.501, low=0.49, high=0.511),
    ]
    about = {**ABOUT, "scales": {WORDS: {"share": True, "span": 0.2}}}
    figure, _ = draw("conditions", rows, metrics=[WORDS], about=about)
    low, high = figure.axes[0].get_xlim()
    assert high - low >= 0.2 - 1e-9
    ticks = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert len(ticks) >= 4


@pytest.mark.parametrize(("width", "inches"), [("column", 3.3), ("page", 6.8), (4.5, 4.5)])
def test_a_figure_has_the_width_that_is_asked_for(draw, width, inches):
    rows = [make(metric=metric) for metric in (WORDS, COST) for make in (unsteered, row)]
    figure, _ = draw("conditions", rows, metrics=[WORDS, COST], width=width)
    assert figure.get_figwidth() == inches


def test_the_style_sheet_is_there_for_users():
    with matplotlib.rc_context(), plt.style.context("actadd.results.drawing.actadd"):
        assert plt.rcParams["figure.figsize"] == [3.3, 2.2]
        assert plt.rcParams["font.size"] == 7 and plt.rcParams["pdf.fonttype"] == 42
        colours = [each["color"] for each in plt.rcParams["axes.prop_cycle"]]
    used = [drawing.series(index, 7)["color"] for index in range(7)]
    assert [to_hex(each) for each in colours] == [to_hex(each) for each in used]


def test_scales_follow_from_the_scorer():
    scorers = {"topic": {"kind": "words", "words": ["a"]}, "fluency": {"kind": "perplexity"}}
    assert scale("topic.any@x", scorers)["share"] and not scale("topic.count", scorers)["share"]
    assert scale("fluency.perplexity")["lower"] and not scale("precision_at_1")["lower"]
    assert scale("precision_at_1") == {"lower": False, "share": True, "span": 0.2}
    assert np.isclose(scale("vader.compound")["span"], 0.4) and scale("own.metric")["span"] == 0


def test_lines_begin_at_0_for_the_operations_that_do_nothing_there():
    from actadd.engine.operations import OPERATIONS
    from actadd.results.figures.sweeps.options import NOTHING_AT_ZERO

    ours = {name for name in OPERATIONS if OPERATIONS[name].nothing_at_zero}
    assert ours == set(NOTHING_AT_ZERO)
