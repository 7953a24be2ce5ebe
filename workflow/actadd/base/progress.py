"""How far a long step is: a bar on a terminal, plain lines in a log.

A step that is long opens `progress`; what works for it, however deep, calls `worked`. Where nothing
is open, as in a test of one function, `worked` does nothing.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Seconds between two lines that say how far a cell is; a finished cell always has its line.
EVERY = 10.0


class Progress:
    """Counts finished cells and the tokens drawn or read for them, and says so."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic):
        self.total, self.done, self.tokens = total, 0, 0
        self.clock = clock
        self.opened = self.began = self.said = clock()

    def begin(self) -> None:
        """What is made ready, such as a model, is there: rates count from here."""
        self.began = self.said = self.clock()

    def work(self, tokens: int) -> None:
        """So many tokens more have been drawn or read."""
        self.tokens += tokens
        if self.clock() - self.said >= EVERY:
            self.say(f"so far: {self.done} of {self.total} cells{self.pace()}")

    def finish(self, label: str, state: str) -> None:
        """One cell more is done, or has failed."""
        self.done += 1
        seconds = f"{self.clock() - self.opened:.1f} s"
        said = f"cell {self.done} of {self.total}: {label}: {state}, {seconds}{self.pace()}"
        self.say(said)

    def pace(self) -> str:
        """Tokens in a second, and the time that the cells left will take at this pace."""
        seconds = self.clock() - self.began
        if seconds <= 0:
            return ""
        said = f", {self.tokens / seconds:.0f} tokens/s" if self.tokens else ""
        left = self.total - self.done
        if self.done and left:
            said += f", about {readable(seconds / self.done * left)} left"
        return said

    def say(self, line: str) -> None:
        self.said = self.clock()
        print(line, flush=True)

    def close(self) -> None:
        """Nothing is left on the terminal but the lines."""


class Bar(Progress):
    """The same on a terminal, with a bar below the lines."""

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

    def say(self, line: str) -> None:
        self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self.bar.update(self.task, completed=self.done, pace=self.pace())

    def close(self) -> None:
        self.bar.stop()


_open: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def progress(total: int, **options: Any) -> Iterator[Progress]:
    """Says how far a step of `total` cells is, for as long as the block lasts."""
    shown = (Bar if sys.stdout.isatty() else Progress)(total, **options)
    token = _open.set(shown)
    try:
        yield shown
    finally:
        _open.reset(token)
        shown.close()


def begin() -> None:
    """Tells the open progress, if any, that what is made ready is there."""
    if shown := _open.get():
        shown.begin()


def worked(tokens: int) -> None:
    """Tells the open progress, if any, that so many tokens more have been drawn or read."""
    if shown := _open.get():
        shown.work(tokens)


def readable(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
