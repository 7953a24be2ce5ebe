"""The workflow on a real Slurm cluster, with what goes wrong on one: make test-slurm."""

import os
import re
import signal
import subprocess
import time

import pytest

from builders import cluster, tiny

pytestmark = pytest.mark.slurm

# The profile as it is, but for what a cluster without accounting needs, and more impatient.
ON_SLURM = (
    *("--workflow-profile", "profiles/slurm"),
    *("--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
)
EXPERIMENTS = tiny.CONFIG["experiments"]
SETTINGS = tiny.config(
    scorers={"distinct": {"kind": "distinct"}},
    experiments={"sweep": {**EXPERIMENTS["sweep"], "shards": 2}, "ratio": EXPERIMENTS["ratio"]},
)
PATIENCE = 900


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    reason = cluster.missing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with cluster.running(tmp_path_factory.mktemp("slurm") / "cluster"):
        yield


def started(space, *arguments: str) -> subprocess.Popen:
    """Snakemake in the background; what it prints goes to a file in the workspace."""
    with (space.folder / "printed").open("a") as printed:
        return subprocess.Popen(
            space.command(*ON_SLURM, *arguments),
            cwd=space.folder,
            env=space.environment(),
            stdout=printed,
            stderr=subprocess.STDOUT,
        )


def jobs(rule: str = "") -> dict[str, str]:
    """Id -> state of the jobs that Slurm has had of a rule or a group with its rules, in order.

    By default of all.
    """
    columns = ("squeue", "--states=all", "--noheader", "--sort=i", "--format=%i %T %k")
    result = (line.split() for line in cluster.output(*columns).splitlines())
    begins = f"rule_{rule}_wildcards_" if rule else ""
    return {job: state for job, state, about in result if f"{about}_wildcards_".startswith(begins)}


def once_running(process: subprocess.Popen, rule: str) -> str:
    """Waits until a job of a rule runs; returns its id."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for job, state in jobs(rule).items():
            if state == "RUNNING":
                return job
        assert process.poll() is None and time.monotonic() < deadline, jobs()
        time.sleep(0.2)


def test_killed_cancelled_and_out_of_memory_it_gives_the_bytes_of_a_local_run(
    slurm, tmp_path, tiny_model
):
    space = tiny.Workspace.create(tmp_path / "cluster", tiny_model, SETTINGS)

    # Snakemake dies, as when a login node goes down; what it has submitted goes on to its end.
    process = started(space)
    once_running(process, "activations_tiny")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    local = tiny.Workspace.create(tmp_path / "local", tiny_model, SETTINGS)
    local.run()
    cluster.wait("the jobs left behind", lambda: not cluster.queue(), PATIENCE)

    # It goes on where it was; one job is cancelled, another has a fifth of the memory it takes.
    space.run("--unlock")
    process = started(space, "--set-resources", "cells:mem_mb=200*attempt**2")
    cancelled = once_running(process, "cells_shard")
    cluster.output("scancel", cancelled)
    try:
        code = process.wait(timeout=PATIENCE)
    finally:
        process.kill()
    assert code == 0, (space.folder / "printed").read_text()[-6000:]

    assert jobs("cells_shard")[cancelled] == "CANCELLED"
    assert list(jobs("cells_shard").values()).count("COMPLETED") == 2
    assert list(jobs("cells").values())[-2:] == ["FAILED", "COMPLETED"]
    logs = space.folder / "results/logs/slurm"
    assert "exceeded memory limit" in "".join(
        path.read_text() for path in logs.glob("rule_cells/**/*.log")
    )
    # The data sets are one job together, and every job has left a log.
    assert len(jobs("datasets_dataset")) == 1
    assert {path.stem for path in logs.rglob("*.log")} >= jobs().keys()

    ours, theirs = space.outputs(), local.outputs()
    assert ours.keys() == theirs.keys()
    assert [name for name in theirs if ours[name] != theirs[name]] == []
    assert space.planned() == {}


@pytest.mark.parametrize(
    ("wrong", "text", "setting"),
    [
        ("slurm_partition=nope", "invalid partition", "slurm_partition"),
        ("constraint=nope", "Invalid feature", "constraint"),
        ("mem_mb=99999999", "Memory specification can not be satisfied", "mem_mb"),
    ],
)
def test_what_it_refuses_of_a_group_is_reported_with_the_setting_to_change(
    slurm, tmp_path, tiny_model, wrong, text, setting
):
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, SETTINGS)
    tables = [f"results/datasets/{name}.parquet" for name in ("prompts", "texts")]
    resources = ("--set-resources", f"dataset:{wrong}", "--retries", "0")
    printed = space.run(*ON_SLURM, *resources, "--", *tables, fails=True)
    assert re.search(text, printed, re.IGNORECASE)
    assert setting in re.search(r"^remedy: (.*)$", printed, re.MULTILINE)[1]
    if setting == "slurm_partition":
        # As it is, they run: one job of both, whose command goes to sbatch as a script.
        space.run(*ON_SLURM, "--", *tables)
