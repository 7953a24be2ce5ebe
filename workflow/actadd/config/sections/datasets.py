"""Section `datasets`: prompts and texts."""

import functools
import itertools
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from actadd.base.errors import quote
from actadd.base.kinds import NAME, Rule, option
from actadd.config.files import CHECKOUT, holds, path_of
from actadd.config.kinds import Late, OneOf, declared, keys, optional
from actadd.config.sections.rules import (
    FileName,
    OwnFile,
    Problem,
    ShortText,
    known,
)
from actadd.data.readers.kinds import READERS

Group = Annotated[
    str,
    Rule(
        title="a name that is not empty, and not all, which stands for every group",
        pattern=r"^(?!all\Z)[\s\S]+\Z",
    ),
]
SplitName = Annotated[
    str,
    Rule(
        title=f"another name than all, which stands for every split: {NAME.title}",
        pattern=rf"^(?!all\Z){(NAME.pattern or '').removeprefix('^')}",
        max_length=NAME.max_length,
    ),
]
LowerCase = Annotated[str, Rule(title="a word in lower case", pattern=r"^[^A-Z\s]+\Z")]


@dataclass(frozen=True, kw_only=True)
class Columns:
    text: str | None = option("Column with the prompts or texts.", None)
    split: str | None = option("Column with the name of the split that a row belongs to.", None)
    target: str | None = option("Column with the continuation that is to be predicted.", None)
    group: str | None = option(
        "Column with the name of a group that gets numbers of its own.", None
    )
    label: str | None = option("Column with a number, such as people's rating of the text.", None)


