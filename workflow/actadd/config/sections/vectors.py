"""Section `vectors`: steering vectors."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from actadd.base.errors import UserError
from actadd.base.files import canonical_json
from actadd.base.kinds import build
from actadd.config.files import path_of
from actadd.config.kinds import Family
from actadd.config.sections import datasets
from actadd.config.sections.rules import Problem, listed
from actadd.measure.conditions import at_depth
from actadd.vectors.kinds import VECTOR_KINDS, parts_of
from actadd.vectors.pairs import SIDES

# Name -> entry of the section.
Vectors = dict[str, dict[str, Any]]

Vector = Annotated[Any, Family("kind", VECTOR_KINDS, "What the vector is made from.")]


def problems(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    of_pairs = [name for name, kind in VECTOR_KINDS.items() if kind.least_pairs]
    for name, entry in config["vectors"].items():
        key, kind = f"vectors.{name}", VECTOR_KINDS[entry["kind"]]
        options: Any = build(kind.options, entry)
        if hasattr(options, "problems"):
            yield from options.problems(key)
        if kind.borrows and kind.borrows in entry:
            other = entry[kind.borrows]
            yield from _lender(config["vectors"], f"{key}.{kind.borrows}", other, of_pairs)
        if kind.least_pairs:
            yield from _pairs(config, key, entry, root)
        yield from _parts(config["vectors"], key, name)
        yield from _one_class(key, entry)


def _lender(vectors: Vectors, key: str, other: str, lenders: Sequence[str]) -> Iterator[Problem]:
    """A vector that takes another's prompts needs one of a kind that has such prompts."""
    lender = vectors[other]
    if lender["kind"] not in lenders:
        yield key, f"{other!r} is a {lender['kind']} vector; name a {' or '.join(lenders)}"
    elif "like" in lender:
        yield key, f"{other!r} has no pairs of its own; write like: {lender['like']}"


def _pairs(
    config: dict[str, Any], key: str, entry: dict[str, Any], root: Path
) -> Iterator[Problem]:
    """A direction needs enough pairs, and nothing is drawn of all of them."""
    kind = VECTOR_KINDS[entry["kind"]]
    for extra in ("draws", "seed"):
        if extra in entry and "count" not in entry and not kind.control:
            yield f"{key}.{extra}", "it takes all pairs; write count, how many are drawn"
    lender = config["vectors"][entry.get("like", key.removeprefix("vectors."))]
    if "pairs" in lender and "like" not in entry:
        rows = lender["pairs"]
        yield from datasets.split(config, f"{key}.pairs", rows["dataset"], rows["split"])
    whole = _pair_count(config, lender, root)
    if whole is not None and entry.get("count", 0) > whole:
        yield f"{key}.count", f"{entry['count']} is more than the {whole} pairs; write at most that"
    count: int | None = entry.get("count", whole)
    if count is not None and count < kind.least_pairs:
        from_where = "like" if "like" in entry else "pairs" if "pairs" in entry else "positive"
        rows = lender.get("pairs", {})
        # Of a dataset without such rows another kind has no pairs either.
        remedy = (
            f"datasets.{rows['dataset']} has none in the split {rows['split']!r}; write another"
            if not count and "count" not in entry and rows
            else "write more pairs, or kind: mean_difference"
        )
        yield (
            f"{key}.{'count' if 'count' in entry else from_where}",
            f"{count} pair{'s' * (count != 1)}; a {entry['kind']} vector needs at least "
            f"{kind.least_pairs}: {remedy}",
        )


def _pair_count(config: dict[str, Any], lender: dict[str, Any], root: Path) -> int | None:
    """The most pairs that a vector may have; None where only a fetched source tells."""
    if "pairs" not in lender:
        return len(lender.get("positive", ()))
    entry, split = config["datasets"][lender["pairs"]["dataset"]], lender["pairs"]["split"]
    if split in (sizes := entry.get("splits", {})):
        size: float = sizes[split]
        return int(size) if size >= 1 else None
    path = path_of(entry["file"], root) if "file" in entry and "source" not in entry else None
    if path is None or path.suffix != ".csv" or "table" in entry or not path.is_file():
        return None
    column = entry.get("columns", {}).get("split", "split")
    return _rows(path, None if split == "all" else column, split)


