"""What a dataset reader declares, and the registry of readers.

A reader is one file: a dataclass of options, and a function under the decorator `reader`:

    function(file, options) -> DataFrame
        file: a `content.File`. options: an instance of the dataclass. The columns are those of the
        file; the index holds the line, or the number, of each row; 0 for a row made of many.
        Raises ValueError, or `content.Misread` with a remedy, for a file that is not of the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from actadd.base.kinds import Kind, Kinds, declares, option
from actadd.data.content import suffix_of

if TYPE_CHECKING:
    import pandas as pd

# The reader of a file whose ending no reader takes.
DEFAULT = "csv"
# The reader of archives; any other file is read by its suffix.
ARCHIVES = "documents"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Keys of every reader: none."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """How a text file is written."""

    separator: str | None = option(
        "What stands between columns; if not given, a tab in files named .tsv and a comma in "
        "others.",
        None,
        title='one character, such as "\\t"',
        pattern=r'\A[^\n\r"]\Z',
    )
    quoting: Literal["double", "backslash", "none"] | None = option(
        "How quotes are written: doubled inside a text in quotes, after a backslash, or none, "
        "where quotes are text. If not given, doubled; with tabs, none unless the file is as a "
        "program writes it that doubles them.",
        None,
    )
    encoding: str | None = option(
        "Encoding of the text; if not given, what a byte order mark says, or UTF-8.",
        None,
        title="an encoding that Python knows, such as latin-1",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z",
    )
    columns: list[str] | None = option(
        "Names of the columns, for a file without a header.", None, min_length=1, unique=True
    )


@dataclass(frozen=True, kw_only=True)
class TextOptions(Options):
    """Keys of a reader of text files."""

    table: Table | None = option("How the file is written.", None)


@dataclass(frozen=True, kw_only=True)
class Reader(Kind):
    """A kind of dataset reader.

    suffixes: endings of files that it reads if the config names no format; a compressed file's
    ending is that of the file inside.
    """

    suffixes: tuple[str, ...] = ()


def reader(
    options: type[Options] = TextOptions, *, suffixes: tuple[str, ...] = (), name: str | None = None
) -> Callable[[Callable[..., pd.DataFrame]], Reader]:
    """Declare a reader: a decorator of its function; see `Reader`.

    options: dataclass of its options, a subclass of `Options` or `TextOptions`. name: that
    `format:` has in the config; the function's name if not given.
    """
    return declares(Reader, options, name, suffixes=suffixes)


READERS = Kinds(Reader, "actadd.data.readers", "dataset reader")


def by_suffix(suffix: str, table: Mapping[str, Any], names: Iterable[str]) -> str:
    """Which of the readers `names` takes a file of this ending. table: its entry's `table`."""
    # An encoding alone makes no table of a text.
    if suffix == ".txt" and table.keys() - {"encoding"}:
        return DEFAULT
    return next((name for name in names if suffix in READERS[name].suffixes), DEFAULT)


def possible_readers(entry: Mapping[str, Any]) -> list[str]:
    """Readers that the files of a dataset's config entry may need, before a file is there."""
    files = entry.get("files") or [entry["file"]] if "files" in entry or "file" in entry else []
    form = entry.get("format")
    names = {form} if form and files else set()
    if form in (None, ARCHIVES):
        for file in files:
            suffix = suffix_of(file)
            if suffix or not file.lower().endswith(".zip"):
                names.add(by_suffix(suffix, entry.get("table", {}), READERS))
            else:
                # The name of the file in the archive tells.
                names |= {DEFAULT, *(name for name in READERS if READERS[name].suffixes)}
    return sorted(names)
