"""Whether a run is active in a folder, and whether it can write there."""

import atexit
import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO

from actadd.base.errors import UserError
from actadd.base.files import abandoned
from actadd.base.locks import NO_LOCKS

HELD: list[IO[str]] = []


def begin(running: Path, results: Path) -> None:
    """Lock the file `running` until this process ends, however it ends.

    On a file system without locks, a file beside it names the process instead.
    Raises UserError if the folder `results`, or one in it, cannot be written.
    """
    for folder in (results, *(path for path in results.glob("*") if path.is_dir())):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise UserError(
                f"{folder} cannot be written; make it writable, or copy the workflow to a folder "
                "that is, and run there"
            )
    stream = running.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        mark = running.with_name(f"{running.name}.{_host()}.{os.getpid()}")
        mark.touch()
        atexit.register(mark.unlink, missing_ok=True)
    HELD.append(stream)


def refuse_if_running(running: Path) -> None:
    """Raises UserError if a live process holds the file `running`."""
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
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
    for mark in running.parent.glob(f"{running.name}.*.*"):
        _, host, process = mark.name.rsplit(".", 2)
        if not abandoned(mark, host, process, _host()):
            raise UserError(
                f"a run is going on in {Path.cwd()}, process {process} of {host}: wait until it "
                f"ends, or stop it (Ctrl-C); if it has died, delete {mark}, and unlock the folder"
            )
        with suppress(OSError):
            mark.unlink()


def _host() -> str:
    return socket.gethostname().replace(".", "-")
