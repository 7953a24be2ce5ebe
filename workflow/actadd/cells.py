"""The cell store: finished units of work, found again by what determines them.

A cell's key is the digest of everything that its bytes depend on; its file is written whole or not
at all. So a changed coefficient computes one new cell, a killed job goes on at the next cell, and
deleting the store costs time and nothing else.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from actadd.files import digest, whole_file
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

    def put(self, key: str, table: pa.Table) -> None:
        with whole_file(self.path(key)) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


# Packages that do the arithmetic of some cell: another version may give other bytes.
COMPUTING = ("torch", "transformers", "tokenizers", "numpy", "scikit-learn", "vaderSentiment")


def cell_key(**determinants: Any) -> str:
    """Hex sha256 over everything that determines a cell, package versions included."""
    found = versions()
    packages = {name: found.get(name) for name in COMPUTING}
    return digest({**determinants, "packages": packages})


def collect(
    store: CellStore,
    keys: Sequence[str],
    labels: Sequence[str],
    compute: Callable[[int], pa.Table],
    needed: Sequence[int] | None = None,
) -> dict[int, pa.Table]:
    """The tables of cells `needed` (default: all), computing and storing those not in the store.

    `compute(i)` makes cell i. Prints one line for each cell and a closing count.
    """
    tables: dict[int, pa.Table] = {}
    computed = 0
    indices = list(range(len(keys)) if needed is None else needed)
    for place, index in enumerate(indices, start=1):
        table = store.get(keys[index])
        if table is None:
            start = time.monotonic()
            table = compute(index)
            store.put(keys[index], table)
            computed += 1
            seconds = time.monotonic() - start
            print(f"cell {place} of {len(indices)}: {labels[index]}: {seconds:.1f} s", flush=True)
        tables[index] = table
    print(f"cells: {computed} computed, {len(indices) - computed} reused", flush=True)
    return tables
