"""sha256 sums of files, cached on this machine, so that an unchanged file is read once.

The cache's key is the device, inode, size, and the times of content and inode in nanoseconds. A
copy, a restored file and a file with a set time differ in at least one of them.
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
# Entries of the cache; the oldest are dropped first.
MAX_ENTRIES = 20_000

# The sums that this process computed.
_computed: dict[str, str] = {}


def cache_file() -> Path:
    """The cache of this user on this machine."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "actadd" / "sums.json"


def _read() -> dict[str, str]:
    """The cache's content; {} if it cannot be read."""
    try:
        content = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _cached() -> dict[str, str]:
    """The sums of earlier processes; those of this process are saved when it ends."""
    atexit.register(_save)
    return _read()


def _save() -> None:
    """Add the sums of this process to those that others have saved in the meantime."""
    if _computed:
        sums = {**_read(), **_computed}
        # Without a cache, the next process computes the sums again.
        with suppress(OSError, RuntimeError):
            write_text(cache_file(), json.dumps(dict(list(sums.items())[-MAX_ENTRIES:])))


def sha256(path: Path | str) -> str:
    """Hex sha256 of a file's bytes; of a link, those of its target."""
    stat, now = Path(path).stat(), time.time_ns()
    if stat.st_size < SMALL:
        return sha256_file(path)
    times = (stat.st_mtime_ns, stat.st_ctime_ns)
    key = "-".join(map(str, (stat.st_dev, stat.st_ino, stat.st_size, *times)))
    value = _computed.get(key) or _cached().get(key)
    if value is None:
        value = sha256_file(path)
        if now - max(times) > SETTLED_NS:
            _computed[key] = value
    return value


def files_of(path: Path, folder: Path) -> dict[str, Path]:
    """A file, or every file in a folder but Snakemake's mark, by path relative to `folder`."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        Path(os.path.relpath(file, folder)).as_posix(): file
        for file in files
        if file.is_file() and file.name != ".snakemake_timestamp"
    }


def of_files(paths: Iterable[Path], folder: Path) -> dict[str, str]:
    """Hex sha256 of files, and of every file in folders, by path relative to `folder`."""
    files = {name: file for path in paths for name, file in files_of(path, folder).items()}
    return {name: sha256(file) for name, file in files.items()}
