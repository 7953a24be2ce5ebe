"""Compare two results folders, number by number: `python tests/tools/compare_results.py OLD NEW`.

Every Parquet, CSV, safetensors and JSON file is compared, but for records of provenance, jobs'
files, logs, what was fetched, and the store, whose names hold digests of the code. Values are
compared by their bits and rows in their order; the column `cell` is left out, as it says which code
made a row. Printed are files and columns of one side only, and for a shared file each column that
differs, in how many rows and by how much at most. A vector with a file for each layer is compared
with one whose layers are one file, layer by layer. Exit code: 0 all equal, 1 any difference, 2
nothing to compare.
"""

import argparse
import csv
import json
import struct
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SKIPPED = {"store", "jobs", "logs", "benchmarks", "sources", "answers"}
IGNORED_COLUMNS = {"cell"}

# Column -> its values; a file without rows has columns all the same.
Columns = dict[str, list]


def _parquet(path: Path) -> Columns:
    table = pd.read_parquet(path)
    types = {f"{name} (type)": [str(dtype)] for name, dtype in table.dtypes.items()}
    return {str(name): table[name].tolist() for name in table} | types


def _csv(path: Path) -> Columns:
    with path.open(newline="", encoding="utf-8") as opened:
        header, *rows = list(csv.reader(opened)) or [[]]
    return {name: [row[column] for row in rows] for column, name in enumerate(header)}


def _safetensors(path: Path) -> Columns:
    """Each tensor's numbers, or its bytes where numpy has no such type; its form beside them."""
    with path.open("rb") as opened:
        length = struct.unpack("<Q", opened.read(8))[0]
        entries = json.loads(opened.read(length))
        content = opened.read()
    types = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}
    columns: Columns = {"metadata": [canonical(entries.pop("__metadata__", {}))]}
    for name, entry in entries.items():
        start, end = entry["data_offsets"]
        values = np.frombuffer(content[start:end], types.get(entry["dtype"], "u1"))
        columns |= {name: values, f"{name} (form)": [f"{entry['dtype']} {entry['shape']}"]}
    return columns


def _layers(folder: Path) -> Columns:
    """Each layer's numbers and form of a vector; its layers are one file, or a file each."""
    columns: Columns = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, values in _safetensors(path).items():
            layer = f"layer.{int(path.stem.removeprefix('layer_'))}" if "_" in path.stem else ""
            columns[name.replace("vector", layer) if layer else name] = values
    columns.pop("metadata", None)
    # A layer without a row is one that the vector does not have.
    empty = [name for name, values in columns.items() if "(form)" not in name and not len(values)]
    for name in empty:
        del columns[name], columns[f"{name} (form)"]
    return dict(sorted(columns.items()))


