"""The paper's figures from made-up tables: that each row is drawn once, where it belongs."""

import json

import numpy as np
import pytest

from actadd.measure.overhead import ARMS, STEERED
from builders.figures import lines
from builders.rows import (
    COST,
    STEERED_TEXT,
    UNSTEERED_TEXT,
    WORDS,
    comparison_rows,
    cosine_rows,
    divergence_rows,
    lens_rows,
    overhead_rows,
    pair_sources,
    precision_rows,
    row,
    shift_rows,
    unsteered,
)


def labels(figure) -> list[str]:
    """What the legend below the panels says."""
    [legend] = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def points(axis) -> list[list[tuple[float, float]]]:
    """The (x, y) of each series of separate marks; the caps of error bars are none."""
    return [
        list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axis.lines
        if line.get_marker() not in ("None", None, "", "_", "|") and line.get_linestyle() == "None"
    ]


def test_frequency_in_order_of_the_share_and_in_percent(draw):
    rows = []
    for number, group in ((30, "0.01"), (50, "0.0"), (8, "0.02"), (2, "0.03")):
        mean = 1 - 10 * float(group)
        values = {"mean": mean, "low": mean - 0.1, "high": mean + 0.2, "n_prompts": number}
        rows += [
            make(metric="perplexity_ratio", group=group, **values) for make in (unsteered, row)
        ]
    figure, caption = draw("frequency", {"s.parquet": rows}, at_least=3)
    [axis] = figure.axes
    assert lines(axis) == [pytest.approx([100, 90, 80])]
    [bars] = axis.containers[0][2]
    reach = [path.vertices[:, 1].tolist() for path in bars.get_paths()]
    assert reach == [pytest.approx([mean - 10, mean + 20]) for mean in (100, 90, 80)]
    assert "0.01 %: 30" in caption and "0.03 %" not in caption


def test_precision_has_a_line_for_each_condition(draw):
    figure, caption = draw("precision", {"s.parquet": precision_rows()})
    [axis] = figure.axes
    result = dict(zip(labels(figure), lines(axis), strict=True))
    assert sorted(map(sorted, result.values())) == [
        pytest.approx([0.11, 0.15, 0.2]),
        pytest.approx([0.21, 0.25, 0.3]),
    ]
    assert all(values == sorted(values) for values in result.values())
    assert sum("unsteered" in text for text in result) == 1
    assert "actadd (one) p = 0.04" in caption and "unsteered (one)" not in caption


def test_a_source_layer_is_named_only_where_it_is_another(draw):
    figure, _ = draw("precision", {"s.parquet": precision_rows()})
    assert not any("from layer" in text for text in labels(figure))
    rows = [{**r, "source_layer": 0.0 if r["layer"] == 3 else np.nan} for r in precision_rows()]
    figure, _ = draw("precision", {"s.parquet": rows})
    assert any("from layer 0" in text for text in labels(figure))


def test_dose_response_sets_effect_against_cost(draw):
    rows = []
    for model in ("one", "two"):
        for metric, base in ((WORDS, 0.1), (COST, 20.0)):
            bounds = {"low": base / 2, "high": base * 40}
            rows.append(unsteered(model=model, metric=metric, mean=base, **bounds))
            for name in ("actadd", "other"):
                for c in (4.0, 1.0, -2.0):
                    mean = base * (1 + abs(c)) + (name == "other")
                    rows.append(
                        row(
                            **{"model": model, "metric": metric, "condition": name},
                            **{"coefficient": c, "mean": mean, **bounds},
                        )
                    )
    figure, caption = draw("dose_response", {"s.parquet": rows}, metrics=[WORDS, COST])
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]
    for axis in figure.axes:
        drawn = [(c[0].get_xdata().tolist(), c[0].get_ydata().tolist()) for c in axis.containers]
        # From the weakest setting to the strongest, whatever its sign.
        assert drawn == [
            (pytest.approx([40, 60, 100]), pytest.approx([0.2, 0.3, 0.5])),
            (pytest.approx([41, 61, 101]), pytest.approx([1.2, 1.3, 1.5])),
        ]
        assert points(axis) == [[(20.0, 0.1)]], "unsteered"
        assert sorted(text.get_text() for text in axis.texts) == ["-2", "-2", "1", "1", "4", "4"]
        assert axis.get_xscale() == "log"
    assert labels(figure) == ["unsteered", "actadd", "other"]
    assert "at the same cost" in caption and "(logarithmic)" in caption
    free = [{**r, "mean": 0.0} if r["metric"] == COST else r for r in rows]
    figure, caption = draw("dose_response", {"s.parquet": free}, metrics=[WORDS, COST])
    assert {axis.get_xscale() for axis in figure.axes} == {"linear"}, "0 would be hidden"
    assert "logarithmic" not in caption


