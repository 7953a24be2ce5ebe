"""Tables of text: comma-separated values and their relatives."""

from __future__ import annotations

import csv as library
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from actadd.data.content import File, Misread
from actadd.data.readers.kinds import Table, TextOptions, reader

if TYPE_CHECKING:
    import pandas as pd

TABS = (".tsv", ".tab")
SEPARATORS = (";", "\t", "|", ",")


@reader(suffixes=(".csv", *TABS))
def csv(file: File, options: TextOptions) -> pd.DataFrame:
    """Rows of a table of text, such as CSV or TSV, whose first line names the columns."""
    import pandas as pd

    layout = options.table or Table()
    separator = layout.separator or ("\t" if file.suffix in TABS else ",")
    text = file.text()
    if hint := re.match(r"sep=(.)\r?\n", text, re.IGNORECASE):
        raise Misread(
            f"line 1: {hint[0].strip()!r} is for Excel; delete that line and write "
            f"table: {{ separator: {json.dumps(hint[1])} }}"
        )
    quoting = layout.quoting or _quoting(text, separator, not layout.columns)
    # Once for all rows that need it: a large file has many.
    lines = cache(lambda: io.StringIO(text, newline="").readlines())
    names, rows = None, {}
    for line, row in _rows_of(text, separator, quoting):
        if names is None:
            names = layout.columns or row
            if not layout.columns:
                continue
        if not layout.quoting and separator != " ":
            _refuse_spaced_quotes(lines, line, row, separator)
        if len(row) != len(names):
            # Never cut or shifted: an unquoted comma would lose half of a text.
            raise Misread(
                f"line {line} has {len(row)} columns and there are {len(names)}; "
                + _recounted(names, row, separator, quoting, layout)
            )
        rows[line] = row
    names = names or layout.columns or []
    for name in names:
        if name and names.count(name) > 1:
            raise Misread(f"line 1: the column {name!r} stands in it twice; rename one")
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=names, dtype=object)


def _rows_of(text: str, separator: str, quoting: str) -> Iterator[tuple[int, list[str]]]:
    """(line that it starts on, cells) of each row that is not an empty line."""
    # A document may be one field.
    library.field_size_limit(2**31 - 1)
    style: Literal[0, 3] = library.QUOTE_NONE if quoting == "none" else library.QUOTE_MINIMAL
    escape = "\\" if quoting == "backslash" else None
    if escape:
        # A backslash before any other character is text: not all writers double it.
        other = re.compile(rf'\\(?:(["\\\r\n]|{re.escape(separator)})|)')
        text = other.sub(lambda match: match[0] if match[1] else r"\\", text)
    stream = io.StringIO(text, newline="")
    rows = library.reader(
        stream, delimiter=separator, quoting=style, escapechar=escape, strict=True
    )
    start = 1
    while True:
        try:
            row = next(rows, None)
        except library.Error as error:
            raise Misread(_misquoted(text, start, rows.line_num, str(error))) from error
        if row is None:
            return
        if row:
            yield start, row
        start = rows.line_num + 1


def _recounted(
    names: list[str], row: list[str], separator: str, quoting: str, layout: Table
) -> str:
    """What to do about a row with another number of columns than the names."""
    remedies = [f"put texts with {separator!r} in double quotes"]
    if quoting == "none":
        # Where quotes are text, they hold nothing together.
        remedies = ["write table: { quoting: double } if quotes enclose texts"]
    if layout.columns:
        remedies.append("name all columns in table.columns")
    elif len(row) == len(names) + 1 and row[0].isdigit():
        remedies.append("name the row numbers in the first line too (R: row.names = FALSE)")
    other = [sep for sep in SEPARATORS if sep in names[0] and len(names) == 1]
    if other:
        remedies.append(f"write table: {{ separator: {json.dumps(other[0])} }}")
    return ", or ".join(remedies)


def _refuse_spaced_quotes(
    lines: Callable[[], list[str]], line: int, row: list[str], separator: str
) -> None:
    """A quote after a space encloses nothing, and would stay in the text."""
    if any(cell.startswith(" ") and cell.lstrip(" ").startswith('"') for cell in row):
        raw = lines()[line - 1]
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
