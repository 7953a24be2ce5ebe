"""Effects beside a control: paired differences, and what an experiment lacks for them."""

import json

import numpy as np
import pytest

from actadd.base.kinds import build
from actadd.results.displays.effects import effect_rows
from actadd.results.displays.kinds import FIGURES, TABLES, Experiment, Sources
from builders import concepts as made

KIND = FIGURES["effects"]
# Not in the order of the alphabet.
CONDITIONS = ["unsteered", "random", "actadd"]


def options(**keys):
    return build(KIND.options, {"title": "t", **made.EFFECTS, **keys})


def written(rows, folder) -> Sources:
    return made.sources(rows, folder, facts={"more": {"conditions": CONDITIONS}})


def rows_of(sources, metric="about.weddings") -> list[dict]:
    return [row for row in effect_rows(options(), sources) if row["metric"] == metric]


@pytest.fixture
def sources(tmp_path) -> Sources:
    return written(made.files({"e": made.on_a_model()}), tmp_path)


def test_differences_are_paired_and_draws_are_one_row(sources):
    rows = {row["label"]: row for row in rows_of(sources)}
    assert list(rows) == ["random", "actadd", "actadd\nminus random"]
    random, steered, net = rows.values()
    assert steered["mean"] == pytest.approx(0.3) and not steered["net"]
    # The three draws gain -0.1, 0 and 0.2.
    assert random["mean"] == pytest.approx(0.1 / 3, abs=1e-3) and len(random["draws"]) == 3
    assert net["mean"] == pytest.approx(0.3 - 0.1 / 3, abs=1e-3) and net["net"]
    # Three draws that differ leave the difference open; one condition's prompts do not.
    assert net["high"] - net["low"] > 4 * (steered["high"] - steered["low"])
    assert net["condition"] == steered["condition"] == "actadd"


def test_the_caption_claims_the_difference_from_the_control_alone(sources):
    figure, caption = KIND(options(), sources)
    assert "actadd minus random is +0.267 [" in caption and "3 draws" in caption
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "change of about.weddings",
        "change of fluency.perplexity",
    ]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "random",
        "actadd",
        "actadd\nminus random",
    ]


def test_the_table_has_the_rows_of_the_figure(sources):
    wide, caption = TABLES["effects"](options(), sources)
    assert list(wide.index) == ["random", "actadd", "actadd minus random"]
    assert list(wide.columns) == made.EFFECTS["metrics"]
    assert wide.loc["actadd minus random", "about.weddings"].startswith("+0.267 [")
    assert caption == KIND(options(), sources)[1]


def test_a_share_that_no_prompt_changes_has_an_exact_bound(tmp_path):
    rows = made.files({"e": made.on_a_model()})
    for table in rows.values():
        for row in table:
            if row["condition"] in ("random", "unsteered") and "weddings" in row:
                row["weddings"] = 0.0
    facts = {"more": {"conditions": CONDITIONS}}
    facts["scales"] = {"about.weddings": {"share": True, "span": 0.2}}
    never = made.sources(rows, tmp_path, facts=facts)
    random, _, net = rows_of(never)
    # Of n prompts, none: 1 - 0.025 ** (1 / n).
    assert random["mean"] == 0 and random["bound"] == pytest.approx(1 - 0.025 ** (1 / made.PROMPTS))
    assert np.isnan(net["bound"])
    figure, caption = KIND(options(), never)
    ends = [line.get_xdata()[-1] for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert ends == [random["bound"], -random["bound"]]
    assert "open triangles are the exact binomial bound over prompts, ±0.37" in caption


def test_an_effect_that_the_control_shares_is_not_claimed(tmp_path):
    rows = made.files({"e": made.on_a_model()})
    for table in rows.values():
        for row in table:
            if row["condition"] == "actadd" and "weddings" in row:
                row["weddings"] -= 0.2
    _, caption = KIND(options(), written(rows, tmp_path))
    assert "so no effect is claimed" in caption.partition("In fluency.perplexity")[0]


def test_a_failed_control_leaves_the_effects_and_says_so(tmp_path):
    rows = made.files({"e": made.on_a_model()})
    for table in rows.values():
        for row in table:
            if row["condition"] == "random":
                row["failed"] = "out of memory"
    broken = written(rows, tmp_path)
    random, steered, net = rows_of(broken)
    assert steered["failed"] is None and steered["mean"] == pytest.approx(0.3)
    assert "out of memory" in random["failed"] and "out of memory" in net["failed"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"control": "none"}, "control: e has no condition 'none'; write actadd, random"),
        ({"control": "unsteered"}, "control: 'unsteered' adds no vector"),
    ],
)
def test_a_control_that_is_none_is_refused(keys, problem):
    steered = {"method": "actadd", "additions": [{"vector": "v", "layer": 1, "coefficient": 1}]}
    conditions = {"unsteered": {"method": "unsteered"}, "actadd": steered, "random": steered}
    experiment = Experiment(name="e", entry={"conditions": conditions}, dataset={})
    assert [each for each in options(**keys).check(experiment) if each.startswith(problem)]


def test_a_control_of_several_settings_is_refused():
    addition = {"vector": "v", "layer": [1, 2], "coefficient": 1}
    conditions = {
        "unsteered": {"method": "unsteered"},
        "random": {"method": "actadd", "additions": [addition]},
    }
    experiment = Experiment(name="e", entry={"conditions": conditions}, dataset={})
    assert any("several values of layer" in each for each in options().check(experiment))


def test_settings_of_one_condition_are_rows(tmp_path):
    cells = made.on_a_model()
    addition = {"vector": "v", "layer": 3, "source_layer": 3, "coefficient": 8.0}
    about = {"layer": 3, "coefficient": 8.0, "vector": "v", "additions": json.dumps([addition])}
    cells.append((made.cell("actadd", 1, **about), cells[1][1]))
    rows = rows_of(written(made.files({"e": cells}), tmp_path))
    first, second = "actadd\n(layer 2, c = 4)", "actadd\n(layer 3, c = 8)"
    labels = ["random", first, second, f"{first}\nminus random", f"{second}\nminus random"]
    assert [row["label"] for row in rows] == labels
    assert rows[2]["mean"] == pytest.approx(0.3) and rows[4]["layer"] == rows[2]["layer"] == 3
