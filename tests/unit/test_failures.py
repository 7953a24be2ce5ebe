"""A job that fails says why, at once: in every rule, on the screen, whoever runs it."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from actadd.pipeline import reasons
from builders import tiny

RULES = tiny.ROOT / "workflow/rules"
PREFIXES = ("", "set -euo pipefail; ", "source /dev/null; export A=b; ", "set +eu; ")


def commands() -> dict[str, str]:
    """The shell command of every rule, by file and number."""
    found = {}
    for path in sorted(RULES.glob("*.smk")):
        for number, part in enumerate(re.split(r"^ *shell:\n", path.read_text(), flags=re.M)[1:]):
            lines = re.match(r'(?:\s*"[^"\n]*"\n)+', f"{part}\n")
            found[f"{path.stem}_{number}"] = "".join(re.findall(r'"([^"\n]*)"', lines[0]))
    return found


def stand_in(folder: Path, name: str, script: str) -> Path:
    """A program of this name that goes before others on PATH; returns its folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)
    return folder


def test_every_rule_has_a_command():
    directives = [re.findall(r"^ *shell:$", path.read_text(), re.M) for path in RULES.iterdir()]
    assert len(commands()) == sum(map(len, directives)) > 20
    assert all("{log}" in command for command in commands().values())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_program_that_fails_ends_its_rule_under_any_prefix(tmp_path, prefix):
    folder = stand_in(tmp_path / "bin", "python", "echo error: on purpose >&2; exit 3")
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    for name, command in commands().items():
        log = tmp_path / f"{name}.log"
        typed = re.sub(r"\{[^}]*\}", "x", command.replace("{log}", str(log)))
        done = subprocess.run(["bash", "-c", prefix + typed], env=environment, capture_output=True)
        assert done.returncode == 3, name
        assert log.read_text() == "error: on purpose\n", name


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
    folder = stand_in(tmp_path / "bin", "python", FATES)
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
    shown = re.search(r"dataset failed; \S+/labelled\.log ends so:\n((?:    .*\n)+)", printed)[1]
    assert shown.splitlines()[-2].strip() == "ModuleNotFoundError: No module named 'pandas'"
    assert "line 40" in shown and "line 20\n" not in shown
    assert "make env" in shown.splitlines()[-1]
    assert "latency" not in printed and "Traceback" not in printed
    # The program was killed before it wrote anything.
    assert "of another day" not in printed


def test_what_a_log_says_last(tmp_path):
    log = tmp_path / "x.log"
    assert reasons.tail(log, 0) == []
    log.write_bytes(b"10%\r20%\rlast \xff line\n\n" + b"x" * 1000)
    shown = reasons.tail(log, 0)
    assert shown[:3] == ["10%", "20%", "last \ufffd line"] and len(shown[3]) < 500
    assert reasons.tail(log, time.time() + 60) == [], "of an earlier run"
    log.write_text("cells: 1 computed\ntook 3.2 s\n")
    assert reasons.tail(log, 0) == [], "of a job of the group that ended well"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Command 'x' returned non-zero exit status 137.", "SIGKILL"),
        ("Command 'x' died with <Signals.SIGKILL: 9>.", "SIGKILL"),
        ("Command 'x' returned non-zero exit status 143.", "SIGTERM"),
        ("Command 'x' returned non-zero exit status 139.", "SIGSEGV"),
        ("Command 'x' returned non-zero exit status 127.", "PATH"),
        ("Command 'x' returned non-zero exit status 126.", "may not be executed"),
        ("Command 'x' returned non-zero exit status 1.", ""),
        ("Command 'x' returned non-zero exit status 255.", ""),
        ("something else", ""),
    ],
)
def test_how_a_program_ended(said, words):
    assert words in reasons.ended_by(said)
    assert bool(words) == bool(reasons.ended_by(said))


# What Slurm says, and the setting to change.
REFUSED = {
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination "
    "specified": "slurm_account",
    "sbatch: error: invalid partition specified: nope": "slurm_partition",
    "sbatch: error: Batch job submission failed: Invalid qos specification": "slurm-qos",
    "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or "
    "exceeds some limit)": "runtime",
    "sbatch: error: Memory specification can not be satisfied": "mem_mb",
    "sbatch: error: Batch job submission failed: Requested node configuration is not available": (
        "cores"
    ),
    "sbatch: error: CPU count per node can not be satisfied": "cores",
    "sbatch: error: Batch job submission failed: Invalid generic resource (gres) specification": (
        "GPU"
    ),
    "sbatch: error: Batch job submission failed: Invalid feature specification": "constraint",
    "Job submission failed with exception: [Errno 7] Argument list too long: '/bin/sh'": (
        "slurm-pass-command-as-script"
    ),
    "sbatch: error: Batch job submission failed: Pathname of a file, directory or other parameter "
    "too long": "slurm-pass-command-as-script",
    "sbatch: error: QOSMaxSubmitJobPerUserLimit": "jobs",
    "sbatch: error: AssocMaxSubmitJobLimit": "jobs",
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect "
    "failure)": "login node",
    "/bin/sh: 1: sbatch: not found": "login node",
    "SLURM-job '7' failed, SLURM status is: 'TIMEOUT'.": "runtime",
    "SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'.": "mem_mb",
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_slurm_says_comes_with_the_setting_to_change(said):
    shown = reasons.refusal(
        f"SLURM sbatch failed. The error message was '{said}'.\n    sbatch call:\nx"
    )
    assert said in shown and "sbatch call" not in shown
    assert REFUSED[said] in shown.split("remedy: ")[1] and len(shown.splitlines()) <= 5


def test_what_is_not_known_stands_alone():
    assert reasons.refusal("sbatch: error: the moon is full") == "sbatch: error: the moon is full"


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
    folder = stand_in(tmp_path / "bin", "sbatch", script)
    for name in ("squeue", "sacct", "scancel", "sinfo", "scontrol"):
        stand_in(folder, name, "exit 0")
    environment = space.environment()
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    monkeypatch.setattr(space, "environment", lambda: environment)
    profile = ("--workflow-profile", "profiles/slurm", "--slurm-no-account")
    tables = [f"results/datasets/{name}.parquet" for name in ("prompts", "texts")]
    printed = space.run(*profile, "--retries", "0", "--", *tables, fails=True)
    assert all(word in printed for word in words)
    assert "remedy: write slurm-qos into profiles/slurm/profile.yaml" in printed
    assert (space.folder / "profiles/slurm/profile.yaml").exists()
