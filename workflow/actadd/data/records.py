"""Rows from JSON: objects of a list or of lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from actadd.data.content import File, Misread

if TYPE_CHECKING:
    import pandas as pd


def loads(text: str) -> Any:
    """Parsed JSON, numbers as they are spelled. Raises Misread for a key that is twice."""
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Misread(f"the key {twice!r} is twice in one object; keep one")
    return record


def objects(records: dict[int, Any], *fields: str) -> dict[int, dict[str, Any]]:
    """Number -> object, if each is an object with these fields; else a ValueError."""
    for number, record in records.items():
        if not isinstance(record, dict):
            raise ValueError(f"row {number} is not an object")
        for field in fields:
            if field not in record:
                raise ValueError(f"row {number} has no {field!r}")
    return records


def of_lines(file: File, *fields: str) -> dict[int, dict[str, Any]]:
    """Line number -> object of each line that is not blank; see `objects`."""
    lines = {number: line for number, line in file.lines().items() if line.strip()}
    return objects({number: _parsed(number, line) for number, line in lines.items()}, *fields)


def _parsed(number: int, line: str) -> Any:
    try:
        return loads(line)
    except ValueError as error:
        whole = "; if the file is one list, write format: json" if number == 1 else ""
        kind = Misread if isinstance(error, Misread) else ValueError
        raise kind(f"line {number}: {error}{whole}") from error


def flat(records: dict[int, dict[str, Any]], names: Iterable[str] = ()) -> pd.DataFrame:
    """Objects as rows; a nested object's fields get dotted names: prompt.text.

    names: of the columns, if there are no rows.
    """
    import pandas as pd

    rows = []
    for number, record in records.items():
        row = dict(_fields(record, ""))
        for value in row.values():
            if isinstance(value, str) and not value.isascii() and not _encodable(value):
                raise Misread(f"row {number} holds half a character; take it out")
        rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row) or names)
    return pd.DataFrame(rows, index=list(records), columns=columns, dtype=object)


def _fields(record: dict[str, Any], before: str) -> Iterator[tuple[str, Any]]:
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
