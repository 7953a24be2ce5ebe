"""The reason of a failure on the screen of a run."""

import os
import re
import time

import pytest

from builders import tiny
from builders.tiny import fake_program

# What becomes of a program, by what stands in its arguments.
FATES = """
case "$*" in
    *programs.fetch*) echo "error: sources.tiny: gone" >&2; exit 1 ;;
    *prompts.parquet*) kill -9 $$ ;;
    *texts.parquet*) exit 127 ;;
    *labelled.parquet*)
        for n in $(seq 40); do echo "line $n"; done
        echo "ModuleNotFoundError: No module named 'pandas'"; exit 1 ;;
esac
"""


@pytest.mark.workflow
def test_the_reason_is_on_the_screen_at_once(tmp_path, tiny_model, monkeypatch):
    """Without a profile, with the run going on: exit codes, signals, the ends of logs."""
    space = tiny.Workspace.create(tmp_path / "space", tiny_model)
    folder = fake_program(tmp_path / "bin", "python", FATES)
    environment = space.environment()
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    monkeypatch.setattr(space, "environment", lambda: environment)
    stale = space.folder / "results/logs/dataset/prompts.log"
    stale.parent.mkdir(parents=True)
    stale.write_text("error: of another day\n")
    os.utime(stale, (time.time() - 3600,) * 2)
    tables = [f"results/datasets/{name}.parquet" for name in ("prompts", "texts", "labelled")]
    printed = space.run("--keep-going", "results/sources/tiny", *tables, fails=True)
    assert "fetch failed; results/logs/fetch/tiny.log ends so:\n    error: sources.tiny: gone" in (
        printed
    )
    assert "dataset: it was killed by SIGKILL, as the system does when memory runs out" in printed
    assert "dataset: its program is not on PATH" in printed
    lines = re.search(r"dataset failed; \S+/labelled\.log ends so:\n((?:    .*\n)+)", printed)[1]
    assert lines.splitlines()[-2].strip() == "ModuleNotFoundError: No module named 'pandas'"
    assert "line 40" in lines and "line 20\n" not in lines
    assert "make env" in lines.splitlines()[-1]
    assert "latency" not in printed and "Traceback" not in printed
    assert (
        printed.count("Error in rule dataset:") == 3 and "output: results/sources/tiny" in printed
    )
    # The program was killed before it wrote anything.
    assert "of another day" not in printed


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo 'sbatch: error: Invalid qos specification' >&2; exit 1",
            ("Invalid qos specification", "slurm-qos"),
        )
    ],
)
def test_slurms_refusal_of_a_group_of_jobs_is_on_the_screen(
    tmp_path, tiny_model, monkeypatch, script, words
):
    space = tiny.Workspace.create(tmp_path / "space", tiny_model)
    folder = fake_program(tmp_path / "bin", "sbatch", script)
    for name in ("squeue", "sacct", "scancel", "sinfo", "scontrol"):
        fake_program(folder, name, "exit 0")
    environment = space.environment()
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    monkeypatch.setattr(space, "environment", lambda: environment)
    profile = ("--workflow-profile", "profiles/slurm", "--slurm-no-account")
    tables = [f"results/datasets/{name}.parquet" for name in ("prompts", "texts")]
    printed = space.run(*profile, "--retries", "0", "--", *tables, fails=True)
    assert all(word in printed for word in words)
    assert "remedy: write slurm-qos into profiles/slurm/profile.yaml" in printed
    assert (space.folder / "profiles/slurm/profile.yaml").exists()