def _json(path: Path) -> Columns:
    """Dotted keys, each with one value."""
    columns: Columns = {}

    def spread(value: Any, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, item in value.items():
                if name not in IGNORED_COLUMNS:
                    spread(item, f"{key}.{name}" if key else name)
        else:
            columns[key] = [value]

    spread(json.loads(path.read_text(encoding="utf-8")), "")
    return columns


READERS: dict[str, Callable[[Path], Columns]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".safetensors": _safetensors,
    ".json": _json,
    # A vector's folder, where the two sides divide it into files differently.
    "": _layers,
}


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _bits(value: Any) -> Any:
    """What two values share only if they are the same, bit by bit; all NaNs are one."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(_bits(item) for item in value)
    if isinstance(value, float):
        return "nan" if np.isnan(value) else (float, value.hex())
    return "null" if value is None or value is pd.NA else (type(value).__name__, value)


def _distance(one: Any, other: Any) -> float:
    """The largest difference of two numbers, of texts that are numbers, or within two lists."""
    if isinstance(one, (list, tuple, np.ndarray)) and isinstance(other, (list, tuple, np.ndarray)):
        return max(map(_distance, one, other), default=0.0) if len(one) == len(other) else np.nan
    try:
        return abs(float(one) - float(other))
    except (TypeError, ValueError):
        return np.nan


def different(one: list, other: list) -> tuple[int, float]:
    """(rows that differ, largest difference of those that are numbers, else NaN) of a column."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype == other.dtype:
        width = f"u{one.itemsize}"
        places = np.flatnonzero(one.view(width) != other.view(width))
        pairs = [(one[index], other[index]) for index in places]
    else:
        pairs = [(a, b) for a, b in zip(one, other, strict=True) if _bits(a) != _bits(b)]
    distances = [d for a, b in pairs if not np.isnan(d := _distance(a, b))]
    return len(pairs), max(distances, default=np.nan)


def differences(old: Path, new: Path) -> Iterator[str]:
    """A sentence for each thing that differs between two files of one kind."""
    if old.is_file() and old.read_bytes() == new.read_bytes():
        return
    sides = []
    for path, side in ((old, "OLD"), (new, "NEW")):
        try:
            columns = READERS[path.suffix](path)
        except Exception as error:
            yield f"{side} cannot be read: {' '.join(str(error).split())[:200]}"
            return
        sides.append({name: v for name, v in columns.items() if name not in IGNORED_COLUMNS})
    one, other = sides
    for columns, others, side in ((one, other, "OLD"), (other, one, "NEW")):
        for name in columns.keys() - others.keys():
            yield f"column {name} only in {side}"
    if list(one) != list(other) and one.keys() == other.keys():
        yield "columns in another order"
    for name in one.keys() & other.keys():
        rows = len(one[name]), len(other[name])
        if rows[0] != rows[1]:
            yield f"column {name}: {rows[0]} rows in OLD, {rows[1]} in NEW"
            continue
        count, most = different(one[name], other[name])
        if count:
            size = "" if np.isnan(most) else f", by {most:.3g} at most"
            yield f"column {name}: {count} of {rows[0]} rows differ{size}"


def files(folder: Path) -> set[str]:
    """Relative paths of a results folder's files that hold numbers or texts."""
    result = (path.relative_to(folder) for path in folder.rglob("*.*") if path.suffix in READERS)
    return {
        path.as_posix()
        for path in result
        if not SKIPPED & set(path.parts) and not path.name.endswith("provenance.json")
    }


def _as_vectors(old: set[str], new: set[str]) -> None:
    """Put a vector's folder in place of its files where the two sides divide it differently."""
    for one, other in ((old, new), (new, old)):
        for file in [path for path in other if fnmatch(path, "vectors/*/vector.safetensors")]:
            folder = file.rpartition("/")[0]
            layers = {path for path in one if fnmatch(path, f"{folder}/layer_*.safetensors")}
            if layers:
                one -= layers
                one.add(folder)
                other.remove(file)
                other.add(folder)


def compare(old: Path, new: Path, ignored: list[str], say: Callable[[str], Any] = print) -> int:
    """Says what differs; returns the exit code."""
    old_files, new_files = files(old), files(new)
    _as_vectors(old_files, new_files)
    if not old_files and not new_files:
        say(f"nothing to compare: neither {old} nor {new} holds a file of results")
        return 2
    left_out = {
        path for path in old_files | new_files if any(fnmatch(path, glob) for glob in ignored)
    }
    faults = equal = 0
    for path in sorted((old_files | new_files) - left_out):
        if path not in old_files or path not in new_files:
            faults += 1
            say(f"only in {'OLD' if path in old_files else 'NEW'}: {path}")
            continue
        result = sorted(differences(old / path, new / path))
        equal, faults = equal + (not result), faults + bool(result)
        if result:
            say("\n  ".join([f"differs: {path}", *result]))
    say(f"{equal} files equal, {faults} not, {len(left_out)} ignored")
    return int(faults > 0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path, help="results folder from before")
    parser.add_argument("new", type=Path, help="results folder from after")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="GLOB", help="relative paths, explained"
    )
    chosen = parser.parse_args(arguments)
    for folder in (chosen.old, chosen.new):
        if not folder.is_dir():
            parser.error(f"{folder} is not a folder")
    return compare(chosen.old, chosen.new, chosen.ignore)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
