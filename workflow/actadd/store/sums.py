"""Sums of files, remembered for this machine: a file that has not changed is read once.

What a file is known by are its device, inode, size, and the times of its content and its inode in
nanoseconds. A copy, a file put back and a file with a set time differ in at least one of them.
"""

import atexit
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from actadd.base.files import sha256_file, write_text

# Smaller files are as fast to read as to look up.
SMALL = 1 << 16
# A file that was changed just now may change again within one tick of its file system's clock.
SETTLED_NS = 100_000_000
# Sums that are kept; the oldest go first.
MOST = 20_000

_learned: dict[str, str] = {}


def cache_file() -> Path:
    """Where this user's sums are kept on this machine."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "actadd" / "sums.json"


def _read() -> dict[str, str]:
    """The sums that are kept; none if the file cannot be read."""
    try:
        content = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _kept() -> dict[str, str]:
    """The sums of earlier processes; those of this one are kept when it ends."""
    atexit.register(_keep)
    return _read()


def _keep() -> None:
    """Adds what this process learned to what others have kept meanwhile."""
    if _learned:
        sums = {**_read(), **_learned}
        # What cannot be kept is summed again.
        with suppress(OSError, RuntimeError):
            write_text(cache_file(), json.dumps(dict(list(sums.items())[-MOST:])))


def sha256(path: Path | str) -> str:
    """Hex sha256 of a file's bytes; a link counts as what it leads to."""
    stat, now = Path(path).stat(), time.time_ns()
    if stat.st_size < SMALL:
        return sha256_file(path)
    times = (stat.st_mtime_ns, stat.st_ctime_ns)
    key = "-".join(map(str, (stat.st_dev, stat.st_ino, stat.st_size, *times)))
    known = _learned.get(key) or _kept().get(key)
    if known is None:
        known = sha256_file(path)
        if now - max(times) > SETTLED_NS:
            _learned[key] = known
    return known


def of_files(paths: Iterable[Path], folder: Path) -> dict[str, str]:
    """Hex sha256 of files, and of every file in folders, by name relative to `folder`."""
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and file.name != ".snakemake_timestamp"
    ]
    return {Path(os.path.relpath(file, folder)).as_posix(): sha256(file) for file in files}
