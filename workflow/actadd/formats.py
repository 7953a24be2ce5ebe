"""Reading one file, in any of the forms that data comes in, as a plain table."""

import codecs
import contextlib
import csv
import hashlib
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.errors import UserError

ROLES = ("text", "split", "target", "group", "label")
ARCHIVES = (".tar", ".xz", ".tgz", ".gz", ".bz2")


def read(path: Path, spec: dict, key: str) -> pd.DataFrame:
    """The file's rows, with those of the columns of `ROLES` that it has; text always.

    The index holds the line that each row starts on, or its number in a JSON list or an archive; 0
    if a row is made from many. Cells of CSV are texts, exactly as they stand.
    spec: the dataset's config entry; format, table, columns and templates are used. Raises
    UserError if the file is not of its format or lacks a column that the config names.
    """
    layout = spec.get("table", {})
    by_suffix = {".jsonl": "jsonl", ".json": "json", ".txt": "csv" if layout else "lines"}
    form = spec.get("format", by_suffix.get(path.suffix, "csv"))
    if form == "documents":
        form = "tar" if tarfile.is_tarfile(path) else by_suffix.get(path.suffix, "csv")
    try:
        # utf-8-sig is UTF-8 whose byte order mark, if it has one, is no text.
        encoding = layout.get("encoding", "utf-8-sig")
        _refuse_utf8_read_as_another(path, encoding)
        raw = _READERS[form](path, spec, encoding)
    except (
        *(ValueError, LookupError, OSError, EOFError, RecursionError, AttributeError),
        *(NotImplementedError, csv.Error, tarfile.TarError, lzma.LZMAError, zlib.error),
    ) as error:
        raise UserError(
            f"{key}: {path} cannot be read as {form}: {str(error)[:200]}; check format and table"
        ) from error
    names = spec.get("columns", {})
    for role in ("text", *names):
        if names.get(role, role) not in raw:
            there = ", ".join(map(str, raw)) or "none"
            raise UserError(
                f"{key}.columns.{role}: {path} has no column {names.get(role, role)!r}, "
                f"it has {there}"
            )
    roles = {role: names.get(role, role) for role in ROLES}
    return pd.DataFrame({role: raw[name] for role, name in roles.items() if name in raw})


def _refuse_utf8_read_as_another(path: Path, encoding: str) -> None:
    """Latin-1 decodes anything, and "…" would become "â€¦" in texts without a word."""
    if codecs.lookup(encoding).name.startswith("utf"):
        return
    content = path.read_bytes()
    with contextlib.suppress(UnicodeDecodeError):
        if not content.isascii() and content.decode("utf-8"):
            raise ValueError(f"it is UTF-8 and not {encoding}; leave table.encoding out")


def _csv(path: Path, spec: dict, encoding: str) -> pd.DataFrame:
    layout = spec.get("table", {})
    separator = layout.get("separator", ",")
    # A tab-separated file of raw text has no quoting; a comma-separated one must.
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    # A document may be one field.
    csv.field_size_limit(2**31 - 1)
    rows: dict[int, list[str]] = {}
    with path.open(encoding=encoding, newline="") as opened:
        reader = csv.reader(opened, delimiter=separator, quoting=quoting, strict=True)
        names = layout.get("columns") or next(reader, [])
        start = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(names):
                # Never cut or shifted: an unquoted comma would lose half of a text.
                raise ValueError(
                    f"line {start} has {len(row)} columns and there are {len(names)}; put texts "
                    f"with {separator!r} in double quotes, or name all columns"
                )
            if row:
                rows[start] = row
            start = reader.line_num + 1
    for name in names:
        if name and names.count(name) > 1:
            raise ValueError(f"the column {name!r} stands in it twice")
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=names)


def _objects(records: Any, *fields: str) -> list[dict]:
    """Parsed JSON, if it is a list of objects that all have these fields; else a ValueError."""
    if not isinstance(records, list):
        raise ValueError("it is no list of objects")
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise ValueError(f"row {number} is no object")
        for field in fields:
            if field not in record:
                raise ValueError(f"row {number} has no {field!r}")
    return records


def _lines(path: Path, encoding: str) -> dict[int, str]:
    """Number -> line, of those with something on them, cut at line ends only, as JSON may hold
    other separators."""
    with path.open(encoding=encoding) as opened:
        return {n: line.rstrip("\n") for n, line in enumerate(opened, 1) if line.strip()}


def _jsonl(path: Path, encoding: str, *fields: str) -> dict[int, dict]:
    lines = _lines(path, encoding)
    return dict(zip(lines, _objects(list(map(_parsed, lines.items())), *fields), strict=True))


