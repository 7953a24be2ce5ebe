"""What a run says of its results at its end."""

import csv

import pytest

from actadd.pipeline import layout
from actadd.pipeline.run_results import results_in_words

CONFIG = {
    "figures": {
        "mood": {"experiment": "mood", "metrics": ["vader.compound"]},
        "elsewhere": {"experiment": "mood", "metrics": ["vader.compound"]},
        "norms": {"vectors": ["v"]},
    },
    "experiments": {
        "mood": {"models": ["tiny"], "conditions": dict.fromkeys(["unsteered", "sad"])}
    },
}


@pytest.fixture
def summary(tmp_path):
    def write(*rows: dict[str, str]):
        path = layout.output("summary", "csv", tmp_path, model="tiny", experiment="mood")
        path.parent.mkdir(parents=True)
        common = {"metric": "vader.compound", "group": "all"}
        bounds = dict.fromkeys(("difference", "difference_low", "difference_high"), "")
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["condition", "mean", *common, *bounds])
            writer.writeheader()
            writer.writerows({**common, **bounds, **row} for row in rows)
        return results_in_words(CONFIG, tmp_path, {"mood", "norms"})

    return write


def test_each_condition_has_its_difference_with_an_interval(summary):
    steered = {"difference": "-0.31", "difference_low": "-0.42", "difference_high": "-0.2"}
    [line] = summary(
        {"condition": "unsteered", "mean": "0.4"}, {"condition": "sad", "mean": "0.1", **steered}
    )
    assert line.startswith("mood on tiny, vader.compound: unsteered 0.4;")
    assert line.endswith("sad -0.31 [-0.42, -0.2]")


def test_a_difference_without_bounds_has_none(summary):
    """Where every prompt differs by as much, there is no interval."""
    [line] = summary(
        {"condition": "unsteered", "mean": "0.4"},
        {"condition": "sad", "mean": "0.4", "difference": "0"},
    )
    assert line.endswith("sad +0")


def test_a_grid_has_no_line(summary):
    rows = [{"condition": "sad", "mean": mean, "difference": "0.1"} for mean in ("0.1", "0.2")]
    assert summary({"condition": "unsteered", "mean": "0.4"}, *rows) == []
