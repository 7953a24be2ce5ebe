"""The cell store: finished units of work, found again by what determines them.

A cell's key is the digest of everything that its bytes depend on; its file is written whole or not
at all. So a changed coefficient computes one new cell, a killed job goes on at the next cell, and
deleting the store costs time and nothing else.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from actadd.errors import CellError, DamagedFile, UserError
from actadd.files import digest, read_json, remove, whole_file, write_json
from actadd.progress import progress
from actadd.provenance import versions


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
        try:
            return pq.read_table(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            print(f"cell store: {path} is damaged ({error}); it is computed again", flush=True)
            path.unlink()
            return None

    def found(self, key: str) -> pa.Table:
        """The table; raises UserError if it is not there any more."""
        table = self.get(key)
        if table is None:
            raise UserError(f"{self.path(key)} is gone; run again")
        return table

    def put(self, key: str, table: pa.Table) -> None:
        with whole_file(self.path(key)) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        self._failure_path(key).unlink(missing_ok=True)

    def _failure_path(self, key: str) -> Path:
        return self.path(key).with_suffix(".failed.json")

    def fail(self, key: str, reason: str) -> None:
        """Notes that a cell could not be computed; the note goes when it is put after all."""
        write_json(self._failure_path(key), {"failed": reason})

    def failure(self, key: str) -> str | None:
        """Why a cell could not be computed when it was last tried; None if it is there."""
        path = self._failure_path(key)
        if not path.exists():
            return None
        try:
            return read_json(path)["failed"]
        except DamagedFile:
            path.unlink()
            return None


# Packages that do the arithmetic of some cell: another version may give other bytes.
COMPUTING = ("torch", "transformers", "tokenizers", "numpy", "scikit-learn", "vaderSentiment")


def cell_key(**determinants: Any) -> str:
    """Hex sha256 over everything that determines a cell, package versions included."""
    found = versions()
    packages = {name: found.get(name) for name in COMPUTING}
    return digest({**determinants, "packages": packages})


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
