"""The cell store: finished cells by their keys.

A cell's key is the digest of everything that its bytes depend on; its file is written whole or not
at all. So a changed coefficient computes one new cell, a killed job resumes at the next cell, and
deleting the store costs time and nothing else.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from actadd.base.errors import CellError, DamagedFile, UserError
from actadd.base.files import digest, read_json, remove, whole_file, write_json
from actadd.base.kinds import PLUGINS
from actadd.base.progress import progress
from actadd.store.digests import code_digest, package_versions

# Parquet metadata key of a cell file's sha256, and the placeholder while that sum is computed.
SEAL = b"actadd.sha256"
BLANK = b"0" * 64


def seal(table: pa.Table) -> bytes:
    """A table as an ordinary Parquet file that holds its own sha256.

    Parquet's checksums cover its pages only: a flipped bit in the footer can raise an unrelated
    error later, or change values.
    """
    buffer = pa.BufferOutputStream()
    blank = table.replace_schema_metadata({**(table.schema.metadata or {}), SEAL: BLANK})
    pq.write_table(blank, buffer, compression="zstd")
    content: bytes = buffer.getvalue().to_pybytes()
    offset = _seal_offset(content)
    return content[:offset] + _sum(content, offset) + content[offset + len(BLANK) :]


def is_intact(content: bytes) -> bool:
    """Whether a cell file's bytes are those that `seal` returned."""
    offset = _seal_offset(content)
    return offset > 0 and content[offset : offset + len(BLANK)] == _sum(content, offset)


def _seal_offset(content: bytes) -> int:
    """Offset of the sum, after its name and Parquet's mark for 64 bytes; 0 if there is none."""
    name = content.rfind(SEAL + b"\x18\x40")
    return name + len(SEAL) + 2 if name >= 0 else 0


def _sum(content: bytes, offset: int) -> bytes:
    blank = content[:offset] + BLANK + content[offset + len(BLANK) :]
    return hashlib.sha256(blank).hexdigest().encode()


