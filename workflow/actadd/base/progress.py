"""Progress of a long step: a bar on a terminal, plain lines in a log.

A long step opens `progress`; the functions that do its work call `count_tokens`, which does nothing
if no progress is open, as in a test of one function.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Seconds between two lines within a cell; a finished cell always gets its line.
EVERY = 10.0


class Progress:
    """Counts finished cells and the tokens drawn or read for them, and prints both."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic):
        self.total, self.done, self.tokens = total, 0, 0
        self.clock = clock
        self.opened = self.began = self.printed = clock()

    def begin(self) -> None:
        """Start measuring rates: the preparation, such as loading a model, is done."""
        self.began = self.printed = self.clock()

    def work(self, tokens: int) -> None:
        """Count tokens that have been drawn or read."""
        self.tokens += tokens
        if self.clock() - self.printed >= EVERY:
            self.print(f"so far: {self.done} of {self.total} cells{self.pace()}")

    def finish(self, label: str, state: str) -> None:
        """Count a cell that is done or has failed."""
        self.done += 1
        seconds = f"{self.clock() - self.opened:.1f} s"
        self.print(f"cell {self.done} of {self.total}: {label}: {state}, {seconds}{self.pace()}")

    @property
    def seconds(self) -> float:
        """Time since the preparation was done."""
        return self.clock() - self.began

    def pace(self) -> str:
        """Tokens per second, and the time that the remaining cells take at this pace."""
        seconds = self.seconds
        if seconds <= 0:
            return ""
        pace = f", {self.tokens / seconds:.0f} tokens/s" if self.tokens else ""
        remaining = self.total - self.done
        if self.done and remaining:
            pace += f", about {readable(seconds / self.done * remaining)} left"
        return pace

    def print(self, line: str) -> None:
        self.printed = self.clock()
        print(line, flush=True)

    def close(self) -> None:
        """Leave only the lines on the terminal."""


class Bar(Progress):
    """Progress on a terminal, with a bar below the lines."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic):
        super().__init__(total, clock)
        from rich import progress

        self.bar = progress.Progress(
            progress.BarColumn(),
            progress.TextColumn("{task.completed} of {task.total} cells{task.fields[pace]}"),
            transient=True,
        )
        self.task = self.bar.add_task("", total=total, pace="")
        self.bar.start()

    def work(self, tokens: int) -> None:
        self.tokens += tokens
        self.bar.update(self.task, pace=self.pace())

    def print(self, line: str) -> None:
        self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self.bar.update(self.task, completed=self.done, pace=self.pace())

    def close(self) -> None:
        self.bar.stop()


_open: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def progress(total: int, **options: Any) -> Iterator[Progress]:
    """Show the progress of a step of `total` cells while the block runs."""
    current = (Bar if sys.stdout.isatty() else Progress)(total, **options)
    token = _open.set(current)
    try:
        yield current
    finally:
        _open.reset(token)
        current.close()


def begin() -> None:
    """Start measuring rates in the open progress, if any."""
    if current := _open.get():
        current.begin()


def count_tokens(tokens: int) -> None:
    """Count tokens drawn or read in the open progress, if any."""
    if current := _open.get():
        current.work(tokens)


def readable(seconds: float) -> str:
    """A duration in seconds, minutes or hours, for reading."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
