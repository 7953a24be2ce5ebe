"""Reading one file, in any of the forms that data comes in, as a plain table."""

import bz2
import codecs
import contextlib
import csv
import gzip
import hashlib
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from actadd.base.errors import UserError

ROLES = ("text", "split", "target", "group", "label")
ARCHIVES = (".tar", ".xz", ".tgz", ".gz", ".bz2")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
# How a file's name ends, without its compression -> its form; any other is CSV.
ENDINGS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}
TABS = (".tsv", ".tab")
SEPARATORS = (";", "\t", "|", ",")
# What a file of a form that is not read begins with, or is called, and how to get one that is.
FOREIGN = {
    b"%PDF": "a PDF; save its texts as plain text or CSV",
    b"\xd0\xcf\x11\xe0": "a file of Microsoft Office; save the sheet as CSV UTF-8",
    b"\x80\x04": "a Python pickle, which can run code; save it as Parquet or JSON Lines",
    b"\x80\x05": "a Python pickle, which can run code; save it as Parquet or JSON Lines",
    b"SQLite format 3": "a database; save its table as CSV or JSON Lines",
    b"\x89HDF": "an HDF5 file; save its table as Parquet or CSV",
    b"\x93NUMPY": "a NumPy file; save its texts as JSON Lines",
}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Misread(ValueError):
    """A file that is not of its form; the message says what to do."""


def read(path: Path, spec: dict, key: str) -> pd.DataFrame:
    """The file's rows, with those of the columns of `ROLES` that it has; text always.

    The index holds the line that each row starts on, or its number in a list, a binary table or an
    archive; 0 if a row is made from many. Cells are objects: texts exactly as they stand, numbers
    of JSON too. A file may be compressed.
    spec: the dataset's config entry; format, table, records, columns and templates are used. Raises
    UserError if the file is not of its format or lacks a column that the config names.
    """
    form = spec.get("format") or _form(path, spec.get("table", {}))
    if form == "documents":
        form = "tar" if tarfile.is_tarfile(path) else _form(path, spec.get("table", {}))
    try:
        raw = _READERS[form](path, spec)
    except (
        *(ValueError, LookupError, OSError, EOFError, RecursionError, AttributeError),
        *(NotImplementedError, csv.Error, tarfile.TarError, lzma.LZMAError, zlib.error),
        *(zipfile.BadZipFile, RuntimeError),
    ) as error:
        remedy = "" if isinstance(error, Misread) else "; check format and table"
        reason = " ".join(str(error).split())[:400]
        raise UserError(f"{key}: {path} cannot be read as {form}: {reason}{remedy}") from error
    names = spec.get("columns", {})
    for role in ("text", *names):
        if names.get(role, role) not in raw:
            raise UserError(_missing(role, names.get(role, role), list(raw), path, key))
    _say_unread(raw, names, path, key)
    roles = {role: names.get(role, role) for role in ROLES}
    return pd.DataFrame({role: raw[name] for role, name in roles.items() if name in raw})


def _ending(path: Path) -> str:
    """How a file's name ends, whatever it is compressed by; of x.zip, the name of what it holds."""
    name = PurePath(path.name)
    while name.suffix.lower() in COMPRESSED:
        name = name.with_suffix("")
    if not name.suffix and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
        name = PurePath(members[0]) if len(members) == 1 else name
    return name.suffix.lower()


def _form(path: Path, layout: dict) -> str:
    """The form that the ending of a file's name says."""
    suffix = _ending(path)
    if suffix == ".txt":
        # An encoding alone makes no table of a text.
        return "csv" if layout.keys() - {"encoding"} else "lines"
    return ENDINGS.get(suffix, "csv")


def _missing(role: str, name: str, there: list, path: Path, key: str) -> str:
    """That a file lacks a column, and what its header looks like instead."""
    listed = ", ".join(map(str, there))[:200] or "none"
    message = f"{key}.columns.{role}: {path} has no column {name!r}, it has {listed}"
    alike = [str(other) for other in there if str(other).strip().lower() == name.lower()]
    separators = [sep for sep in SEPARATORS if any(sep in str(other) for other in there)]
    if alike:
        return f"{message}; write columns: {{ {role}: {alike[0]!r} }}"
    if len(there) == 1 and separators:
        return f"{message}; write table: {{ separator: {json.dumps(separators[0])} }}"
    return f"{message}; name the column in columns, or those of a file without a header in table"


