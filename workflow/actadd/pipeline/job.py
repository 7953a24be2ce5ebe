"""One job: its inputs, outputs and settings, and the jobs above it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from actadd.base.files import canonical, digest
from actadd.pipeline import layout
from actadd.store.digests import code_digest, package_versions


def job_digest(spec: dict[str, Any], code: str, packages: Mapping[str, str]) -> str:
    """Identity of a job: its spec and the code that runs it; 16 hex characters."""
    return digest({"spec": spec, "code": code, "packages": dict(packages)}, 16)


def compute_of(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the model of a job, or of its scorer, is loaded; empty without a model."""
    return spec.get("compute") or spec.get("scorer", {}).get("compute") or {}


@dataclass(frozen=True)
class File:
    """A file or folder that a job reads.

    job: the job that makes it; None for the user's own file, whose sha256 is in the reader's slice.
    counts: whether its content can change the reader's outputs; a file that only has to exist
    causes no rerun.
    """

    path: str
    job: "Job | None" = None
    counts: bool = True


Inputs = Mapping[str, tuple[File, ...]]


@dataclass(frozen=True, eq=False)
class Job:
    """One job of the graph; equal jobs are the same object.

    stage: its kind in `layout.STAGES`. names: the wildcards of its paths. rule: the rule that runs
    it. settings: the part of the config that it depends on. modules: those that compute it; none if
    our code does not change its outputs. inputs: argument of its program -> files. sums: digests of
    the user's files that it reads; called only when the digest is needed, since files may be large.
    layers: number of layers of its model, if it writes a file for each.
    """

    stage: str
    names: Mapping[str, str]
    rule: str
    settings: dict[str, Any]
    modules: tuple[str, ...] = ()
    inputs: Inputs = field(default_factory=dict)
    sums: Callable[[], Any] | None = None
    layers: int = 0

    @property
    def name(self) -> str:
        return layout.name(self.stage, **self.names)

    @cached_property
    def slice(self) -> dict[str, Any]:
        """The part of the config and the sums of the user's files that decide its outputs."""
        return {**self.settings, "sha256": self.sums()} if self.sums else self.settings

    @cached_property
    def code(self) -> str:
        return code_digest(*self.modules) if self.modules else "pinned"

    @cached_property
    def packages(self) -> dict[str, str]:
        """Versions of the packages that can change its numbers."""
        if not self.modules:
            return {}
        return package_versions(*self.modules, compute=compute_of(self.settings))

    @cached_property
    def outputs(self) -> dict[str, list[str]]:
        return layout.outputs(self.stage, self.layers, **self.names)

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of its outputs that are folders."""
        return layout.STAGES[self.stage].folders

    @property
    def record(self) -> str:
        """The path of its record of provenance."""
        return self.outputs[layout.RECORD][0]

    @property
    def file(self) -> str:
        """The path of the file that tells the job's program what to do."""
        return layout.job(self.stage, **self.names)

    @property
    def failures(self) -> str | None:
        """The path of the note of its failed cells; None if it computes no cells."""
        if not layout.STAGES[self.stage].fills:
            return None
        return layout.failures(self.stage, **self.names)

    def files(self, output: str) -> tuple[File, ...]:
        """One of its outputs, as another job's input."""
        return tuple(File(path, self) for path in self.outputs[output])

    @cached_property
    def above(self) -> list["Job"]:
        """The jobs that make its inputs, each once."""
        jobs = (file.job for files in self.inputs.values() for file in files)
        return list(dict.fromkeys(job for job in jobs if job is not None))

    @cached_property
    def counted(self) -> list["Job"]:
        """The jobs above whose digests are part of its own."""
        files = (file for files in self.inputs.values() for file in files)
        return list(dict.fromkeys(file.job for file in files if file.job and file.counts))

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What the job computes: its slice, and the digests of the jobs above."""
        upstream = {job.name: job.digest for job in self.counted}
        spec: dict[str, Any] = canonical({**self.slice, "upstream": upstream})
        return spec

    @cached_property
    def digest(self) -> str:
        return job_digest(self.spec, self.code, self.packages)

    @property
    def request(self) -> dict[str, Any]:
        """The content of its file.

        inputs: argument of its program -> path -> the names of the job that makes the file, null
        for a file of the user's.
        """
        inputs = {
            argument: {file.path: file.job and dict(file.job.names) for file in files}
            for argument, files in self.inputs.items()
        }
        return {
            "job": self.digest,
            "spec": self.spec,
            "code": self.code,
            "packages": self.packages,
            "inputs": inputs,
        }


def walk(jobs: Iterable[Job]) -> Iterator[Job]:
    """Every job that some jobs need, including themselves, each once and after those above it."""
    done: set[Job] = set()
    pending: list[tuple[Job, bool]] = [(job, False) for job in reversed(list(jobs))]
    while pending:
        job, finished = pending.pop()
        if finished:
            yield job
        elif job not in done:
            done.add(job)
            pending.append((job, True))
            pending += [(above, False) for above in reversed(job.above) if above not in done]