def test_topics_draws_each_topics_own_vector(draw):
    rows = []
    for number, topic in enumerate(("art", "law")):
        metric = f"topics.{topic}"
        rows.append(unsteered(metric=metric))
        for condition in ("art", "law"):
            for c in (2.0, 1.0):
                change = c / 10 + number if condition == topic else 77.0
                rows.append(
                    row(metric=metric, condition=condition, coefficient=c, difference=change)
                )
    figure, _ = draw("topics", {"s.parquet": rows}, metrics=["topics.law", "topics.art"])
    [axis] = figure.axes
    assert labels(figure) == ["art", "law"]
    assert lines(axis) == [pytest.approx([10, 20]), pytest.approx([110, 120])]


def test_token_shift_against_the_normal_and_by_token(draw):
    rows = shift_rows()
    other = [{**r, "model": "two"} for r in rows if r["token"] != "d|"]
    sources = {"one.parquet": rows, "two.parquet": other}
    figure, caption = draw("token_shift", sources, at_least=2)
    assert len(figure.axes) == 4
    for axis, bars in (figure.axes[:2], figure.axes[2:]):
        [marks] = points(axis)
        assert [y for _, y in marks] == [-2, 1, 5], "tokens in order, against quantiles"
        named = [tick.get_text() for tick in bars.get_yticklabels()]
        drawn = [bar.get_width() for bar in bars.patches]
        assert list(zip(named, drawn, strict=True)) == [("c", 5), ("a", 1), ("b", -2)]
    assert "3 tokens from 9 places (one)" in caption


def test_few_tokens_are_drawn_once(draw):
    """Fewer than twenty: none stands both among the raised and among the lowered."""
    rows = []
    for number in range(12):
        for method, shift in ((UNSTEERED_TEXT, 0.0), (STEERED_TEXT, float(number) - 5)):
            rows.append(
                {
                    **{"model": "one", **method, "text_id": 0, "token_index": number},
                    **{"token": f"t{number:02d}", "logprob": -3 + shift, "modified": False},
                }
            )
    figure, _ = draw("token_shift", {"l.parquet": rows}, at_least=1)
    named = [tick.get_text() for tick in figure.axes[1].get_yticklabels()]
    assert named == [f"t{number:02d}" for number in reversed(range(12))]


def test_divergence_has_a_point_for_each_text(draw):
    figure, caption = draw("divergence", {"d.parquet": divergence_rows()})
    [axis] = figure.axes
    assert labels(figure) == ["c = 1", "c = 2"]
    for coefficient, series in zip((1, 2), points(axis), strict=True):
        share = coefficient / 4
        assert series == [
            (pytest.approx(share), pytest.approx((0.1 + text) * share)) for text in (0, 1, 2)
        ]
    assert "steering below random on 33% of 3 texts" in caption


def test_divergence_of_any_names_goes_by_which_vectors_are_random(draw):
    rows = divergence_rows(("love", "random"))
    figure, caption = draw("divergence", {"d.parquet": rows})
    usual, _ = draw("divergence", {"d.parquet": divergence_rows()})
    assert points(figure.axes[0]) == points(usual.axes[0])
    assert "steering below random on 33% of 3 texts" in caption
    rows += [r for r in divergence_rows(("hate", "random")) if r["condition"] == "hate"]
    figure, _ = draw("divergence", {"d.parquet": rows})
    assert labels(figure) == [f"{n}, {n}, c = {c}" for n in ("hate", "love") for c in (1, 2)]


@pytest.mark.parametrize("controls", [(), ("random",)])
def test_divergence_without_a_control_to_match_goes_by_entropy(draw, controls):
    """None, or one of other coefficients: everything is drawn all the same."""
    rows = divergence_rows(("love", "hate"))
    rows += [r for r in divergence_rows(controls, (5.0,)) if r["condition"] != "unsteered"]
    figure, caption = draw("divergence", {"d.parquet": rows})
    drawn = {(name, c) for name in ("love", "hate") for c in (1, 2)} | {(c, 5) for c in controls}
    assert set(labels(figure)) == {f"{name}, {name}, c = {c}" for name, c in drawn}
    assert len(points(figure.axes[0])) == len(drawn) and "placed by its entropy" in caption


def test_pairs_by_effect_and_against_each_predictor(draw):
    metrics = {"metrics": [WORDS], "relative_to": "mean"}
    figure, caption = draw("pairs", pair_sources(), lens="l", **metrics)
    first, *others = figure.axes
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["p0", "p2", "p1"]
    marks = [c[0].get_xydata()[0].tolist() for c in first.containers]
    assert marks == [[0.3, 0], [0.2, 1], [0.1, 2]]
    drawn = [points(axis) for axis in others]
    effects = [0.3, 0.2, 0.1]
    for [series], factor, shift in zip(drawn, (2, -1, 1), (0, 0, 1), strict=True):
        assert series == [(pytest.approx(factor * e + shift), e) for e in effects]
    titles = [axis.get_title(loc="right") for axis in others]
    assert titles[0].startswith("rho = +1.00") and titles[1].startswith("rho = -1.00")
    assert "not corrected" in caption