def _say_unread(raw: pd.DataFrame, names: dict, path: Path, key: str) -> None:
    """Names columns that are a role's but for their case: they are not read."""
    for role in ROLES:
        alike = [c for c in raw if str(c).strip().lower() == role and c not in names.values()]
        if alike and role not in raw and role not in names:
            print(
                f"{key}: the column {alike[0]!r} of {path.name} is not read; if it is meant, write "
                f"columns: {{ {role}: {alike[0]!r} }}",
                flush=True,
            )


# --- bytes and text -------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    """A file's content, unpacked if it is compressed, whatever its name says."""
    return _unpacked(path.read_bytes())


def _unpacked(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(data)
    if data.startswith(b"BZh") and data[4:10] == b"1AY&SY":
        return bz2.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return stream.read()
    if data.startswith(b"PK\x03\x04"):
        return _only_member(data)
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise Misread(f"it is {what}")
    return data


def _members(archive: zipfile.ZipFile) -> list[str]:
    """The files in a zip archive, without what macOS puts beside each."""
    return [
        name for name in archive.namelist() if not name.endswith("/") and "__MACOSX/" not in name
    ]


def _only_member(data: bytes) -> bytes:
    """What a zip archive of one file holds."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = _members(archive)
        if "[Content_Types].xml" in names or "mimetype" in names:
            raise Misread("it is a sheet of Excel or LibreOffice; save it as CSV UTF-8")
        if len(names) != 1:
            members = ", ".join(names[:5])
            raise Misread(f"it is a zip archive of {len(names)} files ({members}); unpack it")
        return archive.read(names[0])


def _text(path: Path, spec: dict) -> str:
    return _decoded(_bytes(path), spec.get("table", {}).get("encoding"))


def _decoded(data: bytes, encoding: str | None) -> str:
    """Bytes as text: in the encoding that the config names, or their byte order mark, or UTF-8.

    A byte order mark is no text.
    """
    marked = [name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)]
    chosen = encoding or (marked[0] if marked else "utf-8")
    if data.startswith(b"PAR1") or data.startswith(b"ARROW1"):
        raise Misread("it is a binary table; write format: parquet or feather")
    if not codecs.lookup(chosen).name.startswith("utf"):
        _refuse_another(data, chosen)
    if not encoding and not marked and (end := _byte_order(data[:200])):
        raise Misread(f"every second byte is 0; write table: {{ encoding: utf-16-{end} }}")
    try:
        text = data.decode(chosen)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Misread(
            f"line {line}: the byte 0x{data[error.start]:02x} is not {chosen}; save the file as "
            "UTF-8, or name its encoding: table: { encoding: cp1252 }"
        ) from error
    return text.removeprefix("\ufeff")


def _byte_order(data: bytes) -> str:
    """le or be if most of every second byte is 0, as in UTF-16, else nothing."""
    even, odd = data[::2], data[1::2]
    for zeros, others, end in ((odd, even, "le"), (even, odd, "be")):
        if 2 * zeros.count(0) > len(zeros) > 3 and not others.count(0):
            return end
    return ""


def _refuse_another(data: bytes, encoding: str) -> None:
    """Latin-1 decodes anything, and "…" would become "â€¦" or a control character in texts."""
    with contextlib.suppress(UnicodeDecodeError):
        if not data.isascii() and data.decode("utf-8"):
            raise Misread(f"it is UTF-8 and not {encoding}; leave table.encoding out")
    if codecs.lookup(encoding).name == "iso8859-1" and (odd := re.search(rb"[\x80-\x9f]", data)):
        line = data.count(b"\n", 0, odd.start()) + 1
        raise Misread(
            f"line {line}: the byte 0x{odd[0].hex()} is no character of {encoding}; write table: "
            "{ encoding: cp1252 }"
        )


def _plain(text: str) -> str:
    """A plain text file's text: every line end as one character, without the one at its end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


def _lines(path: Path, spec: dict) -> dict[int, str]:
    """Number -> line without its end; cut at line ends only, as JSON may hold other separators."""
    text = _text(path, spec)
    if "\n" not in text:
        # Of old Macs.
        text = text.replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n") if text else []
    return {number: line.removesuffix("\r") for number, line in enumerate(lines, 1)}


# --- tables of text -------------------------------------------------------------------------------


def _csv(path: Path, spec: dict) -> pd.DataFrame:
    layout = spec.get("table", {})
    separator = layout.get("separator", "\t" if _ending(path) in TABS else ",")
    text = _text(path, spec)
    if said := re.match(r"sep=(.)\r?\n", text, re.IGNORECASE):
        raise Misread(
            f"line 1: {said[0].strip()!r} is for Excel; delete that line and write "
            f"table: {{ separator: {json.dumps(said[1])} }}"
        )
    quoting = layout.get("quoting") or _quoting(text, separator, "columns" not in layout)
    names, rows = None, {}
    for line, row in _rows_of(text, separator, quoting):
        if names is None:
            names = layout.get("columns") or row
            if not layout.get("columns"):
                continue
        if not layout.get("quoting") and separator != " ":
            _refuse_spaced_quotes(text, line, row, separator)
        if len(row) != len(names):
            # Never cut or shifted: an unquoted comma would lose half of a text.
            raise Misread(
                f"line {line} has {len(row)} columns and there are {len(names)}; "
                + _recounted(names, row, separator, quoting, layout)
            )
        rows[line] = row
    names = names or layout.get("columns") or []
    for name in names:
        if name and names.count(name) > 1:
            raise Misread(f"line 1: the column {name!r} stands in it twice; rename one")
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=names, dtype=object)


