"""Whether a run is going on in a folder, and whether it can write there."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from actadd.errors import UserError

HELD: list[IO] = []


def begin(running: Path, results: Path) -> None:
    """Holds the file `running` until this process ends, however it ends.

    Raises UserError if the folder `results`, or one in it, cannot be written.
    """
    for folder in (results, *(path for path in results.glob("*") if path.is_dir())):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise UserError(
                f"{folder} cannot be written; make it writable, or run in another folder "
                "(--directory)"
            )
    stream = running.open("a")
    # Some network disks know no locks: then there is nothing to hold.
    with suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_SH)
    HELD.append(stream)


def refuse_if_running(running: Path) -> None:
    """Raises UserError if a process that is alive holds the file `running`."""
    if not running.exists():
        return
    with running.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"a run is going on in {Path.cwd()}: wait until it ends, or stop it (Ctrl-C), "
                "before you unlock the folder"
            ) from error
        except OSError:
            return
