"""What a run prints: a line for each job, a bar on a terminal, and all of it on request."""

import re

import pytest

from builders import tiny
from builders.terminals import printed_on_terminal

pytestmark = pytest.mark.workflow
TARGET = "results/datasets/texts.parquet"
LINE = re.compile(rf"^ +1/1 +\d+ s  Prepare dataset texts  {TARGET}$", re.MULTILINE)


@pytest.fixture
def fresh(tmp_path, tiny_model) -> tiny.Workspace:
    """A workspace in which nothing was run, of which the tests make one dataset."""
    return tiny.Workspace.create(tmp_path / "space", tiny_model)


def test_a_run_prints_a_line_for_each_job_and_the_rest_into_its_log(fresh):
    printed = fresh.run(TARGET)
    assert LINE.search(printed), printed
    [path] = re.findall(r"^1 job, about 5 s; everything else is in (\S+)$", printed, re.MULTILINE)
    for noise in ("Reason", "wildcards", "Select jobs", "Execute 1", "steps", "Job stats"):
        assert noise not in printed
    log = (fresh.folder / path).read_text()
    assert "Reason: " in log and "Job stats" in log and "1 of 1 steps" in log


def test_what_snakemake_prints_is_there_on_request(fresh):
    printed = fresh.run("-p", TARGET)
    assert "1 of 1 steps" in printed and "python -m programs.dataset" in printed
    assert not LINE.search(printed)
    assert "Job stats" in fresh.run("-n", "--forceall", TARGET)


def test_a_terminal_has_a_bar_and_no_longer_line(fresh):
    environment = {**fresh.environment(), "COLUMNS": "70", "TERM": "xterm"}
    printed = printed_on_terminal(fresh.command(TARGET), cwd=fresh.folder, env=environment)
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", printed)
    assert re.search(r"\d% 0 of 1 jobs, about \d s left", text), text
    of_the_run = text[text.index("1 job, about") :].split("Complete log")[0]
    assert max(map(len, re.split(r"[\r\n]+", of_the_run))) <= 70
    assert "Prepare dataset texts" in of_the_run
