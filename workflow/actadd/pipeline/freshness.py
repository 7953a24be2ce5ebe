"""Whether a job's outputs are what it would make now: decided by content, not by time.

The record beside the outputs says which job made them, from what, and the sum of every file. To
move, copy or touch files changes none of that, and nothing else is remembered.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from actadd.base.errors import DamagedFile, UserError
from actadd.base.files import json_text, read_json, write_text
from actadd.pipeline.job import Job, walk
from actadd.store import failed_cells, provenance, sums

# The time of the file of a job that is up to date: older than any output. 2000-01-01.
LONG_AGO = 946_684_800


@dataclass(frozen=True)
class State:
    """outdated: why a job has to run, "" if it has not. spreads: whether all below it have too."""

    outdated: str
    spreads: bool = False


class Freshness:
    """The state of jobs, each found out once.

    several: whether more than one target is asked for. asked: the first job that was asked for.
    """

    def __init__(self, jobs: Callable[[], list[Job]], at: Callable[[str], Path] = Path):
        """jobs: all that may run. at: where a path lies, as seen from the working directory."""
        self.jobs = jobs
        self.at = at
        self.several = False
        self.asked: list[Job] = []
        self.states: dict[Job, State] = {}
        self.records: dict[Job, dict[str, Any] | None] = {}
        self._above: dict[Job, bool] = {}

    def state(self, job: Job) -> State:
        if job not in self.states:
            # A cell that failed may not fail again, so what was made without it is tried again.
            failed = self._failed(job)
            spreads = bool(failed) or any(self.state(above).spreads for above in job.above)
            outdated = self._outdated(job) or failed or ("cells failed above" if spreads else "")
            if job.stage == "complete" and any(self.state(above).outdated for above in job.above):
                outdated = outdated or "something is to be made"
            self.states[job] = State(outdated, spreads)
        return self.states[job]

    def may_wait(self, job: Job) -> bool:
        """Whether a job above that runs does not mean that this one has to run.

        Not if one further below is outdated: Snakemake 9.27 finds a job below one that runs by way
        of those between them alone, whatever the times of its own files are.
        """
        if self.state(job).outdated:
            return False
        return not (self._runs_above(job) and job in self._above_outdated)

    def _runs_above(self, job: Job) -> bool:
        if job not in self._above:
            self._above[job] = any(
                self.state(above).outdated or self._runs_above(above) for above in job.above
            )
        return self._above[job]

    @cached_property
    def _above_outdated(self) -> set[Job]:
        """The jobs above those that are outdated, though something was made.

        What was never made is found as missing, unless it is the target itself, or one of several.
        """
        below = [job for job in self.jobs() if self.record(job) or self.several]
        below = [job for job in [*below, *self.asked] if job.stage != "complete"]
        return set(walk(job for job in below if self.state(job).outdated))

    def record(self, job: Job) -> dict[str, Any] | None:
        """The record of what was made; None if there is none that can be read."""
        if job not in self.records:
            record = None
            with suppress(OSError, DamagedFile):
                record = provenance.read(self.at(job.record))
            self.records[job] = record
        return self.records[job]

    def _failed(self, job: Job) -> str:
        if not job.failures:
            return ""
        # The note may be gone, as from a copy of the tables; the record says the same.
        record = self.record(job)
        failed = failed_cells.noted(self.at(job.failures)) or (
            record["facts"].get("failed") if record else None
        )
        return f"{len(failed)} cells failed" if failed else ""

    def _outdated(self, job: Job) -> str:
        record = self.record(job)
        if record is None:
            return "not made yet"
        if record["job"] != job.digest:
            return difference(record, job)
        folder = self.at(job.record).parent
        for name, expected in record["outputs"].items():
            file = folder / name
            if not file.is_file():
                return f"{name} is gone"
            if sums.sha256(file) != expected:
                return f"{name} was changed"
        return self._other_inputs(job, record["inputs"])

    def _other_inputs(self, job: Job, read: dict[str, str]) -> str:
        """Whether a job above has made other files since, such as another measurement of time."""
        folder = Path(job.record).parent
        known = {os.path.normpath(f"{folder}/{name}"): value for name, value in read.items()}
        for above in job.counted:
            record = self.record(above)
            start = Path(above.record).parent
            for name, value in (record["outputs"] if record else {}).items():
                if known.get(os.path.normpath(f"{start}/{name}"), value) != value:
                    return f"above: {above.name}"
        return ""

    def write(self, job: Job) -> State:
        """Writes a job's file, so that Snakemake runs exactly the jobs that are outdated.

        Its time alone decides: long ago for a job that is up to date, after every output for one
        that is not. Raises UserError if it cannot be written.
        """
        state, path = self.state(job), self.at(job.file)
        self.asked = self.asked or [job]
        try:
            self._bring_back(job)
            if state.outdated:
                self._write_outdated(job, state, path)
            else:
                if not path.exists():
                    write_text(path, json_text(job.asked()))
                if path.stat().st_mtime != LONG_AGO:
                    os.utime(path, (LONG_AGO, LONG_AGO))
        except OSError as error:
            raise UserError(
                f"{path}: {error.strerror}; make {path.parent} writable, or run in another folder"
            ) from error
        return state

    def _made(self, job: Job) -> list[Path]:
        return [self.at(file) for files in job.outputs.values() for file in files]

    def _bring_back(self, job: Job) -> None:
        """Dates outputs from the future, by another clock, just before now.

        Snakemake refuses what a job makes of them as older than they are.
        """
        now = time.time()
        for path in self._made(job):
            # Of a folder Snakemake reads the time of a file in it.
            for file in (path, path / ".snakemake_timestamp"):
                if file.exists() and file.lstat().st_mtime > now:
                    os.utime(file, (now - 1, now - 1), follow_symlinks=False)

    def _write_outdated(self, job: Job, state: State, path: Path) -> None:
        times = [file.stat().st_mtime for file in self._made(job) if file.exists()]
        newest = max(times, default=0.0)
        asked = {**job.asked(), "because": state.outdated}
        # Snakemake passes over the new time of a small file whose bytes are those of the last run,
        # and a job may run twice for one reason: the time makes them others.
        with suppress(OSError, DamagedFile):
            old = _read(path)
            since = old.pop("since", None)
            written = path.stat().st_mtime
            if old == asked and since is not None and newest < written <= time.time():
                return
        write_text(path, json_text({**asked, "since": time.time_ns()}))
        if newest >= path.stat().st_mtime:
            os.utime(path, (newest + 1, newest + 1))


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def difference(record: dict[str, Any], job: Job) -> str:
    """What a job would do otherwise than the one that made what is there, in a few words."""
    old, new = record["spec"], job.spec
    above = {name.split("/")[0] for name in _differing(old.get("upstream", {}), new["upstream"])}
    parts = [
        *_paths(_own(old), _own(new), 2),
        *(["code"] if record["code"] != job.code else []),
        *_packages(record.get("packages", {}), job.packages),
        *(f"above: {stage}" for stage in sorted(above)),
    ]
    # Such as true in place of 1. No reason would mean that nothing is outdated.
    return ", ".join(dict.fromkeys(parts)) or "config"


def _own(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec without the digests of the jobs above."""
    return {key: value for key, value in spec.items() if key != "upstream"}


def _packages(old: dict[str, str], new: dict[str, str]) -> list[str]:
    return [
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in _differing(old, new)
    ]


def _differing(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def _paths(old: dict[str, Any], new: dict[str, Any], depth: int) -> list[str]:
    """Keys that differ; inside one that is a dictionary in both, those in it."""
    paths = []
    for key in _differing(old, new):
        a, b = old.get(key), new.get(key)
        if depth > 1 and isinstance(a, dict) and isinstance(b, dict):
            paths += [f"{key}.{inner}" for inner in _paths(a, b, depth - 1)]
        else:
            paths.append(key)
    return paths