class CellStore:
    """Tables by key, one Parquet file each, under `folder`."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.parquet"

    def get(self, key: str) -> pa.Table | None:
        """The table; None if it is missing or damaged. A damaged file is removed and reported."""
        path = self.path(key)
        if not path.exists():
            return None
        content = path.read_bytes()
        if not is_intact(content):
            print(f"cell store: {path} is damaged; it is computed again", flush=True)
            path.unlink(missing_ok=True)
            return None
        table = pq.read_table(pa.BufferReader(content))
        metadata = {name: value for name, value in table.schema.metadata.items() if name != SEAL}
        return table.replace_schema_metadata(metadata)

    def require(self, key: str) -> pa.Table:
        """The table; raises UserError if it is missing."""
        table = self.get(key)
        if table is None:
            raise UserError(f"{self.path(key)} is gone; run again")
        return table

    def put(self, key: str, table: pa.Table) -> None:
        """Store a table unless another process already has, such as one that outlived its run."""
        if self.get(key) is None:
            with whole_file(self.path(key)) as temporary:
                temporary.write_bytes(seal(table))
        self._failure_path(key).unlink(missing_ok=True)

    def _failure_path(self, key: str) -> Path:
        return self.path(key).with_suffix(".failed.json")

    def fail(self, key: str, reason: str) -> None:
        """Note that a cell could not be computed; `put` removes the note."""
        write_json(self._failure_path(key), {"failed": reason})

    def failure(self, key: str) -> str | None:
        """Why a cell could not be computed when it was last tried; None if it is stored."""
        path = self._failure_path(key)
        # A note can remain beside its cell if a job was killed, or if two jobs computed the cell.
        if not path.exists() or self.path(key).exists():
            return None
        try:
            return str(read_json(path)["failed"])
        except DamagedFile:
            path.unlink()
            return None


def cell_key(
    modules: Sequence[str],
    keyed_code: Sequence[str] = (),
    compute: Mapping[str, Any] | None = None,
    /,
    **determinants: Any,
) -> str:
    """Hex sha256 of everything that determines a cell.

    modules: the modules that compute it. The key covers their code and the versions of the packages
    that they use, except keyed_code, whose results are among the determinants. compute: how the
    model is loaded, which may take further packages. determinants: the cell's part of the config,
    and the content of its inputs.
    """
    without = tuple(keyed_code)
    packages = package_versions(*modules, without=without, compute=compute)
    if not any(name.startswith(f"{PLUGINS}.") for name in modules):
        # Our modules do not compute with pandas, it only carries rows.
        packages.pop("pandas", None)
    code = code_digest(*modules, without=without)
    return digest({**determinants, "code": code, "packages": packages})


def check_complete(store: CellStore, keys: Sequence[str], shards: Sequence[Path]) -> None:
    """Raises UserError if cells that the shards computed are missing or damaged.

    keys: of all cells; shard i of n computes cells i, i + n, i + 2 n and so on. shards: the shards'
    records, in order. The record of a shard with missing cells is removed, so that the next run
    repeats the shard.
    """
    missing = [
        index
        for index, key in enumerate(keys)
        if store.failure(key) is None and store.get(key) is None
    ]
    for index in missing:
        remove(shards[index % len(shards)])
    if missing:
        raise UserError(
            f"{len(missing)} of {len(keys)} cells are gone from {store.folder}, such as "
            f"{store.path(keys[missing[0]])}; run again to compute them again"
        )


# Index of a cell, and its table or the error.
CellResult = tuple[int, pa.Table | CellError]


@dataclass(frozen=True)
class Fill:
    """What became of the cells that a job needs.

    tried: indices of those that were not in the store, each key once. reused: number of the others.
    failed: index -> reason, equal keys included. errors: number of cells that failed. seconds: from
    when the preparation was done, such as loading a model, until the last cell was.
    """

    tried: list[int]
    reused: int
    failed: dict[int, str]
    errors: int
    seconds: float

    @property
    def computed(self) -> int:
        return len(self.tried) - self.errors

    def note(self, path: Path | str | None, work: Mapping[str, Any]) -> None:
        """Writes what this run of a job computed, and how long that took.

        It lies beside the job's benchmark and is no output: a job that goes on where it was killed
        computes less and writes the same bytes. path: None writes nothing. work: what the cells
        that it tried take, see `measure.work.Work`.
        """
        if path:
            counts = {"computed": self.computed, "reused": self.reused, "failed": self.errors}
            write_json(path, {**counts, "seconds": self.seconds, "work": work})


def compute_missing(
    store: CellStore,
    keys: Sequence[str],
    labels: Sequence[str],
    compute: Callable[[list[int]], Iterable[CellResult]],
    needed: Sequence[int] | None = None,
) -> Fill:
    """Compute the cells that are not in the store, and store each as soon as it is finished.

    needed: indices of the cells to compute; default all. compute(indices) yields (index, table or
    error) of these cells in any order. A failed cell does not stop the others: the store keeps the
    reason, and the next call tries it again. Prints a line for each cell and a final count.
    """
    indices = list(range(len(keys)) if needed is None else needed)
    # Two conditions may be one cell, for example where a sweep includes its own baseline.
    missing = {keys[i]: i for i in reversed(indices) if store.get(keys[i]) is None}
    todo = sorted(missing.values())
    with progress(len(todo)) as bar:
        for index, result in compute(todo) if todo else ():
            if isinstance(result, CellError):
                state = f"failed: {result}"
                store.fail(keys[index], str(result))
            else:
                state = "done"
                store.put(keys[index], result)
            bar.finish(labels[index], state)
        seconds = bar.seconds
    failed = {index: reason for index in indices if (reason := store.failure(keys[index]))}
    errors = len({keys[index] for index in failed})
    fill = Fill(todo, len(indices) - len(todo), failed, errors, seconds)
    counts = f"{fill.computed} computed, {fill.reused} reused"
    print(f"cells: {counts}" + (f", {errors} failed" if errors else ""), flush=True)
    return fill
