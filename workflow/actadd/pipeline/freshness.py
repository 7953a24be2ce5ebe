"""Whether a job's outputs are up to date, decided by content and not by time.

The record beside the outputs holds the job that made them, its inputs, and the sum of every file.
Moving, copying or touching files changes none of that, and there is no other state.
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from actadd.base.errors import DamagedFile, UserError
from actadd.base.files import json_text, read_json, write_text
from actadd.pipeline import layout
from actadd.pipeline.differences import difference
from actadd.pipeline.job import Job, walk
from actadd.store import failed_cells, provenance, sums

# Modification time of the file of an up-to-date job, older than any output: 2000-01-01, and one
# second for each change of what these files hold, so that those of earlier versions are rewritten.
LONG_AGO = 946_684_801


@dataclass(frozen=True)
class State:
    """outdated: why a job must run, "" if it need not. spreads: whether all jobs below it must."""

    outdated: str
    spreads: bool = False


class Freshness:
    """The state of each job, computed once.

    several_targets: whether the run has more than one target. first: the first requested job.
    """

    def __init__(self, jobs: Callable[[], list[Job]], locate: Callable[[str], Path] = Path):
        """jobs: all that may run. locate: a layout path -> its path from the working directory."""
        self.jobs = jobs
        self.locate = locate
        self.several_targets = False
        self.first: list[Job] = []
        self.states: dict[Job, State] = {}
        self.records: dict[Job, dict[str, Any] | None] = {}
        self._above: dict[Job, bool] = {}

    def state(self, job: Job) -> State:
        if job not in self.states:
            # A failed cell may succeed now, so the outputs below it are made again.
            failed = self._failed(job)
            spreads = bool(failed) or any(self.state(above).spreads for above in job.above)
            outdated = self._outdated(job) or failed or ("cells failed above" if spreads else "")
            if job.stage == "complete" and any(self.state(above).outdated for above in job.above):
                outdated = outdated or "a job above is outdated"
            self.states[job] = State(outdated, spreads)
        return self.states[job]

    def inputs_are_ancient(self, job: Job) -> bool:
        """Whether a job's inputs may be `ancient`, so that it does not rerun because they changed.

        Not if a job above runs and one below is outdated: Snakemake 9.27 reaches an outdated job
        only through the jobs between it and one that runs, whatever the times of its own files are.
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
        """The jobs above outdated jobs that have outputs.

        Snakemake notices missing outputs itself, unless the job is the target, or one of several.
        """
        below = [job for job in self.jobs() if self.record(job) or self.several_targets]
        below = [job for job in [*below, *self.first] if job.stage != "complete"]
        return set(walk(job for job in below if self.state(job).outdated))

    def record(self, job: Job) -> dict[str, Any] | None:
        """The record of the job's outputs; None without a readable one."""
        if job not in self.records:
            record = None
            with suppress(OSError, DamagedFile):
                record = provenance.read(self.locate(job.record))
            self.records[job] = record
        return self.records[job]

    def _failed(self, job: Job) -> str:
        if not job.failures:
            return ""
        # A copy of the results may lack the note; the record holds the same.
        record = self.record(job)
        failed = failed_cells.read(self.locate(job.failures)) or (
            record["facts"].get("failed") if record else None
        )
        return f"{len(failed)} cells failed" if failed else ""

    def _outdated(self, job: Job) -> str:
        record = self.record(job)
        if record is None:
            return "not made yet"
        if record["job"] != job.digest:
            return difference(record, job)
        folder = self.locate(job.record).parent
        for name, expected in record["outputs"].items():
            file = folder / name
            if not file.is_file():
                return f"{name} is gone"
            if sums.sha256(file) != expected:
                return f"{name} was changed"
        for name in self._in_folders(job):
            # Programs leave hidden files and folders in folders that somebody opens.
            hidden = any(re.match(r"\.[^.]", part) for part in Path(name).parts)
            if name not in record["outputs"] and not hidden:
                return f"{name} was added"
        return self._other_inputs(job, record["inputs"])

    def _in_folders(self, job: Job) -> list[str]:
        """Names of all files in the folders that a job makes; jobs below read whole folders."""
        folders = [self.locate(path) for output in job.folders for path in job.outputs[output]]
        record = self.locate(job.record).parent
        return [name for path in folders for name in sums.files_of(path, record)]

    def _other_inputs(self, job: Job, read: dict[str, str]) -> str:
        """The job above whose outputs changed since they were read, such as new timings; or ""."""
        known = {_beside(job.record, name): value for name, value in read.items()}
        for above in job.counted:
            record = self.record(above)
            for name, value in (record["outputs"] if record else {}).items():
                if known.get(_beside(above.record, name), value) != value:
                    return f"above: {above.name}"
        return ""

    def write(self, job: Job, forced: bool = False) -> State:
        """Write a job's file, so that Snakemake runs exactly the outdated jobs.

        forced: whether the command line may make a job run that is up to date. The file of one that
        runs all the same, forced or after a job above, is written anew: not all that it says of
        inputs is part of the digest.
        Only its modification time matters: long ago for an up-to-date job, later than every output
        for an outdated one. Raises UserError if it cannot be written.
        """
        state, path = self.state(job), self.locate(job.file)
        self.first = self.first or [job]
        try:
            self._correct_future_times(job)
            if state.outdated:
                self._write_outdated(job, state, path)
            else:
                kept = path.exists() and path.stat().st_mtime == LONG_AGO
                if not kept or forced or self._runs_above(job):
                    write_text(path, json_text(job.request))
                    os.utime(path, (LONG_AGO, LONG_AGO))
        except OSError as error:
            raise UserError(
                f"{path}: {error.strerror}; make {path.parent} writable, or run in another folder"
            ) from error
        return state

    def _outputs(self, job: Job) -> list[Path]:
        return [self.locate(file) for files in job.outputs.values() for file in files]

    def _correct_future_times(self, job: Job) -> None:
        """Set outputs with a time in the future, from another clock, to just before now.

        Otherwise Snakemake rejects the outputs of the jobs below as older than their inputs.
        """
        now = time.time()
        # For a folder, Snakemake reads the time of a file in it.
        folders = [job.outputs[output] for output in layout.STAGES[job.stage].folders]
        stamps = [self.locate(path) / ".snakemake_timestamp" for paths in folders for path in paths]
        for file in (*self._outputs(job), *stamps):
            with suppress(FileNotFoundError, NotADirectoryError):
                if file.lstat().st_mtime > now:
                    os.utime(file, (now - 1, now - 1), follow_symlinks=False)

    def _write_outdated(self, job: Job, state: State, path: Path) -> None:
        times = [file.stat().st_mtime for file in self._outputs(job) if file.exists()]
        newest = max(times, default=0.0)
        request = {**job.request, "because": state.outdated}
        # Snakemake ignores a new time of a small file with the same bytes as in the last run, and a
        # job may run twice for the same reason: `since` makes the bytes differ.
        with suppress(OSError, DamagedFile):
            old = _read(path)
            since = old.pop("since", None)
            written = path.stat().st_mtime
            if old == request and since is not None and newest < written <= time.time():
                return
        write_text(path, json_text({**request, "since": time.time_ns()}))
        if newest >= path.stat().st_mtime:
            os.utime(path, (newest + 1, newest + 1))


def _beside(record: str, name: str) -> str:
    """The path of a file that a record names relative to its own folder."""
    return os.path.normpath(f"{record}/../{name}")


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}
