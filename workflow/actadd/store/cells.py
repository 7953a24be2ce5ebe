"""The cell store: finished units of work, found again by what determines them.

A cell's key is the digest of everything that its bytes depend on; its file is written whole or not
at all. So a changed coefficient computes one new cell, a killed job goes on at the next cell, and
deleting the store costs time and nothing else.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from actadd.base.errors import CellError, DamagedFile, UserError
from actadd.base.files import digest, read_json, remove, whole_file, write_json
from actadd.base.progress import progress
from actadd.store.digests import code_digest, package_versions

# The metadata of a cell's file in which the sum of all its other bytes stands, and that place while
# the sum is taken.
SEAL = b"actadd.sha256"
BLANK = b"0" * 64


def seal(table: pa.Table) -> bytes:
    """A table as an ordinary Parquet file that holds its own sha256.

    Parquet's checksums cover its pages only: one bit in the footer can be an error far away, or
    other values.
    """
    buffer = pa.BufferOutputStream()
    marked = table.replace_schema_metadata({**(table.schema.metadata or {}), SEAL: BLANK})
    pq.write_table(marked, buffer, compression="zstd")
    content = buffer.getvalue().to_pybytes()
    place = _place(content)
    return content[:place] + _sum(content, place) + content[place + len(BLANK) :]


def sealed(content: bytes) -> bool:
    """Whether these are the bytes that `seal` made."""
    place = _place(content)
    return place > 0 and content[place : place + len(BLANK)] == _sum(content, place)


def _place(content: bytes) -> int:
    """Where the sum stands: behind its name and Parquet's mark for 64 bytes; 0 if it does not."""
    found = content.rfind(SEAL + b"\x18\x40")
    return found + len(SEAL) + 2 if found >= 0 else 0


def _sum(content: bytes, place: int) -> bytes:
    blank = content[:place] + BLANK + content[place + len(BLANK) :]
    return hashlib.sha256(blank).hexdigest().encode()


class CellStore:
    """Tables by key, one Parquet file each, under `folder`."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.parquet"

    def get(self, key: str) -> pa.Table | None:
        """The table, or None if it is missing or damaged (then it is removed and reported)."""
        path = self.path(key)
        if not path.exists():
            return None
        content = path.read_bytes()
        if not sealed(content):
            print(f"cell store: {path} is damaged; it is computed again", flush=True)
            path.unlink(missing_ok=True)
            return None
        table = pq.read_table(pa.BufferReader(content))
        kept = {name: value for name, value in table.schema.metadata.items() if name != SEAL}
        return table.replace_schema_metadata(kept)

    def found(self, key: str) -> pa.Table:
        """The table; raises UserError if it is not there any more."""
        table = self.get(key)
        if table is None:
            raise UserError(f"{self.path(key)} is gone; run again")
        return table

    def put(self, key: str, table: pa.Table) -> None:
        """Stores a table, unless a job beside this one has, as what a killed run left at work."""
        if self.get(key) is None:
            with whole_file(self.path(key)) as temporary:
                temporary.write_bytes(seal(table))
        self._failure_path(key).unlink(missing_ok=True)

    def _failure_path(self, key: str) -> Path:
        return self.path(key).with_suffix(".failed.json")

    def fail(self, key: str, reason: str) -> None:
        """Notes that a cell could not be computed; the note goes when it is put after all."""
        write_json(self._failure_path(key), {"failed": reason})

    def failure(self, key: str) -> str | None:
        """Why a cell could not be computed when it was last tried; None if it is there."""
        path = self._failure_path(key)
        # A note that a kill left behind, or a job beside the one that made the cell, is none.
        if not path.exists() or self.path(key).exists():
            return None
        try:
            return read_json(path)["failed"]
        except DamagedFile:
            path.unlink()
            return None


def cell_key(modules: Sequence[str], keyed_code: Sequence[str] = (), /, **determinants: Any) -> str:
    """Hex sha256 of everything that determines a cell.

    modules: those that compute it; their code and the versions of packages that they use belong to
    it, but for keyed_code, whose results are among the determinants. determinants: the cell's part
    of the config, and the content of what it reads.
    """
    without = tuple(keyed_code)
    packages = package_versions(*modules, without=without)
    # Cells are computed in others; pandas carries their rows.
    packages.pop("pandas", None)
    code = code_digest(*modules, without=without)
    return digest({**determinants, "code": code, "packages": packages})


def check_filled(store: CellStore, keys: Sequence[str], shards: Sequence[Path]) -> None:
    """Raises UserError if cells that shards have filled are gone since, or damaged.

    keys: those that were shared out, every n-th to the same shard. shards: the shards' records, in
    order; those of shards that have to fill a cell again are removed, so that the next run does.
    """
    gone = [
        place
        for place, key in enumerate(keys)
        if store.failure(key) is None and store.get(key) is None
    ]
    for place in gone:
        remove(shards[place % len(shards)])
    if gone:
        raise UserError(
            f"{len(gone)} of {len(keys)} cells are gone from {store.folder}, such as "
            f"{store.path(keys[gone[0]])}; run again and they are computed anew"
        )


# What a computation makes of a cell: its table, or why there is none.
Made = tuple[int, pa.Table | CellError]


def fill(
    store: CellStore,
    keys: Sequence[str],
    labels: Sequence[str],
    compute: Callable[[list[int]], Iterable[Made]],
    needed: Sequence[int] | None = None,
) -> dict[int, str]:
    """Computes those of the cells `needed` (default: all) that are not in the store.

    `compute(indices)` yields each of these cells as soon as it is finished, in any order, and it is
    stored at once. Prints one line for each and a closing count. A cell that failed does not keep
    the others from being computed: the reason is noted in the store, where the next call tries it
    again. Returns the needed cells that failed, index -> reason.
    """
    indices = list(range(len(keys)) if needed is None else needed)
    # Two conditions may be one cell, as where a sweep holds its own baseline.
    missing = {keys[i]: i for i in reversed(indices) if store.get(keys[i]) is None}
    todo = sorted(missing.values())
    with progress(len(todo)) as shown:
        for index, made in compute(todo) if todo else ():
            if isinstance(made, CellError):
                state = f"failed: {made}"
                store.fail(keys[index], str(made))
            else:
                state = "done"
                store.put(keys[index], made)
            shown.finish(labels[index], state)
    failed = {index: why for index in indices if (why := store.failure(keys[index]))}
    lost = len({keys[index] for index in failed})
    counts = f"{len(todo) - lost} computed, {len(indices) - len(todo)} reused"
    print(f"cells: {counts}" + (f", {lost} failed" if lost else ""), flush=True)
    return failed
