"""Files: canonical JSON, digests, and writes that leave a whole file or none."""

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

# Rows of a Parquet row group.
ROW_GROUP = 65_536

# System errors that a user can resolve: error number -> remedy.
REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make it writable, or run in another folder",
    errno.EACCES: "give yourself the permission, or run in another folder",
    errno.EPERM: "give yourself the permission, or run in another folder",
    errno.EIO: "check the disk and its network",
}

# After this long, a temporary file of another machine's process counts as abandoned.
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
    """The error number if it is in `REMEDIES`, else None.

    Libraries in Rust state the number in their message only.
    """
    number = getattr(error, "errno", None)
    if number is None and (match := re.search(r"\(os error (\d+)\)", str(error))):
        number = int(match[1])
    return number if number in REMEDIES else None


def _temporary(path: Path, suffix: str) -> Path:
    """A hidden name beside `path` that no other process uses; removes those of killed processes.

    The name holds machine and process id, so that a process that outlived a killed run cannot write
    into the next run's file, and so that its half-written file can be recognised.
    """
    stem = path.name.removesuffix(suffix)
    host = socket.gethostname().replace(".", "-")
    pattern = re.compile(re.escape(f".{stem}.") + r"([^.]+)\.(\d+)" + re.escape(suffix))
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in path.parent.iterdir():
        if (match := pattern.fullmatch(file.name)) and abandoned(file, match[1], match[2], host):
            # Another process may be removing it too.
            with suppress(OSError):
                remove(file)
    return path.with_name(f".{stem}.{host}.{os.getpid()}{suffix}")


def abandoned(file: Path, host: str, process: str, this_host: str) -> bool:
    """Whether a temporary file's process has ended, or on another host, whether the file is old."""
    if host == this_host:
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            pass
        return False
    try:
        return time.time() - file.stat().st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def relative_link(link: Path, target: Path) -> None:
    """Create a relative link, which stays valid when link and target are moved together."""
    real = target.parent.resolve() / target.name
    link.symlink_to(os.path.relpath(real, link.parent.resolve()))


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Turn a system error in the block into an OSError that names `path`, the file to write.

    An error that already names a file other than a temporary one of `path` stays as it is.
    """
    temporary = str(path.with_name(f".{path.stem}."))
    try:
        yield
    except Exception as error:
        number, file = system_error(error), str(getattr(error, "filename", None) or "")
        if number is None or (file and not file.startswith(temporary)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name beside `path`, and rename it to `path` if the block succeeds."""
    path = Path(path)
    with _errors_name(path):
        # The suffix stays last, because matplotlib and others choose the format by it.
        temporary = _temporary(path, path.suffix)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """`whole_file` for a folder; replaces an older folder at `path`."""
    path = Path(path)
    with _errors_name(path):
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
    """Write a text as UTF-8."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """A value as the text of a JSON file: sorted keys, two spaces, a line end."""
    return json.dumps(canonical(value), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json_text(value))


def read_json(path: Path | str) -> Any:
    """The content of a JSON file. Raises DamagedFile, which names the file, if it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        in_results = "results" in Path(path).parts
        remedy = (
            "actadd verify shows how to make it again" if in_results else "delete it, run again"
        )
        raise DamagedFile(f"{path} is damaged, not valid JSON: {remedy}") from error


def write_with(path: Path | str, write: Callable[[Path], Any]) -> None:
    """Call `write(temporary)` and rename the file, for writers that take a path."""
    with whole_file(path) as temporary:
        write(temporary)


def write_frames(
    path: Path | str,
    frames: Iterable["pd.DataFrame"],
    types: "Mapping[str, pa.DataType] | None" = None,
) -> int:
    """Write data frames of the same columns one after another to one Parquet file.

    types: the types of columns that may be empty in the first frame, whose types all others take.
    Holds few frames in memory. Returns the number of rows. Raises ValueError without any frame.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = types or {}

    def typed(schema: pa.Schema) -> pa.Schema:
        return pa.schema(
            field.with_type(known[field.name])
            if field.name in known and "null" in str(field.type)
            else field
            for field in schema
        ).with_metadata(schema.metadata)

    total = 0
    pending: list[pa.Table] = []
    schema: pa.Schema | None = None
    with whole_file(path) as temporary, ExitStack() as stack:

        def flush() -> None:
            table = pa.concat_tables(pending).combine_chunks()
            writer.write_table(table, row_group_size=ROW_GROUP)
            pending.clear()

        for frame in frames:
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            if schema is None:
                schema = typed(table.schema)
                table = table.cast(schema)
                writer = stack.enter_context(pq.ParquetWriter(temporary, schema))
            pending.append(table)
            total += len(table)
            if sum(map(len, pending)) >= ROW_GROUP:
                flush()
        if schema is None:
            raise ValueError(f"{path}: no frame to write")
        if pending:
            flush()
    return total


def read_cells(path: Path | str, columns: list[str] | None = None) -> Iterator["pd.DataFrame"]:
    """Yield the rows of each cell of a table, with a few cells in memory at a time.

    A cell's rows are consecutive; the columns include condition and cell.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    key = None
    parts: list[pd.DataFrame] = []
    for batch in pq.ParquetFile(path).iter_batches(ROW_GROUP, columns=columns):
        table = pa.Table.from_batches([batch]).to_pandas()
        for cell, part in table.groupby(["condition", "cell"], sort=False):
            # A cell may continue in the next batch.
            if cell != key and parts:
                yield pd.concat(parts, ignore_index=True)
                parts = []
            key = cell
            parts.append(part)
    if parts:
        yield pd.concat(parts, ignore_index=True)
