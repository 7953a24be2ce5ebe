"""How far a run is: its jobs with their expected seconds, and the time that is left.

Expected times are those of finished jobs with equal settings, or rough rates, as in `actadd plan`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from actadd.base.progress import readable
from actadd.pipeline.costs import Costs
from actadd.pipeline.job import Job

# Seconds of a job without cells, and to start one with cells: Python and torch are imported.
START = 5.0
# Seconds for which the expected pace counts as if it had been measured.
PRIOR = 30.0
# A job that takes longer than expected counts as this share of it until it is finished.
ALMOST = 0.95


def expected_seconds(costs: Costs, job: Job | None) -> float:
    """The seconds that a job is expected to take; `START` for a job that has no cells."""
    names = job.names if job else {}
    if job is None or "experiment" not in names or job.inputs.get("shards"):
        return START
    if job.stage not in ("cells", "cells_shard", "scores", "scores_shard"):
        return START
    work = costs.work(names["model"], names["experiment"], int(names.get("shards", 1)))
    time = costs.measured(job, work) or costs.rough(job, work)
    return START + time.seconds


@dataclass
class RunProgress:
    """The jobs of a run that are waiting, running and finished.

    expected: job -> seconds. cores: jobs that run at once, at most.
    """

    expected: Mapping[int, float]
    cores: int
    clock: Callable[[], float] = monotonic
    running: dict[int, float] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.began = self.clock()
        self.total = sum(self.expected.values())

    def start(self, job: int) -> None:
        self.running[job] = self.clock()

    def finish(self, job: int) -> float:
        """Count a job as finished; returns the seconds that it took."""
        self.finished.add(job)
        return self.clock() - self.running.pop(job, self.clock())

    def fail(self, job: int) -> None:
        """A job failed; it may be started again."""
        self.running.pop(job, None)

    @property
    def done(self) -> float:
        """Expected seconds of what is finished, and of the running jobs so far."""
        now = self.clock()
        part = sum(
            min(now - began, ALMOST * self.expected.get(job, START))
            for job, began in self.running.items()
        )
        return part + sum(self.expected.get(job, START) for job in self.finished)

    @property
    def seconds_left(self) -> float:
        """Seconds until the end, by the pace so far; at the beginning by the expected one."""
        done = self.done
        at_once = max(1, min(self.cores, len(self.expected)))
        pace = (done + PRIOR * at_once) / (self.clock() - self.began + PRIOR)
        return max(0.0, self.total - done) / pace

    def counts(self) -> str:
        """Finished of all jobs, and the time that is left."""
        counts = f"{len(self.finished)} of {len(self.expected)} jobs"
        if len(self.finished) >= len(self.expected):
            return counts
        return f"{counts}, about {readable(self.seconds_left)} left"
