"""Reading one file of a dataset, whatever its format, as a plain table."""

import csv
import json
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.base.errors import UserError
from actadd.base.kinds import build
from actadd.data.content import File, Misread
from actadd.data.readers.kinds import ARCHIVES, READERS, by_suffix

ROLES = ("text", "split", "target", "group", "label")
SEPARATORS = (";", "\t", "|", ",")


def read(path: Path, spec: dict[str, Any], key: str) -> pd.DataFrame:
    """The file's rows, with those of the columns of `ROLES` that it has; text always.

    The index holds the line that each row starts on, or its number in a list, a binary table or an
    archive; 0 if a row is made from many. Cells are objects: texts exactly as they are, numbers of
    JSON too. A file may be compressed.
    spec: the dataset's config entry; format, columns and the options of the reader are used;
    `readers`: names of those that a file's ending chooses from, all if not given. Raises UserError
    if the file is not of its format or lacks a column that the config names.
    """
    file = File(path, spec.get("table", {}).get("encoding"))
    form = _format(file, spec)
    try:
        raw = READERS[form](file, build(READERS[form].options, spec))
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


def _format(file: File, spec: dict[str, Any]) -> str:
    """The name of the reader of a file: the entry's format, or by the ending of the file's name."""
    form: str | None = spec.get("format")
    if form and (form != ARCHIVES or tarfile.is_tarfile(file.path)):
        return form
    return by_suffix(file.suffix, spec.get("table", {}), spec.get("readers", READERS))


def _missing(role: str, name: str, columns: list[Any], path: Path, key: str) -> str:
    """That a file lacks a column, and what its header looks like instead."""
    listed = ", ".join(map(str, columns))[:200] or "none"
    message = f"{key}.columns.{role}: {path} has no column {name!r}, it has {listed}"
    alike = [str(other) for other in columns if str(other).strip().lower() == name.lower()]
    separators = [sep for sep in SEPARATORS if any(sep in str(other) for other in columns)]
    if alike:
        return f"{message}; write columns: {{ {role}: {alike[0]!r} }}"
    if len(columns) == 1 and separators:
        return f"{message}; write table: {{ separator: {json.dumps(separators[0])} }}"
    return f"{message}; name the column in columns, or those of a file without a header in table"


def _say_unread(raw: pd.DataFrame, names: dict[str, str], path: Path, key: str) -> None:
    """Names columns that are a role's but for their case: they are not read."""
    for role in ROLES:
        alike = [c for c in raw if str(c).strip().lower() == role and c not in names.values()]
        if alike and role not in raw and role not in names:
            print(
                f"{key}: the column {alike[0]!r} of {path.name} is not read; if it is meant, write "
                f"columns: {{ {role}: {alike[0]!r} }}",
                flush=True,
            )
