"""Reading and writing: canonical JSON, digests, and writes that are whole or absent."""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import DamagedFile

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Rows of a Parquet file that are written, and can be read, together.
GROUP = 65_536

# What the system refuses that somebody can put right: error number -> what to do.
REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make it writable, or run in another folder",
    errno.EACCES: "give yourself the right to it, or run in another folder",
    errno.EPERM: "give yourself the right to it, or run in another folder",
    errno.EIO: "see whether the disk or its network is sound",
}

# After this long, what a process of another machine left half-written is taken for abandoned.
ABANDONED_SECONDS = 7 * 24 * 3600


def canonical(value: Any) -> Any:
    """`value` with integral floats as ints, so that 1 and 1.0 in a config mean the same."""
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def canonical_json(value: Any) -> str:
    """One string for one meaning: sorted keys, no spaces, integral floats as ints."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any, length: int = 64) -> str:
    """Hex sha256 of the canonical JSON of `value`, cut to `length` characters."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def sha256_file(path: Path | str) -> str:
    """Hex sha256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def system_error(error: Exception) -> int | None:
    """The number of a system error that has a remedy; of libraries in Rust, as they print it."""
    number = getattr(error, "errno", None)
    if number is None and (printed := re.search(r"\(os error (\d+)\)", str(error))):
        number = int(printed[1])
    return number if number in REMEDIES else None


def _temporary(path: Path, suffix: str) -> Path:
    """A hidden name beside `path` that no other process uses; removes what killed ones left there.

    It carries machine and process id, so that a process orphaned by a killed run cannot write into
    the file of the run that follows, and so that its own half-written file is known for one.
    """
    stem = path.name.removesuffix(suffix)
    host = socket.gethostname().replace(".", "-")
    pattern = re.compile(re.escape(f".{stem}.") + r"([^.]+)\.(\d+)" + re.escape(suffix))
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.iterdir():
        if (named := pattern.fullmatch(left.name)) and abandoned(left, *named.groups(), host):
            # Another process may be at it too.
            with suppress(OSError):
                remove(left)
    return path.with_name(f".{stem}.{host}.{os.getpid()}{suffix}")


def abandoned(left: Path, host: str, process: str, here: str) -> bool:
    """Whether a file's process is gone, as far as can be known `here`, or the file very old."""
    if host == here:
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            pass
        return False
    try:
        return time.time() - left.stat().st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder; nothing happens if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def relative_link(link: Path, target: Path) -> None:
    """Makes a link that still leads to its target after both were moved together."""
    real = target.parent.resolve() / target.name
    link.symlink_to(os.path.relpath(real, link.parent.resolve()))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A system error in the block becomes an OSError that names `path`, which was to be written.

    Unless it names a file already that is not a temporary one of `path`.
    """
    own = str(path.with_name(f".{path.stem}."))
    try:
        yield
    except Exception as error:
        number, named = system_error(error), str(getattr(error, "filename", None) or "")
        if number is None or (named and not named.startswith(own)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yields a temporary name beside `path`; renamed to `path` if the block succeeds."""
    path = Path(path)
    with _naming(path):
        # The suffix stays last, since matplotlib and others choose the format by it.
        temporary = _temporary(path, path.suffix)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """Like `whole_file`, for a folder; an older folder at `path` is replaced."""
    path = Path(path)
    with _naming(path):
        temporary = _temporary(path, "")
        remove(temporary)
        temporary.mkdir()
        try:
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """The bytes that a JSON file of ours holds, as text."""
    return json.dumps(canonical(value), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json_text(value))


def read_json(path: Path | str) -> Any:
    """What a JSON file holds; raises DamagedFile, which names it, if it is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        ours = "results" in Path(path).parts
        remedy = "actadd verify says what makes it anew" if ours else "delete it and run again"
        raise DamagedFile(f"{path} is damaged, it is no JSON: {remedy}") from error


def write_with(path: Path | str, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary)` and renames, for writers that take a path."""
    with whole_file(path) as temporary:
        write(temporary)


def write_frames(
    path: Path | str,
    frames: Iterable["pd.DataFrame"],
    types: "Mapping[str, pa.DataType] | None" = None,
) -> int:
    """Writes data frames of the same columns one after another as one Parquet file.

    types: of columns that may hold nothing in the first frame, by which all the others go.
    Holds few frames at a time. Returns the number of rows. Raises ValueError if there is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def filled(schema: pa.Schema) -> pa.Schema:
        return pa.schema(
            field.with_type(types[field.name])
            if field.name in (types or {}) and "null" in str(field.type)
            else field
            for field in schema
        ).with_metadata(schema.metadata)

    written, held, waiting = 0, 0, []
    with whole_file(path) as temporary, ExitStack() as stack:
        writer = schema = None

        def flush() -> None:
            writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=GROUP)
            waiting.clear()

        for frame in frames:
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            if writer is None:
                schema = filled(table.schema)
                table = table.cast(schema)
                writer = stack.enter_context(pq.ParquetWriter(temporary, schema))
            waiting.append(table)
            written, held = written + len(table), held + len(table)
            if held >= GROUP:
                flush()
                held = 0
        if writer is None:
            raise ValueError(f"{path}: nothing to write")
        if waiting:
            flush()
    return written


def read_cells(path: Path | str, columns: list[str] | None = None) -> Iterator["pd.DataFrame"]:
    """The rows of each cell of a table in turn, a few cells in memory at a time.

    A cell's rows stand together; the columns hold at least condition and cell.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    key, parts = None, []
    for batch in pq.ParquetFile(path).iter_batches(GROUP, columns=columns):
        table = pa.Table.from_batches([batch]).to_pandas()
        for name, part in table.groupby(["condition", "cell"], sort=False):
            # A cell may go on in the next batch.
            if name != key and parts:
                yield pd.concat(parts, ignore_index=True)
                parts = []
            key = name
            parts.append(part)
    if parts:
        yield pd.concat(parts, ignore_index=True)
