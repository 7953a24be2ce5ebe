"""Profiles: Snakemake accepts their keys; the one for any batch system runs jobs and retries."""

import os
import re
import stat
from pathlib import Path

import pytest

from builders import tiny

pytestmark = pytest.mark.workflow

# In place of PBS: jobs run in the background on this machine. The first one is killed at once, as
# if its memory were too little.
STAND_INS = {
    "qsub": """\
echo "$@" >> submitted
number=$(grep -c . submitted)
for script; do :; done
if [ "$number" = 1 ]; then
    echo 137 > "job.$number"
else
    (sh "$script"; echo $? > "job.$number") > "log.$number" 2>&1 < /dev/null &
fi
echo "$number"
""",
    "qstat": """\
if [ -e "job.$3" ]; then
    printf '    job_state = F\\n    Exit_status = %s\\n' "$(cat "job.$3")"
else
    printf '    job_state = R\\n'
fi
""",
}


def stand_ins(folder: Path) -> Path:
    folder.mkdir()
    for name, script in STAND_INS.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def test_every_job_says_what_it_needs():
    for path in (tiny.ROOT / "workflow/rules").glob("*.smk"):
        _, *rules = re.split(r"^ *rule\b[^\n]*:$", path.read_text(), flags=re.MULTILINE)
        for rule in rules:
            if "shell:" in rule:
                assert "mem_mb=memory(" in rule and "runtime=minutes(" in rule, (path, rule)


@pytest.mark.parametrize("profile", ["slurm", "generic", "kubernetes"])
def test_a_dry_run_accepts_the_profile(finished, profile):
    arguments = ["--workflow-profile", f"profiles/{profile}", "--forcerun", "summary"]
    if profile == "kubernetes":
        arguments += ["--default-storage-prefix", str(finished.folder)]
    planned = finished.planned(*arguments)
    assert planned["summary"] == 3


def test_any_batch_system_runs_the_jobs_and_a_killed_one_gets_twice_the_memory(
    finished, tmp_path, tiny_model, monkeypatch
):
    space = tiny.Workspace.create(tmp_path / "space", tiny_model)
    folder = stand_ins(tmp_path / "bin")
    path = f"{folder}{os.pathsep}{space.environment()['PATH']}"
    environment = {**space.environment(), "PATH": path}
    monkeypatch.setattr(space, "environment", lambda: environment)
    tables = [f"results/datasets/{name}.parquet" for name in ("prompts", "texts")]
    profile = ("--workflow-profile", "profiles/generic")
    space.run(*profile, "--latency-wait", "5", "--", *tables)
    for table in tables:
        assert (space.folder / table).read_bytes() == (finished.folder / table).read_bytes()
    first, second = (space.folder / "submitted").read_text().splitlines()
    # Two datasets are one job on two cores.
    assert "select=1:ncpus=2:mem=4000mb:ngpus=0 -l walltime=900 " in first
    assert "select=1:ncpus=2:mem=8000mb:ngpus=0 -l walltime=1800 " in second
