"""Locks between processes, on every file system.

Where the file system has locks, the operating system frees one when its process ends, however it
ends. Where it has none, a file that names the holder stands for the lock; it is broken once its
process is gone from this machine, and after a while it is named.
"""

import errno
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from actadd.base.errors import UserError

# What file systems without locks answer, and network disks whose lock server is away.
WITHOUT = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ESTALE, errno.EIO}
# Seconds after which somebody who waits is told, and after which nobody waits any more.
TOLD = 10
PATIENCE = 600


def known(path: Path | str) -> bool:
    """Whether the file system of a file, which is made if it is not there, has locks."""
    with Path(path).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno in WITHOUT:
                return False
            raise
    return True


def lock(path: Path | str) -> BaseFileLock:
    """The lock that a file stands for, not held yet.

    Raises OSError if the file cannot be made, as in a folder that cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # By another name: a file that is left over from a time with locks says nothing.
    return FileLock(path) if known(path) else SoftFileLock(f"{path}.held")


@contextmanager
def held(path: Path | str, patience: float | None = None) -> Iterator[None]:
    """Holds a file's lock while the block runs; waits for it, and says so.

    Raises UserError, which names the file, after `patience` seconds (default: PATIENCE).
    """
    patience = PATIENCE if patience is None else patience
    waiting = lock(path)
    began = time.monotonic()
    for seconds in (min(TOLD, patience), patience):
        try:
            waiting.acquire(timeout=max(0.0, began + seconds - time.monotonic()))
            break
        except Timeout:
            print(f"waiting for {waiting.lock_file}, which {_holder(waiting)} holds", flush=True)
    else:
        raise UserError(
            f"{waiting.lock_file}: {_holder(waiting)} has held it for {patience:.0f} s; wait until "
            "that ends, or delete the file if it has ended, and run again"
        )
    try:
        yield
    finally:
        waiting.release()


def _holder(waiting: BaseFileLock) -> str:
    """Who holds a lock, as far as the file says."""
    try:
        process, host, *_ = Path(waiting.lock_file).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return "another process"
    return f"process {process} of {host}"
