"""Lists of a config: one entry written once, for each item of a list.

    lists:
      concept: [bread, ice cream]
    vectors:
      "{concept}-word": { kind: pair, positive: "{concept.text}", negative: " " }

makes the vectors bread-word and ice-cream-word. It happens before anything else is checked.
"""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from actadd.base.errors import quote
from actadd.base.kinds import Rule, name_of, option
from actadd.config import files
from actadd.config.messages import Lines, explained, located
from actadd.config.models import models
from actadd.config.sections.rules import NotBlank
from actadd.config.sections.sources import expanded

# Column of an item's text; its name, made from that, has none.
TEXT, NAME = "text", ""
# Names of lists, which stand in braces.
ListName = Annotated[
    str, Rule(title="lower-case letters a to z, digits and _", pattern=r"^[a-z][a-z0-9_]*\Z")
]


@dataclass(frozen=True, kw_only=True)
class ListFile:
    file: str = option(
        "CSV file with a header, one item a row, in data_dir or else in the working directory.",
        min_length=1,
    )
    column: str = option("Its column with the items' texts.", TEXT)


Items = Annotated[list[NotBlank], Rule(min_length=1, unique=True)] | ListFile


@dataclass(frozen=True, kw_only=True)
class Lists:
    lists: dict[ListName, Items] = option(
        "Lists of texts. A key with {LIST} in it stands for one entry for each item, whose name it "
        "is, in lower case with hyphens; {LIST.text} below is the item's text, {LIST.COLUMN} a "
        "column of its file.",
        {},
    )


# Items of a list: their name and their columns' values.
Item = Mapping[str, str]


def spelled_out(config: dict[str, Any], root: Path, lines: Lines) -> tuple[dict[str, Any], Lines]:
    """The config with every entry of a list written out, and the lines of what it holds then.

    A key of a mapping that has {LIST} in it stands for one key for each item, and so does a text in
    a list; several lists give all combinations. Raises UserError for a list without items that can
    be told apart, a placeholder without an item, a key that occurs twice, or too many entries.
    """
    if not config.get("lists"):
        return config, lines
    try:
        models().of(Lists).model_validate({"lists": config["lists"]})
    except ValidationError as error:
        raise explained(error, Lists, lines) from None
    data_dir = config.get("data_dir")
    folder = expanded(data_dir) if isinstance(data_dir, str) else None
    folders = [root / folder, root] if folder else [root]
    try:
        items = {
            name: _items(f"lists.{name}", value, folders) for name, value in config["lists"].items()
        }
        writer = _Writer(items, lines)
        rest = {key: value for key, value in config.items() if key != "lists"}
        written = writer.mapping(rest, (), "", {})
    except _ProblemError as problem:
        key, sentence = problem.args
        raise located(key, sentence, lines) from None
    return {"lists": config["lists"], **written}, {**lines, **writer.written_lines}


class _ProblemError(Exception):
    """A `Problem`, whose key is as the config writes it."""


def _items(key: str, value: Any, folders: list[Path]) -> list[Item]:
    if isinstance(value, list):
        rows: list[dict[str, str]] = [{TEXT: text} for text in value]
    else:
        rows = _rows(key, value["file"], value.get("column", TEXT), folders)
    items: dict[str, Item] = {}
    for row in rows:
        name = name_of(row[TEXT])
        if not name:
            raise _ProblemError(
                key, f"{quote(row[TEXT])} has no letter a to z or digit for a name; write another"
            )
        if name in items:
            both = f"{quote(items[name][TEXT])} and {quote(row[TEXT])}"
            raise _ProblemError(key, f"{both} are both named {name}; rename one")
        items[name] = {**row, NAME: name}
    return list(items.values())


def _rows(key: str, file: str, column: str, folders: list[Path]) -> list[dict[str, str]]:
    paths = [path for folder in folders if (path := files.path_of(file, folder)).is_file()]
    if not paths:
        raise _ProblemError(
            f"{key}.file",
            f"{quote(file)} is neither in data_dir nor in the working directory; write the path of "
            "a CSV file",
        )
    try:
        with paths[0].open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, restval="", strict=True))
    except (OSError, UnicodeError, csv.Error) as error:
        sentence = f"{quote(file)} cannot be read ({error}); write a CSV file in UTF-8"
        raise _ProblemError(f"{key}.file", sentence) from None
    if not rows:
        raise _ProblemError(f"{key}.file", f"{quote(file)} has no rows; write one for each item")
    if column not in rows[0]:
        has = ", ".join(filter(None, rows[0]))
        raise _ProblemError(f"{key}.column", f"{quote(file)} has no {column!r}; it has {has}")
    # What stands beyond the header has no column.
    texts = [{name: text for name, text in row.items() if name is not None} for row in rows]
    return [{**row, TEXT: row[column]} for row in texts]


@dataclass
class _Writer:
    """Writes a config out. items: of each list. lines: of the config as it was written."""

    items: Mapping[str, list[Item]]
    lines: Lines
    written_lines: dict[str, tuple[str, int]] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.pattern = re.compile(r"\{(" + "|".join(self.items) + r")(?:\.([^{}]+))?\}")

    def mapping(
        self, value: Mapping[str, Any], path: tuple[str, ...], key: str, bound: Mapping[str, Item]
    ) -> dict[str, Any]:
        """path: of the mapping in the written config. key: in the config as it was."""
        result: dict[str, Any] = {}
        for name, item in value.items():
            old = f"{key}.{name}" if key else name
            for each in self.combinations(name, bound):
                new = self.text(name, old, each)
                if new in result:
                    raise _ProblemError(old, f"{new!r} occurs twice; rename one of the two")
                inner = (*path, new)
                if old in self.lines:
                    self.written_lines[".".join(inner)] = self.lines[old]
                result[new] = self.value(item, inner, old, each)
        return result

    def value(self, value: Any, path: tuple[str, ...], key: str, bound: Mapping[str, Item]) -> Any:
        self.count += 1
        if self.count > files.MOST_VALUES:
            raise _ProblemError(
                key, f"its lists make more than {files.MOST_VALUES:,} values; shorten them"
            )
        if isinstance(value, dict):
            return self.mapping(value, path, key, bound)
        if isinstance(value, str):
            return self.text(value, key, bound)
        if not isinstance(value, list):
            return value
        written: list[Any] = []
        for index, item in enumerate(value):
            old = f"{key}.{index}"
            bounds = self.combinations(item, bound) if isinstance(item, str) else [bound]
            for each in bounds:
                written.append(self.value(item, (*path, str(len(written))), old, each))
        return written

    def combinations(self, text: str, bound: Mapping[str, Item]) -> Iterable[Mapping[str, Item]]:
        """What is bound below a key, once for each combination of items of lists that it names."""
        new = [name for name in dict.fromkeys(self.named(text)) if name not in bound]
        for some in itertools.product(*(self.items[name] for name in new)):
            yield {**bound, **dict(zip(new, some, strict=True))}

    def named(self, text: str) -> Iterator[str]:
        yield from (match[1] for match in self.pattern.finditer(text))

    def text(self, text: str, key: str, bound: Mapping[str, Item]) -> str:
        def column(match: re.Match[str]) -> str:
            name, column = match[1], match[2] or NAME
            if name not in bound:
                raise _ProblemError(
                    key, f"{match[0]} has no item here; put {{{name}}} into a key above it"
                )
            if column not in bound[name]:
                has = ", ".join(f"{{{name}.{each}}}" for each in bound[name] if each)
                raise _ProblemError(key, f"the list has no {match[0]}; write {{{name}}}, or {has}")
            return bound[name][column]

        return self.pattern.sub(column, text)