def _rows_of(text: str, separator: str, quoting: str) -> Iterator[tuple[int, list[str]]]:
    """(line that it starts on, cells) of each row that is not an empty line."""
    # A document may be one field.
    csv.field_size_limit(2**31 - 1)
    style = csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL
    escape = "\\" if quoting == "backslash" else None
    if escape:
        # A backslash before any other character is text: not all writers double it.
        other = re.compile(rf'\\(?:(["\\\r\n]|{re.escape(separator)})|)')
        text = other.sub(lambda found: found[0] if found[1] else r"\\", text)
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=separator, quoting=style, escapechar=escape, strict=True)
    start = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise Misread(_misquoted(text, start, reader.line_num, str(error))) from error
        if row is None:
            return
        if row:
            yield start, row
        start = reader.line_num + 1


def _recounted(names: list[str], row: list[str], separator: str, quoting: str, layout: dict) -> str:
    """What to do about a row with another number of columns than the names."""
    remedies = [f"put texts with {separator!r} in double quotes"]
    if quoting == "none":
        # Where quotes are text, they hold nothing together.
        remedies = ["write table: { quoting: double } if quotes enclose texts"]
    if layout.get("columns"):
        remedies.append("name all columns in table.columns")
    elif len(row) == len(names) + 1 and row[0].isdigit():
        remedies.append("name the row numbers in the first line too (R: row.names = FALSE)")
    other = [sep for sep in SEPARATORS if sep in names[0] and len(names) == 1]
    if other:
        remedies.append(f"write table: {{ separator: {json.dumps(other[0])} }}")
    return ", or ".join(remedies)


def _refuse_spaced_quotes(text: str, line: int, row: list[str], separator: str) -> None:
    """A quote after a space encloses nothing, and would stay in the text."""
    if any(cell.startswith(" ") and cell.lstrip(" ").startswith('"') for cell in row):
        raw = io.StringIO(text, newline="").readlines()[line - 1]
        if re.search(rf'(?:^|{re.escape(separator)}) +"(?!")', raw):
            raise Misread(
                f"line {line}: a space stands before a double quote, which then is text; take the "
                "space out, or write table: { quoting: none } if quotes are text"
            )


def _misquoted(text: str, start: int, end: int, why: str) -> str:
    lines = io.StringIO(text, newline="").readlines()[start - 1 : end]
    if '\\"' in "".join(lines):
        return (
            f"line {start}: quotes in it are escaped by a backslash; write "
            "table: { quoting: backslash }"
        )
    if "unexpected end of data" in why:
        return (
            f"line {start}: a double quote is opened and never closed; close it, or write "
            "table: { quoting: none } if quotes are text"
        )
    return (
        f"line {end}: {why}; double the quotes inside a quoted text, or write "
        "table: { quoting: none } if quotes are text"
    )


