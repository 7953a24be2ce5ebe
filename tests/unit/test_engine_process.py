"""Other engines of the benchmark draw in turn, exactly as many tokens, or say why they cannot."""

import os
import sys

import numpy as np
import pytest
from benchmarks import engines
from benchmarks.against_peers import SCRIPTS
from benchmarks.common import PROMPTS, Setup
from benchmarks.engine_process import Engine, NotRun

SCRIPT = f"""
import os, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from turns import take_turns

def start(task):
    print("loading", flush=True)
    if task["mistake"] == "weights":
        sys.exit("no such weights")
    short = task["mistake"] == "length"
    rows = len(task["prompts"]) * task["samples"]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    return lambda tokens: [[7] * (tokens - short)] * rows, {{"cores": cores}}

take_turns(start)
"""


@pytest.fixture
def start(prepared, tmp_path):
    setup = Setup(prepared, scratch=tmp_path / "scratch")
    script = tmp_path / "run_engine.py"
    script.write_text(SCRIPT)
    return lambda mistake: Engine(
        setup, "engine", script, sys.executable, samples=2, tokens=3, mistake=mistake
    )


def test_an_engine_draws_in_turn_on_the_core_of_all_arms(start):
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    with engines.one_core(1), start("") as engine:
        assert engine.about["cores"] == sorted(allowed)[-1:]
        assert len(engine.task["prompts"]) == len(PROMPTS)
        engine.draw()
        engine.draw()
    assert engine.process.returncode == 0
    if allowed:
        assert os.sched_getaffinity(0) == allowed


def test_too_few_tokens_and_a_failed_start_are_no_measurement(start):
    with start("length") as engine, pytest.raises(AssertionError, match="lengths"):
        engine.draw()
    with pytest.raises(NotRun, match="no such weights"):
        start("weights")


def test_llama_cpp_gets_the_vector_of_the_layer(prepared, tmp_path):
    from actadd.vectors.formats.gguf import read

    setup = Setup(prepared, scratch=tmp_path / "scratch")
    (tmp_path / "scratch" / "engines").mkdir(parents=True)
    rows = read(engines.control_vector(setup, 2)).rows
    assert list(rows) == [2]
    np.testing.assert_array_equal(rows[2], setup.vectors()[2][-1:])
