"""JSON documents."""

from __future__ import annotations

import json as library
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.kinds import option
from actadd.data.content import File, Misread
from actadd.data.readers.kinds import TextOptions, reader
from actadd.data.records import flat, loads, objects, of_lines

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class JsonOptions(TextOptions):
    records: str | None = option(
        "Key of a JSON document under which its rows are, dots between nested keys; if not given, "
        "its only list of objects.",
        None,
        min_length=1,
    )


@reader(JsonOptions, suffixes=(".json",))
def json(file: File, options: JsonOptions) -> pd.DataFrame:
    """Objects of a list in a JSON document, or its columns; nested fields get dotted names."""
    text = file.text()
    try:
        whole = loads(text)
    except library.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        # Lines of JSON are often called so.
        return flat(of_lines(file))
    records = _listed(whole, options.records)
    if not isinstance(records, list):
        raise ValueError("it is not a list of objects")
    return flat(objects(dict(enumerate(records, 1))))


def _listed(whole: Any, records: str | None) -> Any:
    """The list of rows in a JSON document: itself, the value of `records`, its only list, or its
    columns."""
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
    raise Misread(f"it is not a list of objects, but an object with the keys {keys}; {remedy}")


def _holds_a_list(part: dict[str, Any]) -> bool:
    return any(
        isinstance(value, list) or (isinstance(value, dict) and _holds_a_list(value))
        for value in part.values()
    )