def _parsed(numbered: tuple[int, str]) -> Any:
    try:
        return json.loads(numbered[1])
    except ValueError as error:
        raise ValueError(f"line {numbered[0]}: {error}") from error


def _flat(records: dict[int, dict]) -> pd.DataFrame:
    """Objects as rows; a nested object's fields get dotted names: prompt.text."""
    try:
        return pd.json_normalize(list(records.values())).set_axis(list(records), axis="index")
    except UnicodeEncodeError as error:
        odd = [number for number, record in records.items() if not _encodable(record)]
        raise ValueError(f"row {odd[0]} holds half a character; take it out") from error


def _encodable(record: dict) -> bool:
    try:
        return bool(json.dumps(record, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def _json(path: Path, spec: dict, encoding: str) -> pd.DataFrame:
    return _flat(dict(enumerate(_objects(json.loads(path.read_text(encoding))), 1)))


def _numbered(texts: dict[int, str]) -> pd.DataFrame:
    return pd.DataFrame({"text": list(texts.values())}, index=list(texts))


def _rows(rows: Iterable[tuple[str, str, str]], numbers: list[int] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["text", "target", "group"])
    return table.set_axis(numbers or [0] * len(table), axis="index")


def _lama(path: Path, spec: dict, encoding: str) -> pd.DataFrame:
    """LAMA: what stands before the mask, and what was masked."""
    rows = {}
    items = _jsonl(path, encoding, "masked_sentences", "obj_label", "pred")
    for number, item in items.items():
        before, mask, _ = " ".join(item["masked_sentences"]).partition("[MASK]")
        if mask:
            text = before.rstrip()
            rows[number] = (text, before[len(text) :] + item["obj_label"], item["pred"])
    return _rows(rows.values(), list(rows))


def _triples(path: Path, spec: dict, encoding: str) -> pd.DataFrame:
    """ConceptNet's edges (rel, start, end) as sentence beginnings and their last word.

    Every concept is written with capitals there, so case does not tell a common noun from a name;
    that something "is a" such thing does: dog, but neither Liverpool nor Nilotinib.
    Each subject gets one object in each relation, and the order is that of a hash: the choice is
    arbitrary, but no matter of the file's order.
    """
    edges = _jsonl(path, encoding, "rel", "start", "end").values()
    for relation in sorted(spec["templates"].keys() - {edge["rel"] for edge in edges}):
        raise ValueError(f"no triple has the relation {relation!r} of templates")
    kinds = {edge["end"] for edge in edges if edge["rel"] == "IsA"}
    pairs = {
        (edge["rel"], edge["start"].lower(), edge["end"].lower())
        for edge in edges
        if edge["rel"] in spec["templates"]
        and edge["start"] in kinds
        and edge["start"].isalpha()
        and edge["end"].isalpha()
    }
    chosen: dict[tuple[str, str], str] = {}
    for relation, subject, end in sorted(
        pairs, key=lambda pair: (hashlib.sha256(" ".join(pair[1:]).encode()).hexdigest(), pair[0])
    ):
        if subject != end:
            chosen.setdefault((relation, subject), end)
    return _rows(
        (spec["templates"][relation].replace("{subject}", subject), " " + end, relation)
        for (relation, subject), end in chosen.items()
    )


def _tar(path: Path, spec: dict, encoding: str) -> pd.DataFrame:
    """An archive's files, each a document; however it is compressed."""
    with tarfile.open(path) as archive:
        return _numbered({n: file.decode(encoding) for n, file in enumerate(_files(archive), 1)})


def _files(archive: tarfile.TarFile) -> Iterator[bytes]:
    """Contents of an archive's files, and of archives in it: OpenWebText's come in such a one."""
    # Each is read as it comes: going back in a compressed archive means starting again.
    for file in archive:
        if not file.isfile():
            continue
        stream = archive.extractfile(file)
        if file.name.endswith(ARCHIVES):
            with tarfile.open(fileobj=stream) as inner:
                yield from _files(inner)
        else:
            yield stream.read()


_READERS = {
    "csv": _csv,
    "json": _json,
    "jsonl": lambda path, spec, encoding: _flat(_jsonl(path, encoding)),
    "lines": lambda path, spec, encoding: _numbered(_lines(path, encoding)),
    "text": lambda path, spec, encoding: _numbered({1: path.read_text(encoding)}),
    "lama": _lama,
    "triples": _triples,
    "tar": _tar,
}
