"""Figures from made-up tables: that each row is drawn once, and what captions say."""

import json

import numpy as np
import pytest

from actadd.base.errors import UserError
from builders import reliability
from builders.figures import lines
from builders.rows import curve_rows, reading_rows, row, unsteered


def test_a_sweep_has_one_line_for_each_setting(draw):
    rows = [
        row(metric="words.any", model=model, layer=layer, source_layer=layer, coefficient=c, mean=c)
        for model in ("one", "two")
        for layer in (3.0, 6.0)
        for c in (4.0, 1.0)
    ]
    rows += [unsteered(metric="words.any", model=model, mean=0.1) for model in ("one", "two")]
    figure, caption = draw("sweep", rows, metrics=["words.any"])
    assert lines(figure.axes[0]) == [[1.0, 4.0]] * 4
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"one, layer 3", "two, layer 6", "unsteered, one", "unsteered, two"} <= labels
    assert "n = 7 prompts, up to 14 completions" in caption and "words: counted." in caption


def test_conditions_draws_every_row_and_says_what_shows_no_effect(draw):
    rows = []
    for metric in ("words.any", "words.count"):
        rows.append(unsteered(metric=metric))
        rows.append(row(metric=metric, position="front"))
        rows.append(row(metric=metric, position="back", difference_low=-0.1))
    figure, caption = draw("conditions", rows, metrics=["words.any", "words.count"])
    assert [len(axis.containers) for axis in figure.axes] == [3, 3]
    assert "actadd, front +0.200 [+0.100, +0.300]; " in caption
    assert "actadd, back +0.200 [-0.100, +0.300], no effect shown" in caption


def test_every_row_has_a_label_of_its_own(draw):
    one = {"vector": "v", "layer": 3, "coefficient": 1}
    composite = dict.fromkeys(("layer", "source_layer", "coefficient"), np.nan)
    rows = [
        unsteered(),
        row(),
        row(source_layer=0.0),
        row(dimensions=0.5),
        row(phase="every_step"),
        row(condition="both", additions=json.dumps([one, one]), **composite),
        row(condition="both", additions=json.dumps([one, {**one, "layer": 5}]), **composite),
    ]
    figure, _ = draw(
        "conditions", [r | {"metric": "words.any"} for r in rows], metrics=["words.any"]
    )
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == len(rows) == len(labels)
    assert any("50% of dimensions" in label.replace("\n", " ") for label in labels)


def test_reliability_has_a_mark_for_each_prompt_and_the_control_beside(draw):
    sources, about = reliability.sources(), {"about": reliability.ABOUT}
    name = "scores/one/e/words.parquet"
    sources[name] = [
        r | ({"failed": "too large", "any": np.nan} if r["cell"] == "s2.0" else {})
        for r in sources[name]
    ]
    figure, caption = draw("reliability", sources, **reliability.OPTIONS, **about)
    negative, weak = figure.axes
    marks = [line for line in weak.lines if line.get_marker() in ("o", "x")]
    assert [len(line.get_xdata()) for line in marks] == [17, 3]
    assert sorted(y for line in marks for y in line.get_ydata()) == pytest.approx(
        sorted(reliability.GAINS)
    )
    [control] = [line for line in weak.lines if line.get_marker() == "."]
    assert control.get_ydata().tolist() == pytest.approx(sorted(reliability.DRAWS.mean(axis=0)))
    assert not any(line.get_marker() == "." for line in negative.lines)
    assert "15 % [" in weak.texts[0].get_text()
    assert "actadd (v (layer 3, c = 2)): the cell failed: too large" in caption
    assert "n = 20 prompts" in caption and "80 % power" in caption


def test_only_what_is_unsteered_at_strength_0_begins_at_the_star(draw):
    """A clamp changes the stream at any value, so nothing is read below its first one."""
    curves = [row for row in curve_rows() if row["damage"] == "disfluency"]
    clamp = {"vector": "v", "layer": 3, "operation": "clamp", "coefficient": 1.0}
    for each in curves:
        if each["condition"] == "random":
            each |= {"condition": "clamp", "role": "method", "additions": json.dumps([clamp])}
    sources = {"curves/c.parquet": curves, "readings/c.parquet": reading_rows()}
    figure, _ = draw("equal_damage", sources)
    [axis] = figure.axes
    places = [line.get_xydata().tolist() for line in axis.lines]
    begun = [place for place in places if len(place) == 2 and place[0] == [1, 0]]
    assert len(begun) == 2, "of the method and of the other control"


@pytest.mark.parametrize(("difference", "text"), [(1.0, "every prompt);"), (0.0, "no effect")])
def test_a_difference_that_all_prompts_share(draw, difference, text):
    nothing = {"difference_low": np.nan, "difference_high": np.nan}
    rows = [
        unsteered(metric="words.any"),
        row(metric="words.any", difference=difference, **nothing),
    ]
    rows.append(row(metric="words.any", condition="other"))
    assert text in draw("conditions", rows, metrics=["words.any"])[1]


def test_ratios_of_two_models_are_not_one_zigzag(draw):
    rows = [
        row(metric="perplexity_ratio", model=model, group=group, coefficient=c, mean=c + shift)
        for model, shift in (("one", 0.0), ("two", 10.0))
        for group in ("a", "b")
        for c in (1.0, 2.0)
    ]
    figure, _ = draw("perplexity_ratio", rows)
    assert [lines(axis) for axis in figure.axes] == [[[1, 2], [1, 2]], [[11, 12], [11, 12]]]


def test_accuracy_uses_all_texts_together(draw):
    rows = []
    for metric in ("precision_at_1", "precision_at_10"):
        for group, mean in (("all", 0.5), ("part", 0.9)):
            rows.append(unsteered(metric=metric, group=group, mean=mean))
            rows.append(row(metric=metric, group=group, mean=mean))
    figure, _ = draw("accuracy", rows)
    assert len(figure.axes[0].containers) == 2


def test_nothing_to_sweep_is_reported(draw):
    with pytest.raises(UserError, match="no condition has one addition"):
        draw("perplexity_ratio", [unsteered(metric="perplexity_ratio")])
    with pytest.raises(UserError, match=r"no metric 'words\.none'"):
        draw("sweep", [unsteered(metric="words.any")], metrics=["words.none"])