def _quoting(text: str, separator: str, header: bool) -> str:
    """How a table is quoted if the config does not say: double or none.

    With another separator than a tab, double quotes enclose a text. Files with tabs are raw, so
    that quotes are text, or come from a program that quotes.
    """
    if separator != "\t" or '"' not in text:
        return "double"
    if _by_a_program(text, separator, header):
        return "double"
    for quote, style, how in (('""', "double", "doubled"), (r'\\"', "backslash", "escaped")):
        part = rf'(?:[^"\t\n\\]|{quote}|\\(?!"))*'
        odd = re.search(rf'(?:^|\t)"{part}{quote}{part}"(?=\t|\r?\n|\Z)', text, re.M)
        if odd:
            line = text.count("\n", 0, odd.start()) + 1
            raise Misread(
                f"line {line}: quotes there are {how} as in a quoted text, elsewhere they are not; "
                f"write table: {{ quoting: {style} }} if quotes enclose texts, {{ quoting: none }} "
                "if they are text"
            )
    return "none"


def _by_a_program(text: str, separator: str, header: bool) -> bool:
    """Whether a program that quotes has written `text`, by the cells that are enclosed.

    pandas and Python enclose a cell with a separator, quote or line end, and Excel one with a comma
    too. Other programs enclose every cell, and R whole columns and the header.
    """
    pattern = r'(?:"((?:[^"]|"")*)"|([^"SEP\r\n]*))(SEP|\r\n|\r|\n|\Z)'
    one = re.compile(pattern.replace("SEP", separator))
    rows: list[list[tuple[str, bool]]] = [[]]
    offset = 0
    while offset < len(text):
        cell = one.match(text, offset)
        if cell is None:
            return False
        rows[-1].append((cell[1] or cell[2] or "", cell[1] is not None))
        if cell[3] != separator:
            rows.append([])
        offset = cell.end()
    rows = [row for row in rows if row]
    special = re.compile(f'[{separator}"\r\n]')
    writers: tuple[Callable[[str], Any], ...] = (
        special.search,
        lambda cell: special.search(cell) or "," in cell,
        lambda cell: True,
    )
    for needs in writers:
        if all(enclosed == bool(needs(cell)) for row in rows for cell, enclosed in row):
            return True
    by_column = [tuple(enclosed for _, enclosed in row) for row in rows]
    return len(set(by_column[header:])) == 1 and (not header or all(by_column[0]))


# --- JSON -----------------------------------------------------------------------------------------


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


def _loads(text: str) -> Any:
    """Parsed JSON, numbers as they are spelled; a key that stands twice is a ValueError."""
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Misread(f"the key {twice!r} stands twice in one object; keep one")
    return record


def _jsonl(path: Path, spec: dict, *fields: str) -> dict[int, dict]:
    lines = {number: line for number, line in _lines(path, spec).items() if line.strip()}
    records = {number: _parsed(number, line) for number, line in lines.items()}
    for number, record in records.items():
        if not isinstance(record, dict):
            raise ValueError(f"row {number} is no object")
        for field in fields:
            if field not in record:
                raise ValueError(f"row {number} has no {field!r}")
    return records


def _parsed(number: int, line: str) -> Any:
    try:
        return _loads(line)
    except ValueError as error:
        whole = "; if the file is one list, write format: json" if number == 1 else ""
        kind = Misread if isinstance(error, Misread) else ValueError
        raise kind(f"line {number}: {error}{whole}") from error


def _flat(records: dict[int, dict], names: Iterable[str] = ()) -> pd.DataFrame:
    """Objects as rows; a nested object's fields get dotted names: prompt.text.

    names: of the columns, if there are no rows.
    """
    rows = []
    for number, record in records.items():
        row = dict(_fields(record, ""))
        for value in row.values():
            if isinstance(value, str) and not value.isascii() and not _encodable(value):
                raise Misread(f"row {number} holds half a character; take it out")
        rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row) or names)
    return pd.DataFrame(rows, index=list(records), columns=columns, dtype=object)


