"""How far a long step is, and what a run did in the end."""

import os
import sys
import time

import pytest

from actadd.base.progress import EVERY, begin, count_tokens, progress, readable
from actadd.pipeline.run_summary import summary
from actadd.store.cells import Fill
from builders.terminals import printed_on_terminal
from builders.tiny import ROOT


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_for_each_cell_with_pace_and_time_left(capsys):
    clock = Clock()
    with progress(4, clock=clock) as bar:
        clock.now += 5  # the model is loaded
        begin()
        for tokens in (100, 300):
            clock.now += 2
            count_tokens(tokens)
            bar.finish("unsteered", "done")
    assert capsys.readouterr().out.splitlines() == [
        "cell 1 of 4: unsteered: done, 7.0 s, 50 tokens/s, about 6 s left",
        "cell 2 of 4: unsteered: done, 9.0 s, 100 tokens/s, about 4 s left",
    ]


def test_between_cells_a_line_every_few_seconds_at_most(capsys):
    clock = Clock()
    with progress(2, clock=clock):
        for _ in range(50):
            clock.now += 1
            count_tokens(10)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 50 // EVERY
    assert lines[0] == "so far: 0 of 2 cells, 10 tokens/s"


def test_the_last_cell_has_no_time_left_and_counting_without_progress_is_allowed(capsys):
    count_tokens(5)
    begin()
    assert capsys.readouterr().out == ""
    with progress(1) as bar:
        bar.finish("one", "failed: too large")
    printed = capsys.readouterr().out
    assert (
        printed.startswith("cell 1 of 1: one: failed: too large, 0.0 s") and "left" not in printed
    )
    count_tokens(5)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (7200, "2.0 h")]
)
def test_durations_are_readable(seconds, text):
    assert readable(seconds) == text


def test_a_bar_on_a_terminal_with_the_same_lines():
    code = (
        "from actadd.base.progress import progress, count_tokens\n"
        "with progress(2) as bar:\n"
        "    count_tokens(7)\n"
        "    bar.finish('[love] - [hate]', 'done')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "TERM": "xterm"}
    text = printed_on_terminal([sys.executable, "-c", code], env=environment)
    assert "cell 1 of 2: [love] - [hate]: done" in text and "1 of 2 cells" in text


# --- the summary of a run ---


def test_a_summary_counts_what_this_run_did(tmp_path):
    jobs = {
        "completions/m/sweep_0_of_2": (Fill([0, 1, 2], 1, {}, 0, 9.0), 10.5),
        "completions/m/sweep_1_of_2": (Fill([0, 1, 2], 0, {1: "too large"}, 1, 19.0), 20.0),
        "logprobs/m/ratio": (Fill([], 4, {}, 0, 0.0), 3.0),
        "scorer_card": (None, 1.0),
        "completions/m/before": (Fill([*range(9)], 9, {}, 0, 90.0), 99.0),
    }
    for name, (fill, seconds) in jobs.items():
        benchmark = tmp_path / f"benchmarks/{name}.tsv"
        benchmark.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
        if fill:
            fill.note(benchmark.with_suffix(".cells.json"), {})
    for path in tmp_path.rglob("before.*"):
        os.utime(path, (0, 0))
    (tmp_path / "figures").mkdir()
    for name, at in (("old", 0), ("new", time.time())):
        (tmp_path / f"figures/{name}.pdf").touch()
        os.utime(tmp_path / f"figures/{name}.pdf", (at, at))
    for name in ("new.png", "new.captioned.png"):
        (tmp_path / f"figures/{name}").touch()
    assert summary(tmp_path, time.time() - 60).splitlines() == [
        "cells: 5 computed, 5 reused, 1 failed",
        "time of jobs, added up by stage: completions 30 s (2 jobs), logprobs 3 s, scorer_card 1 s",
        f"figures: 1 in {tmp_path / 'figures'}/",
    ]


def test_a_run_that_did_nothing_has_nothing_to_say(tmp_path):
    assert summary(tmp_path, time.time()) == ""
