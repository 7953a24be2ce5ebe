"""What a run on this machine prints: a line for each job, and on a terminal a bar below the lines.

Snakemake's own messages about the course of a run are in its log file. Errors, warnings and
messages of the workflow are printed as Snakemake prints them. With --verbose, --printshellcmds,
--quiet, in a dry run, on a cluster and as a module, Snakemake prints what it always does.
"""

import atexit
import logging
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_internals as internals
from actadd.base.progress import readable
from actadd.pipeline.run_progress import RunProgress

# Messages about the course of a run that are no events of Snakemake's logger.
COURSE = (
    "Building DAG",
    "Conda environments: ignored",
    "Execute ",
    "Group jobs: inactive",
    "Select jobs to execute",
    "Using shell",
)
EVENTS = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RUN_INFO,
    LogEvent.RESOURCES_INFO,
    LogEvent.JOB_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
    LogEvent.PROGRESS,
    LogEvent.SHELLCMD,
}


def install(workflow) -> "RunConsole | None":
    """Replace Snakemake's handler; None if the command line asks for another output."""
    if not internals.prints_as_by_default(workflow):
        return None
    for handler in logger.handlers:
        if handler.name == internals.STREAM_HANDLER:
            console = RunConsole(handler)
            logger.removeHandler(handler)
            logger.addHandler(console)
            return console
    return None


class RunBar(Progress):
    """A bar that counts anew whenever it is drawn."""

    def __init__(self, progress: RunProgress, stream):
        self.run = progress
        columns = (BarColumn(20), TaskProgressColumn(), TextColumn("{task.description}"))
        super().__init__(
            *columns, console=Console(file=stream), transient=True, refresh_per_second=2
        )
        self.add_task("", total=progress.total)

    def get_renderables(self):
        for task in self.tasks:
            task.completed, task.description = self.run.done, self.run.counts()
        yield from super().get_renderables()


class RunConsole(logging.Handler):
    """Prints a run in short lines.

    default: Snakemake's handler, which formats everything that is printed in full.
    """

    def __init__(self, default: logging.StreamHandler):
        super().__init__()
        self.default = default
        self.early: list[logging.LogRecord] = []
        self.jobs: dict[int, logging.LogRecord] = {}
        self.progress: RunProgress | None = None
        self.bar: RunBar | None = None

    def begin(self, expected: Mapping[int, float], cores: int, logs: list[str]) -> None:
        """Announce the run. expected: job -> seconds. logs: the files with all messages."""
        self.early.clear()
        self.progress = RunProgress(expected, cores)
        left = readable(self.progress.seconds_left)
        where = f"; everything else is in {', '.join(map(_short, logs))}" if logs else ""
        jobs = "1 job" if len(expected) == 1 else f"{len(expected)} jobs"
        self.line(f"{jobs}, about {left}{where}")
        if self.default.stream.isatty():
            self.bar = RunBar(self.progress, self.default.stream)
            self.bar.start()
            atexit.register(self.bar.stop)

    def give_back(self) -> None:
        """Let Snakemake print this run as it always does, and what it has not printed so far."""
        logger.removeHandler(self)
        logger.addHandler(self.default)
        for record in self.early:
            if self.default.filter(record):
                self.default.emit(record)
        self.early.clear()

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event not in EVENTS and not _of_the_course(record):
            self._in_full(record)
        elif self.progress is None:
            self.early.append(record)
            if event == LogEvent.JOB_STARTED:
                # The run began without handlers of the workflow (--no-hooks).
                self.give_back()
            return
        if self.progress is not None:
            self._count(self.progress, event, record)

    def _count(self, progress: RunProgress, event, record: logging.LogRecord) -> None:
        if event == LogEvent.JOB_INFO:
            self.jobs[record.jobid] = record
        elif event == LogEvent.JOB_STARTED:
            for job in record.jobs:
                progress.start(job)
        elif event == LogEvent.JOB_ERROR:
            progress.fail(record.jobid)
        elif event == LogEvent.JOB_FINISHED:
            seconds = progress.finish(record.job_id)
            if info := self.jobs.pop(record.job_id, None):
                what = info.rule_msg or info.rule_name
                where = f"  {info.output[0]}" if info.output else ""
                number = f"{len(progress.finished)}/{len(progress.expected)}"
                self.line(f"{number:>7}  {readable(seconds):>6}  {what}{where}")

    def _in_full(self, record: logging.LogRecord) -> None:
        if not self.default.filter(record):
            return
        if self.bar is None:
            self.default.emit(record)
        elif text := self.default.format(record):
            coloured = Text.from_ansi(self.default.decorate(record, text))
            self.bar.console.print(coloured, soft_wrap=True)

    def folded(self, text: str) -> str:
        """A text whose lines are folded at the width of the terminal, if there is one."""
        if not self.default.stream.isatty():
            return text
        width = shutil.get_terminal_size().columns
        return "\n".join(
            textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False)
            for line in text.splitlines()
        )

    def line(self, text: str) -> None:
        """Print a line, cut off at the width of the terminal."""
        stream = self.default.stream
        if stream.isatty():
            width = shutil.get_terminal_size().columns
            text = text if len(text) <= width else f"{text[: width - 1]}…"
        if self.bar is not None:
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            stream.write(f"{text}\n")
            stream.flush()

    def end(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def close(self) -> None:
        self.end()
        self.default.close()
        super().close()


def _of_the_course(record: logging.LogRecord) -> bool:
    return record.levelno == logging.INFO and record.getMessage().startswith(COURSE)


def _short(path: str) -> str:
    """A path relative to the working directory, if it lies inside."""
    absolute, here = Path(path), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