def _fields(record: dict, before: str) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _fields(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _encodable(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _json(path: Path, spec: dict) -> pd.DataFrame:
    text = _text(path, spec)
    try:
        whole = _loads(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        # Lines of JSON are often called so.
        return _flat(_jsonl(path, spec))
    return _flat(dict(enumerate(_objects(_listed(whole, spec.get("records"))), 1)))


def _listed(whole: Any, records: str | None) -> Any:
    """The list of rows in a JSON document: itself, what stands under `records`, its only list, or
    its columns."""
    for part in records.split(".") if records else ():
        if not isinstance(whole, dict) or part not in whole:
            keys = ", ".join(map(str, whole))[:200] if isinstance(whole, dict) else "a list"
            raise Misread(f"records: there is no key {part!r}; there are: {keys}")
        whole = whole[part]
    if not isinstance(whole, dict):
        return whole
    lists = {key: value for key, value in whole.items() if isinstance(value, list)}
    of_objects = [key for key, value in lists.items() if value and isinstance(value[0], dict)]
    if len(of_objects) == 1:
        return whole[of_objects[0]]
    sizes = set(map(len, lists.values()))
    if lists and len(lists) == len(whole) and len(sizes) == 1 and not of_objects:
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    keys = ", ".join(map(str, of_objects or whole))[:200] or "none"
    # pandas writes each column as an object of its cells unless it is told otherwise.
    remedy = "save a list of objects (pandas: to_json with orient='records')"
    if of_objects or any(
        isinstance(value, dict) and _holds_a_list(value) for value in whole.values()
    ):
        remedy = f"write records: KEY for the one with the rows, or {remedy}"
    raise Misread(f"it is no list of objects, but an object with the keys {keys}; {remedy}")


def _holds_a_list(part: dict) -> bool:
    return any(
        isinstance(value, list) or (isinstance(value, dict) and _holds_a_list(value))
        for value in part.values()
    )


# --- other forms ----------------------------------------------------------------------------------


def _table(path: Path, spec: dict) -> pd.DataFrame:
    """Parquet, or Arrow's own format as a file or a stream; nested fields get dotted names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = pa.BufferReader(_bytes(path))
    start = data.read(6)
    data.seek(0)
    if start.startswith(b"PAR1"):
        table = pq.read_table(data)
    elif start == b"ARROW1":
        table = pa.ipc.open_file(data).read_all()
    else:
        table = pa.ipc.open_stream(data).read_all()
    return _flat(dict(enumerate(table.to_pylist(), 1)), table.column_names)


def _numbered(texts: dict[int, str]) -> pd.DataFrame:
    return pd.DataFrame({"text": list(texts.values())}, index=list(texts), dtype=object)


def _rows(rows: Iterable[tuple[str, str, str]], numbers: list[int] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["text", "target", "group"])
    return table.set_axis(numbers or [0] * len(table), axis="index")


def _lama(path: Path, spec: dict) -> pd.DataFrame:
    """LAMA: what stands before the mask, and what was masked."""
    rows = {}
    items = _jsonl(path, spec, "masked_sentences", "obj_label", "pred")
    for number, item in items.items():
        if not isinstance(item["masked_sentences"], list):
            raise ValueError(f"row {number}: masked_sentences is no list")
        before, mask, _ = " ".join(item["masked_sentences"]).partition("[MASK]")
        if mask:
            text = before.rstrip()
            rows[number] = (text, before[len(text) :] + item["obj_label"], item["pred"])
    return _rows(rows.values(), list(rows))


def _triples(path: Path, spec: dict) -> pd.DataFrame:
    """ConceptNet's edges (rel, start, end) as sentence beginnings and their last word.

    Every concept is written with capitals there, so case does not tell a common noun from a name;
    that something "is a" such thing does: dog, but neither Liverpool nor Nilotinib.
    Each subject gets one object in each relation, and the order is that of a hash: the choice is
    arbitrary, but no matter of the file's order.
    """
    edges = _jsonl(path, spec, "rel", "start", "end").values()
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


def _tar(path: Path, spec: dict) -> pd.DataFrame:
    """An archive's files, each a document; however it is compressed."""
    encoding = spec.get("table", {}).get("encoding")
    with tarfile.open(path) as archive:
        files = enumerate(_files(archive), 1)
        return _numbered({number: _plain(_decoded(file, encoding)) for number, file in files})


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
    "jsonl": lambda path, spec: _flat(_jsonl(path, spec)),
    "lines": lambda path, spec: _numbered(_lines(path, spec)),
    "text": lambda path, spec: _numbered({1: _plain(_text(path, spec))}),
    "parquet": _table,
    "feather": _table,
    "lama": _lama,
    "triples": _triples,
    "tar": _tar,
}
