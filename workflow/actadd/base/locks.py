"""Locks between processes, on every file system.

Where the file system has locks, the operating system releases a lock when its process ends, however
it ends. Elsewhere a file that names the holder is the lock: it is broken once its process has ended
on this machine, and a process that waits long reports the holder.
"""

import errno
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from actadd.base.errors import UserError

# Errors of file systems without locks, and of network disks whose lock server is down.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ESTALE, errno.EIO}
# Seconds after which a waiting process reports the holder, and after which it gives up.
REPORT = 10
PATIENCE = 600


def supported(path: Path | str) -> bool:
    """Whether the file system of a file has locks; creates the file if necessary."""
    with Path(path).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno in NO_LOCKS:
                return False
            raise
    return True


def lock(path: Path | str) -> BaseFileLock:
    """The lock of a file, not held yet.

    Raises OSError if the file cannot be created, as in a read-only folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another name, because an old lock file from a file system with locks means nothing.
    return FileLock(path) if supported(path) else SoftFileLock(f"{path}.held")


@contextmanager
def held(path: Path | str, patience: float | None = None) -> Iterator[None]:
    """Hold a file's lock while the block runs; wait for it, with a message.

    Raises UserError, which names the file, after `patience` seconds (default: PATIENCE).
    """
    patience = PATIENCE if patience is None else patience
    file_lock = lock(path)
    began = time.monotonic()
    for seconds in (min(REPORT, patience), patience):
        try:
            file_lock.acquire(timeout=max(0.0, began + seconds - time.monotonic()))
            break
        except Timeout:
            print(
                f"waiting for {file_lock.lock_file}, which {_holder(file_lock)} holds", flush=True
            )
    else:
        raise UserError(
            f"{file_lock.lock_file}: {_holder(file_lock)} has held it for {patience:.0f} s; wait "
            "until that ends, or delete the file if it has ended, and run again"
        )
    try:
        yield
    finally:
        file_lock.release()


def _holder(file_lock: BaseFileLock) -> str:
    """The process that holds a lock, if the file names it."""
    try:
        process, host, *_ = Path(file_lock.lock_file).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return "another process"
    return f"process {process} of {host}"
