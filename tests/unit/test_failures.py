"""A job that fails says why, at once: in every rule, on the screen, whoever runs it."""

import os
import re
import subprocess
import time

import pytest

from actadd.pipeline import reasons
from builders import tiny
from builders.tiny import fake_program

RULES = tiny.ROOT / "workflow/rules"
PREFIXES = ("", "set -euo pipefail; ", "source /dev/null; export A=b; ", "set +eu; ")


def commands() -> dict[str, str]:
    """The shell command of every rule, by file and number."""
    result = {}
    for path in sorted(RULES.glob("*.smk")):
        for number, part in enumerate(re.split(r"^ *shell:\n", path.read_text(), flags=re.M)[1:]):
            lines = re.match(r'(?:\s*"[^"\n]*"\n)+', f"{part}\n")
            result[f"{path.stem}_{number}"] = "".join(re.findall(r'"([^"\n]*)"', lines[0]))
    return result


def test_every_rule_has_a_command():
    directives = [re.findall(r"^ *shell:$", path.read_text(), re.M) for path in RULES.iterdir()]
    assert len(commands()) == sum(map(len, directives)) > 20
    assert all("{log}" in command for command in commands().values())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_program_that_fails_ends_its_rule_under_any_prefix(tmp_path, prefix):
    folder = fake_program(tmp_path / "bin", "python", "echo error: on purpose >&2; exit 3")
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    for name, command in commands().items():
        log = tmp_path / f"{name}.log"
        typed = re.sub(r"\{[^}]*\}", "x", command.replace("{log}", str(log)))
        done = subprocess.run(["bash", "-c", prefix + typed], env=environment, capture_output=True)
        assert done.returncode == 3, name
        assert log.read_text() == "error: on purpose\n", name


def test_what_a_log_says_last(tmp_path):
    log = tmp_path / "x.log"
    assert reasons.tail(log, 0) == []
    log.write_bytes(b"10%\r20%\rlast \xff line\n\n" + b"x" * 1000)
    lines = reasons.tail(log, 0)
    assert lines[:3] == ["10%", "20%", "last \ufffd line"] and len(lines[3]) < 500
    assert reasons.tail(log, time.time() + 60) == [], "of an earlier run"
    log.write_text("cells: 1 computed\ntook 3.2 s\n")
    assert reasons.tail(log, 0) == [], "of a job of the group that ended well"


@pytest.mark.parametrize(
    ("text", "words"),
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
def test_how_a_program_ended(text, words):
    assert words in reasons.ended_by(text)
    assert bool(words) == bool(reasons.ended_by(text))


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


@pytest.mark.parametrize("text", REFUSED)
def test_what_slurm_says_comes_with_the_setting_to_change(text):
    message = reasons.refusal(
        f"SLURM sbatch failed. The error message was '{text}'.\n    sbatch call:\nx"
    )
    assert text in message and "sbatch call" not in message
    assert REFUSED[text] in message.split("remedy: ")[1] and len(message.splitlines()) <= 5


def test_unknown_messages_have_no_remedy():
    assert reasons.refusal("sbatch: error: the moon is full") == "sbatch: error: the moon is full"
