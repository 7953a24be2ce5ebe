"""How far a run is, what it found, and what of that is printed."""

from actadd.config.checks import checked
from actadd.pipeline.costs import Costs
from actadd.pipeline.graph import Graph
from actadd.pipeline.run_progress import START, RunProgress, expected_seconds
from actadd.pipeline.run_results import results_in_words
from builders import tiny


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_the_pace_of_finished_jobs():
    clock = Clock()
    run = RunProgress({1: 100.0, 2: 100.0, 3: 200.0}, cores=1, clock=clock)
    assert run.counts() == "0 of 3 jobs, about 7 min left" and run.seconds_left == 400
    run.start(1)
    clock.now = 50
    assert run.done == 50
    clock.now = 200
    assert run.done == 95, "a job is not finished before it is"
    assert run.finish(1) == 200 and run.done == 100
    run.start(2)
    clock.now = 400
    run.finish(2)
    # Twice as slow as expected: about 400 s for 200 expected ones, less what the prior says.
    assert 350 < run.seconds_left < 400
    run.start(3)
    run.fail(3)
    assert run.done == 200, "a failed job starts at its beginning"
    run.start(3)
    run.finish(3)
    assert run.seconds_left == 0 and run.counts() == "3 of 3 jobs"


def test_jobs_with_cells_weigh_what_their_model_takes(tmp_path, monkeypatch):
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = tiny.config()
    settings["models"]["tiny"]["parameters"] = 1_000_000_000
    graph = Graph(checked(settings, tmp_path), tmp_path)
    costs = Costs(graph)
    assert expected_seconds(costs, graph.model("tiny")) == START
    assert expected_seconds(costs, None) == START
    assert expected_seconds(costs, graph.cells("tiny", "sweep")) > 4 * START


SUMMARY = """condition,group,metric,mean,difference,difference_low,difference_high
unsteered,all,mood.any,0.4,,,
random,all,mood.any,0.39,-0.01,-0.1,0.08
love,all,mood.any,0.1,-0.3,-0.4,-0.2
love,first,mood.any,0.2,-0.2,-0.4,-0.1
love,all,mood.other,7,6,5,4
"""
ENTRY = {"experiment": "x", "metrics": ["mood.any", "mood.other"], "labels": {"mood.any": "mood"}}
CONFIG = {
    "figures": {"f": ENTRY, "again": ENTRY, "own": {}},
    "experiments": {
        "x": {"models": ["m", "n"], "conditions": {"unsteered": {}, "love": {}, "random": {}}}
    },
}


def test_results_are_said_in_the_order_of_the_config(tmp_path):
    path = tmp_path / "summaries/m/x.csv"
    path.parent.mkdir(parents=True)
    path.write_text(SUMMARY)
    assert results_in_words(CONFIG, tmp_path, {"f", "again", "own"}) == [
        "x on m, mood: unsteered 0.4; difference from it, with 95 % interval: "
        "love -0.3 [-0.4, -0.2], random -0.01 [-0.1, +0.08]"
    ]
    assert results_in_words(CONFIG, tmp_path, set()) == []
    path.write_text(SUMMARY + "love,all,mood.any,0.2,-0.2,-0.4,-0.1\n")
    assert results_in_words(CONFIG, tmp_path, {"f"}) == [], "a grid is not said in a line"