def _rows(path: Path, column: str | None, value: str) -> int | None:
    """How many rows of a CSV file have a value in a column; how many there are without one."""
    # Not by pandas, which takes longer to import than the whole check. The reader of the dataset
    # says what is wrong with a file.
    with suppress(OSError, UnicodeError, csv.Error), path.open(encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        return sum(1 for row in rows if column is None or row.get(column) == value)
    return None


def _one_class(key: str, entry: dict[str, Any]) -> Iterator[Problem]:
    """The same prompts on both sides have nothing to tell apart."""
    sides: list[Any] = [entry.get(side) for side in SIDES]
    if all(isinstance(side, list) for side in sides):
        first, second = (sorted(map(canonical_json, side)) for side in sides)
        if first == second:
            yield key, "positive and negative are the same prompts; write others on one side"


def _parts(vectors: Vectors, key: str, name: str) -> Iterator[Problem]:
    """Vectors that another is computed from need rows at all layers, and the same number of them.

    No vector may be computed from itself.
    """
    if circle := _circle(vectors, [name]):
        yield key, f"it is computed from itself: {', from '.join(circle)}; name another vector"
    of_one_row = {}
    for other in parts_of(vectors[name]):
        entry = vectors[other]
        if VECTOR_KINDS[entry["kind"]].file:
            yield key, f"{other!r} is read from a file, which may lack layers; name another vector"
        if "draws" in entry:
            yield key, f"{other!r} has {entry['draws']} draws; name another, or one with draws: 1"
        of_one_row[other] = bool(row_of(vectors, other))
    if len(set(of_one_row.values())) > 1:
        one = next(other for other, is_one in of_one_row.items() if is_one)
        many = next(other for other, is_one in of_one_row.items() if not is_one)
        yield (
            key,
            f"{one!r} has one row and {many!r} a row for each position; name vectors of one form",
        )


def _circle(vectors: Vectors, path: list[str]) -> list[str]:
    """The names from a vector back to itself, if it is computed from itself."""
    for other in parts_of(vectors[path[-1]]):
        if other == path[0]:
            return [*path, other]
        if other not in path and (circle := _circle(vectors, [*path, other])):
            return circle
    return []


def row_of(vectors: Vectors, name: str) -> str:
    """What a vector's one row stands for; "" if it has a row for each position, or its file's."""
    kind = VECTOR_KINDS[vectors[name]["kind"]]
    if parts := parts_of(vectors[name]):
        return row_of(vectors, parts[0])
    return kind.row(build(kind.options, vectors[name])) if kind.row else ""


def file_problems(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    """Vectors read from files need the layers at which they are used, and rows to align."""
    for name, entry in config["vectors"].items():
        if entry["kind"] == "file":
            yield from _file_problems(config, f"vectors.{name}", name, root)


def _file_problems(config: dict[str, Any], key: str, name: str, root: Path) -> Iterator[Problem]:
    # Only here, since it takes a moment.
    from actadd.vectors.file_formats import load_vectors

    entry = config["vectors"][name]
    path = path_of(entry["file"], root)
    if not path.is_file():
        yield f"{key}.file", f"{entry['file']} does not exist; write the path of a file"
    try:
        vectors = load_vectors(path, entry.get("format"))
    except UserError as error:
        yield f"{key}.file", str(error)
    held = ", ".join(map(str, vectors.layers))
    for at_key, model, addition in _additions_of(config):
        gate = addition.get("gate", {})
        if gate.get("vector") == name and gate["layer"] not in vectors.rows:
            layers = ", ".join(map(str, vectors.layers))
            yield (
                f"{at_key}.gate.layer",
                f"{entry['file']} holds layer {layers}; write one of these",
            )
        if addition["vector"] != name:
            continue
        used = [addition.get(field, []) for field in ("layer", "layers", "source_layer")]
        if "choice" in addition:
            used.append(_chosen_layers(config, at_key.split(".")[1], model, addition))
        for layer in sorted({layer for part in used for layer in listed(part)}):
            if layer not in vectors.rows:
                yield (
                    at_key,
                    f"on {model} it is layer {layer}, and {entry['file']} holds layer {held}, "
                    "counted by block inputs; write one of these",
                )
        positions = listed(addition.get("position", []))
        if "all" in positions and vectors.positions > 1:
            yield (
                f"{at_key}.position",
                f"all needs one row, {entry['file']} has {vectors.positions}",
            )
        decodes = addition.get("phase") == "decode"
        if not positions and vectors.positions == 1 and not decodes:
            yield at_key, f"{entry['file']} holds one row; write position: back or all"
    for lens, reading in config["lenses"].items():
        for model in reading["models"] if name in reading["vectors"] else []:
            depth = config["models"][model]["layers"]
            if not vectors.rows.keys() >= set(range(depth)):
                yield (
                    f"lenses.{lens}.vectors",
                    f"a lens reads all {depth} layers of {model}, but {entry['file']} does not "
                    f"hold them all; remove {name!r}",
                )


def _chosen_layers(
    config: dict[str, Any], experiment: str, model: str, addition: dict[str, Any]
) -> list[int]:
    """Layers of which a choice may set one, for an addition that does not name its own."""
    rule = config["experiments"][experiment]["choices"][addition["choice"]]
    sweep = config["experiments"][rule["experiment"]]["conditions"]
    [swept] = at_depth(sweep, config["models"][model]["layers"])[rule["condition"]]["additions"]
    source = "source_layer" if "source_layer" in swept else "layer"
    fields = set() if "source_layer" in addition else {source}
    fields |= {"layer"} if addition.get("match_norm") else set()
    return [layer for field in fields for layer in listed(swept[field])]


def _additions_of(config: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(key, model, addition with its layers there) of every addition."""
    for experiment, entry in config["experiments"].items():
        for model in entry["models"]:
            conditions = at_depth(entry["conditions"], config["models"][model]["layers"])
            for condition, details in conditions.items():
                for index, addition in enumerate(details.get("additions", [])):
                    key = f"experiments.{experiment}.conditions.{condition}.additions.{index}"
                    yield key, model, addition
