"""Whether a job is outdated, by its record alone."""

import json
import os
import time
from pathlib import Path

import pytest

from actadd.base.errors import UserError
from actadd.base.files import read_json, write_json
from actadd.pipeline import layout
from actadd.pipeline.freshness import LONG_AGO, Freshness
from actadd.pipeline.job import Job
from actadd.pipeline.program import _by_name
from actadd.store import failed_cells, provenance

SHARD = {"model": "m", "experiment": "e", "shard": "0", "shards": "2"}


def job(**settings) -> Job:
    """A job that fills cells; no code of ours decides what it makes."""
    return Job("cells_shard", SHARD, "cells_shard", {"name": "e", **settings})


def state(asked: Job) -> str:
    return Freshness(lambda: [asked]).state(asked).outdated


def make(job: Job, **facts) -> Path:
    """Makes the job's record; returns its path."""
    record = Path(job.record)
    provenance.write(
        record,
        **{"stage": job.stage, "spec": job.spec, "code": job.code, "packages": job.packages},
        **{"job": job.digest, "facts": facts, "outputs": [], "inputs": {}},
    )
    return record


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ({"threads": 1}, {"threads": 2}, "threads 1 -> 2"),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {}}}, 'a.b.c "x" -> none'),
        ({"at": [1, 2]}, {"at": [1, 2, 3]}, "at [1,2] -> [1,2,3]"),
        ({"at": [1, {"k": 2}]}, {"at": [1, {"k": 3}]}, "at.1.k 2 -> 3"),
        (
            {"at": [*"abcdefghijklm"]},
            {"at": [*"bcdefghijklmno"]},
            'at without ["a"], with ["n","o"]',
        ),
        ({"sha256": "a" * 64}, {"sha256": "b" * 64}, "sha256 aaaaaaaa -> bbbbbbbb"),
        # A condition may have any name.
        (
            {"conditions": {"upstream": 1}},
            {"conditions": {"upstream": 2}},
            "conditions.upstream 1 -> 2",
        ),
        ({"chat_variables": {"thinking": 1}}, {"chat_variables": {"thinking": True}}, "config"),
    ],
)
def test_every_difference_makes_a_job_outdated(tmp_path, monkeypatch, old, new, reason):
    monkeypatch.chdir(tmp_path)
    make(job(**old))
    assert state(job(**old)) == ""
    assert state(job(**new)) == reason


def test_failed_cells_are_tried_again_without_their_note(tmp_path, monkeypatch):
    """The tables were copied without results/failures."""
    monkeypatch.chdir(tmp_path)
    note = layout.failures("cells_shard", **SHARD)
    failed_cells.write(note, {"steered": "why"})
    make(job(), failed={"steered": "why"})
    assert state(job()) == "1 cells failed"
    Path(note).unlink()
    assert state(job()) == "1 cells failed"
    make(job(), failed={})
    assert state(job()) == ""


def test_a_record_of_an_earlier_version_counts(tmp_path, monkeypatch):
    """Else nothing but an update would download every source again."""
    monkeypatch.chdir(tmp_path)
    record = make(job())
    content = json.loads(record.read_text())
    del content["packages"]
    record.write_text(provenance.record_text(content))
    assert state(job()) == ""
    assert state(job(threads=2)) == "threads none -> 2"
    del content["spec"]
    record.write_text(provenance.record_text(content))
    assert state(job()) == "not made yet"


def test_outputs_from_the_future_and_the_files_of_their_jobs_are_brought_back(
    tmp_path, monkeypatch
):
    """As after the clock was set back; Snakemake refuses to make anything of them."""
    monkeypatch.chdir(tmp_path)
    asked = job()
    record, file = make(asked), Path(asked.file)
    future = time.time() + 1000
    os.utime(record, (future, future))
    Freshness(lambda: [asked]).write(asked)
    assert record.stat().st_mtime < time.time()
    other = job(threads=2)
    Freshness(lambda: [other]).write(other)
    assert record.stat().st_mtime < file.stat().st_mtime <= time.time()
    # As an earlier version left it.
    os.utime(file, (future, future))
    Freshness(lambda: [other]).write(other)
    assert record.stat().st_mtime < file.stat().st_mtime <= time.time()


def test_inputs_are_named_by_their_paths_in_any_order_and_folder():
    makers = {f"results/scores/{name}.parquet": {"scorer": name} for name in ("a", "b")}
    paths = [Path("/x/sub/results/scores/b.parquet"), Path("results/scores/a.parquet")]
    assert _by_name(paths, makers, "{scorer}") == {"b": paths[0], "a": paths[1]}
    with pytest.raises(UserError, match=r"^results/other\.parquet: .* does not name"):
        _by_name([Path("results/other.parquet")], makers, "{scorer}")


def test_the_file_of_a_job_that_is_forced_is_written_anew(tmp_path, monkeypatch):
    """What it says of inputs may be of an earlier config, with the same digest."""
    monkeypatch.chdir(tmp_path)
    asked = job()
    make(asked)
    Freshness(lambda: [asked]).write(asked)
    stale = {**read_json(Path(asked.file)), "inputs": {"shards": {"of/before": None}}}
    write_json(Path(asked.file), stale)
    os.utime(asked.file, (LONG_AGO, LONG_AGO))
    Freshness(lambda: [asked]).write(asked)
    assert read_json(Path(asked.file)) == stale
    Freshness(lambda: [asked]).write(asked, forced=True)
    assert read_json(Path(asked.file))["inputs"] == {}
    assert Path(asked.file).stat().st_mtime == LONG_AGO