@dataclass(frozen=True, kw_only=True)
class Frequency:
    words: list[LowerCase] = option(
        "The topic's words, as they stand between spaces.", min_length=1
    )
    bin: float = option(
        "Width of the groups, as a share of a document's words.", 0.005, minimum=0.0001, maximum=1
    )
    related: int | None = option(
        "Number of documents with the largest shares; all that have a word if not given.",
        None,
        minimum=1,
    )
    unrelated: int | None = option(
        "Number of documents with none of the words; all of them if not given.", None, minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class Dataset:
    title: str = option("What a caption says of the data.", min_length=1)
    texts: list[ShortText] | None = option(
        "The texts themselves, in place of a file.", None, min_length=1, max_length=200
    )
    source: str | None = option("Source in which file or files lie.", None, section="sources")
    stand_in: str | None = option(
        "The dataset that takes its place where npm, which its source needs, is missing.",
        None,
        section="datasets",
    )
    file: OwnFile | None = option(
        "File to read, in the source if there is one, else from the working directory.", None
    )
    files: list[FileName] | None = option(
        "Files of the source to read; each is a group if nothing else names groups.",
        None,
        min_length=1,
    )
    columns: Columns | None = option(
        "Which column of the file holds text, split, target, group and label, if not one of that "
        "name.",
        None,
    )
    format: str | None = option(
        "The form of the files; from their ending if it is not given. Compressed files are "
        "unpacked.",
        None,
        kinds=lambda: READERS,
    )
    group_names: dict[FileName, Group] | None = option(
        "File -> group of its rows.", None, min_length=1
    )
    html: bool = option("Take tags out and read entities.", False)
    groups: dict[Group, Annotated[list[float], Rule(min_length=2, max_length=2)]] | None = option(
        "Group -> lowest and highest label in it; rows in none are left out, and none may be in "
        "two.",
        None,
        min_length=1,
    )
    frequency: Frequency | None = option(
        "Choose documents by the share of their words that are among these words.", None
    )
    per_group: int | None = option(
        "At most this many documents, or rows, of each group.", None, minimum=1
    )
    order: Literal["file"] | None = option(
        "Rows are chosen as they stand in the file, not in the order of their hash.", None
    )
    sentences: bool = option("Cut each text, once chosen, into sentences.", False)
    punkt: str | None = option(
        "Source with NLTK's punkt_tab files, by which sentences are cut as NLTK does.",
        None,
        section="sources",
    )
    at_least_words: int | None = option(
        "Words that a text, or a sentence, needs to be kept.", None, minimum=1
    )
    at_least_characters: int | None = option(
        "Characters that a text, or a sentence, needs to be kept.", None, minimum=1
    )
    take_words: int | None = option("Cut each text after so many words.", None, minimum=1)
    splits: dict[SplitName, Annotated[float, Rule(exclusive_minimum=0)]] | None = option(
        "Split -> number of rows (of documents, if cut into sentences), or a share of them if "
        "below 1. The order in which they are written decides: the first split takes the first "
        "rows.",
        None,
        min_length=1,
    )


@functools.cache
def _dataset(readers: tuple[type, ...]) -> type:
    """The keys of a dataset. readers: the dataclasses of the readers' options."""
    return declared(
        "Dataset", [*keys(Dataset), *(optional(k) for each in readers for k in keys(each))]
    )


FROM = OneOf(
    (
        frozenset({"texts"}),
        frozenset({"file"}),
        frozenset({"file", "source"}),
        frozenset({"files", "source"}),
    ),
    "exactly one of texts, file, or files with a source",
)

AnyDataset = Annotated[
    Any,
    Late(lambda: Annotated[_dataset(tuple(kind.options for kind in READERS.values())), FROM]),
]


def own_file(key: str, file: str, root: Path) -> Iterator[Problem]:
    """A file of the user's in the working directory, or one that is shipped with the workflow."""
    path = path_of(file, root)
    if not holds(path, Path.is_file):
        encoding = sys.getfilesystemencoding()
        spelled = file.isascii() or encoding.startswith("utf")
        other = "" if spelled else f", or run with PYTHONUTF8=1: names are read in {encoding} here"
        yield key, f"{quote(file)} does not exist; write the path of a file{other}"
    elif not any(path.resolve().is_relative_to(each.resolve()) for each in (root, CHECKOUT)):
        yield (
            key,
            f"{file!r} is a link out of this folder; copy the file, or name it as a source with "
            "type: path",
        )


def problems(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    for name, entry in config["datasets"].items():
        key = f"datasets.{name}"
        if "source" not in entry and "file" in entry:
            yield from own_file(f"{key}.file", entry["file"], root)
        if "punkt" in entry and not entry["sentences"]:
            yield f"{key}.punkt", "it only cuts sentences; write sentences: true, or remove it"
        shares = [size for size in entry.get("splits", {}).values() if size < 1]
        if sum(shares) > 1 + 1e-9:
            yield f"{key}.splits", f"the shares add up to {sum(shares):g}; at most 1 can be taken"
        files = {*entry.get("files", []), *([entry["file"]] if "file" in entry else [])}
        for file in sorted(set(entry.get("group_names", {})) - files):
            names = ", ".join(sorted(files)) or "none"
            yield f"{key}.group_names", f"{file!r} is not among its files; they are: {names}"
        if "splits" in entry and "split" in entry.get("columns", {}):
            yield key, "splits and columns.split both say the splits; write one of them"
        for reader, kind in READERS.items():
            for own, _, field in keys(kind.options):
                needed = field.default is MISSING and field.default_factory is MISSING
                if needed and (own in entry) != (entry.get("format") == reader):
                    yield (
                        key,
                        f"format {reader} and {own} need each other; write both or neither",
                    )
        if "groups" in entry and "frequency" in entry:
            yield key, "groups and frequency both name the groups; write one of them"
        yield from _ranges(f"{key}.groups", entry.get("groups", {}))


def _ranges(key: str, groups: dict[str, list[float]]) -> Iterator[Problem]:
    ranges = sorted((low, high, group) for group, (low, high) in groups.items())
    for low, high, group in ranges:
        if low > high:
            yield f"{key}.{group}", f"{low:g} is above {high:g}; write the lower end first"
    for (_, high, group), (low, _, above) in itertools.pairwise(ranges):
        if low <= high:
            yield key, f"{group!r} and {above!r} overlap at {low:g}; move their ends"


def split(config: dict[str, Any], key: str, dataset: str, name: str) -> Iterator[Problem]:
    """A split that something reads of a dataset."""
    entry = config["datasets"][dataset]
    if name != "all" and "splits" in entry:
        yield from known(f"{key}.split", name, entry["splits"], "split")
    if name != "all" and "texts" in entry and "splits" not in entry:
        yield f"{key}.split", f"{name!r}, but datasets.{dataset} has no splits; write all"


def overlap(one: str, other: str) -> bool:
    """Whether two splits of a dataset have rows in common."""
    return one == other or "all" in (one, other)