def test_lens_has_a_panel_for_each_vector_at_its_longest_row(draw):
    rows = [{**r, "norm": 1.0 + r["position"] * (r["vector"] == "w")} for r in lens_rows()]
    figure, _ = draw("lens", {"tokens.parquet": rows}, lens="l")
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["one: v, position 1", "one: w, position 2"]
    for axis, (vector, position) in zip(panels, (("v", 1), ("w", 2)), strict=True):
        texts = [text.get_text() for text in axis.texts]
        # The last layer on top; only what is raised.
        assert texts == [
            f"{vector}{layer}{position}up{rank}" for layer in (10, 0) for rank in range(3)
        ]


@pytest.mark.parametrize(("depth", "layer"), [(0.5, 2), (1, 3), (0, 0)])
def test_cosines_by_layer_and_between_vectors(draw, depth, layer):
    figure, _ = draw("cosines", {"cosines.parquet": cosine_rows()}, lens="l", depth=depth)
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["one: v", "one: w", f"one: layer {layer}"]
    square = np.array(panels[0].collections[0].get_array()).reshape(4, 4)
    expected = [[1 - abs(a - b) / 4 for b in range(4)] for a in (3, 2, 1, 0)]
    assert np.allclose(square, expected)
    between = np.array(panels[2].collections[0].get_array()).reshape(2, 2)
    assert np.allclose(between, [[1, layer / 10], [layer / 10, 1]])


def test_overhead_has_a_line_for_each_steered_arm(draw):
    sources = {
        "large.parquet": overhead_rows("large", 2000, 0.9),
        "small.parquet": overhead_rows("small", 1000, 1.5),
    }
    figure, caption = draw("overhead", sources)
    [axis] = figure.axes
    result = dict(zip(labels(figure), lines(axis), strict=True))
    assert list(result) == list(ARMS[1:])
    assert result[STEERED] == pytest.approx([50, -10]), "smallest model first"
    assert "small (1k, 3000 ms unsteered), large (2k" in caption


def test_comparison_has_a_panel_for_each_series_and_a_line_for_each_claim(draw):
    figure, _ = draw("comparison", {"comparison.parquet": comparison_rows()})
    *panels, strip = figure.axes
    assert [axis.get_title().split("\n")[0] for axis in panels] == ["a", "b"]
    for axis, ours in zip(panels, (0.25, 0.75), strict=True):
        published, measured = (line.get_ydata().tolist() for line in axis.lines[:2])
        assert (published, measured) == ([2.5, 10.5], [2 + ours, 10 + ours]), (
            "by number, not by text"
        )
        assert "one: 2 of 2 match" in axis.get_title()
    told = [text.get_text() for text in strip.texts]
    assert told[::2] == ["✔", "✘", "–"]
    assert [text.split(" (")[0] for text in told[1::2]] == ["claim 0", "claim 1", "claim 2"]


def test_a_note_ends_the_caption_and_dollars_are_not_formulas(draw):
    note = "It costs $5 and $6."
    figure, caption = draw("precision", {"s.parquet": precision_rows()}, note=note)
    assert caption.endswith(note)
    assert any("$5 and $6" in text.get_text().replace("\n", " ") for text in figure.texts)


def test_a_composite_is_told_apart_in_a_sweeps_caption(draw):
    """Conditions without one coefficient are levels beside a sweep."""
    composite = dict.fromkeys(("layer", "source_layer", "coefficient"), np.nan)
    rows = [row(metric=WORDS, coefficient=c, mean=c) for c in (1.0, 2.0)]
    both = {"additions": json.dumps([{}, {}]), "condition": "both", "mean": 0.77}
    rows.append(row(metric=WORDS, **both, **composite))
    figure, _ = draw("sweep", {"s.parquet": [*rows, unsteered(metric=WORDS)]}, metrics=[WORDS])
    [axis] = figure.axes
    assert lines(axis) == [[1.0, 2.0]]
    [level] = [line for line in axis.lines if "both" in str(line.get_label())]
    assert list(level.get_ydata()) == [0.77, 0.77]


@pytest.mark.parametrize("x", ["layer", "dimensions"])
def test_a_sweep_against_something_else(draw, x):
    rows = [
        row(metric=WORDS, mean=value, **{"layer": 3.0, "source_layer": 3.0, x: value})
        for value in (0.5, 0.25, 1.0)
    ]
    if x == "layer":
        rows = [{**r, "source_layer": r["layer"]} for r in rows]
    rows.append(unsteered(metric=WORDS))
    figure, caption = draw("sweep", {"s.parquet": rows}, metrics=[WORDS], x=x)
    assert lines(figure.axes[0]) == [[0.25, 0.5, 1.0]]
    assert x in caption


def test_a_sweep_by_group_has_a_line_for_each_group(draw):
    rows = [
        row(metric=WORDS, group=group, coefficient=c, mean=c + shift)
        for group, shift in (("all", 50), ("x", 0), ("y", 10))
        for c in (2.0, 1.0)
    ]
    figure, _ = draw("sweep", {"s.parquet": rows}, metrics=[WORDS], by_group=True)
    assert labels(figure) == ["x", "y"]
    assert lines(figure.axes[0]) == [[1, 2], [11, 12]]
