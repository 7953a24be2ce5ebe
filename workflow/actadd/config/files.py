"""Reading config files: nothing in them is run, and nothing in them is silently lost.

YAML lets a key stand twice (the last one wins), reads `no` and `12:30` as other things than text,
and can name objects to be made, or aliases that stand for more values than memory holds. So the
parsed nodes are looked at, with their line numbers, before any value is made from them.
"""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from actadd.base.errors import UserError

# What a config may hold; a long list of numbers has thousands of values, a bomb has billions.
MOST_BYTES, MOST_VALUES, MOST_DEEP = 5_000_000, 200_000, 40
PREFIX = "tag:yaml.org,2002:"
PLAIN = {PREFIX + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
# Snakemake evaluates Python in a file with this key at its top.
TEMPLATE = "__use_yte__"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(files: Iterable[Path | str]) -> dict[str, Any]:
    """The config that several files make, each on top of those before it, as Snakemake merges them.

    The keys of a mapping stand in the order of the last file that writes all of them, else in that
    of the first. Raises UserError, see `read`.
    """
    config: dict[str, Any] = {}
    for file in files:
        _merge(config, read(file))
    return config


def read(file: Path | str) -> dict[str, Any]:
    """One config file as plain values.

    Raises UserError, naming file, line and remedy, if it is missing, not UTF-8, not YAML with keys
    at its top, too large, or holds a key twice or what is no plain value.
    """
    text = _text(Path(file))
    try:
        _shallow(text, file)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            for line, problem in _problems(node):
                raise UserError(f"{file}, line {line}: {problem}")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise UserError(_said(file, text, error)) from None


def _shallow(text: str, file: Path | str) -> None:
    """Raises UserError if it is nested deeper than can be read without a crash of the parser."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEEP:
            line = event.start_mark.line + 1
            raise UserError(
                f"{file}, line {line}: more than {MOST_DEEP} lists and mappings in one another; "
                "write it flatter"
            )


def _merge(below: dict[str, Any], above: dict[str, Any]) -> None:
    whole = below.keys() <= above.keys()
    for key, value in above.items():
        # A key that is taken out and put in again comes last.
        under = below.pop(key, None) if whole else below.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            _merge(under, value)
            value = under
        below[key] = value


def in_order(config: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """A merged config with its keys in the order in which the files write them.

    Snakemake puts what the command line names before the workflow's own files, and then merges
    them: a key that several files hold would stand where the last of them has it. written: what
    `load` gives; keys that it lacks come after those that it has.
    """
    names = [name for name in written if name in config]
    names += [name for name in config if name not in written]
    return {
        name: in_order(config[name], written[name])
        if isinstance(config[name], dict) and isinstance(written.get(name), dict)
        else config[name]
        for name in names
    }


def _text(file: Path) -> str:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise OSError("it is no file")
        if file.stat().st_size > MOST_BYTES:
            raise UserError(
                f"{file}: it is larger than {MOST_BYTES:,} bytes; texts belong in a file that a "
                "dataset names"
            )
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{str(file)!r} cannot be read ({reason}); name a config file") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{file}, line {line}: the byte 0x{data[error.start]:02x} is not UTF-8; save the file "
            "as UTF-8"
        ) from None


def _said(file: Path | str, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{file}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(file)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "is wrong"
    remedy = "check indentation, brackets and quotes there and just above"
    lines = text.split("\n")
    found = lines[mark.line][mark.column :][:1] if mark and mark.line < len(lines) else ""
    if found == "\t":
        remedy = "indent with spaces, not tabs"
    elif found in ("@", "`", "%") or "mapping values" in problem:
        remedy = "put a text with a colon or another special character in quotes"
    elif "Unicode character escape" in problem:
        # As JSON writes an emoji: by two halves.
        remedy = "write the character itself"
    return f"{place}: this is no YAML: {problem}; {remedy}"


def _problems(top: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """(line, sentence) for what YAML allows and a config must not hold, in the file's order."""
    if not isinstance(top, yaml.MappingNode):
        yield 1, "a config has keys at its top, such as seed: 0, and this has none; write them"
        return
    for key, _ in top.value:
        if key.value == TEMPLATE:
            yield _line(key), f"{TEMPLATE} would run code; take it out and write plain values"
    sizes: dict[int, int] = {}
    yield from _looked_at(top, (), sizes)
    if sizes[id(top)] > MOST_VALUES:
        yield (
            1,
            f"its aliases (*name) make it {sizes[id(top)]:.3g} values, more than {MOST_VALUES:,}; "
            "write what you mean without them",
        )


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _looked_at(
    node: yaml.Node, path: tuple[str, ...], sizes: dict[int, int]
) -> Iterator[tuple[int, str]]:
    """Problems of a node and all below it. sizes: values that each node stands for; 0 while it is
    being looked at. A node that aliases share is looked at once."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            yield _line(node), f"{_key(path)}: it holds itself, by an alias; write it out"
        return
    sizes[id(node)] = 0
    if node.tag not in PLAIN:
        yield _line(node), f"{_key(path)}: {_untagged(node)}"
    size = 1
    if isinstance(node, yaml.ScalarNode):
        yield from ((_line(node), f"{_key(path)}: {said}") for said in _number(node))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _looked_at(item, (*path, str(index)), sizes)
            size += sizes[id(item)]
    else:
        seen: dict[str, int] = {}
        for key, item in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "[...]"
            if key.tag == PREFIX + "merge":
                name = "<<"
            elif key.tag != PREFIX + "str":
                yield _line(key), f"{_key(path)}: the key {name[:60]} is no text; put it in quotes"
            place = (*path, name)
            if name in seen:
                yield (
                    _line(key),
                    f"{_key(place)}: this key stands already on line {seen[name]}, and only one "
                    "of the two would count; remove one or rename it",
                )
            seen[name] = _line(key)
            yield from _looked_at(item, place, sizes)
            size += sizes[id(item)]
    sizes[id(node)] = size


def _key(path: tuple[str, ...]) -> str:
    return ".".join(part if len(part) <= 60 else part[:57] + "..." for part in path) or "the config"


def _untagged(node: yaml.Node) -> str:
    name = node.tag.removeprefix(PREFIX)
    if name in ("timestamp", "value"):
        return f"{node.value} is read as a {name}, which no key takes; put it in quotes"
    shown = f"!!{name}" if node.tag.startswith(PREFIX) else node.tag
    return f"{shown[:80]} asks for another thing than a plain value; write text, numbers or lists"


def _number(node: yaml.ScalarNode) -> Iterator[str]:
    """Whole numbers that YAML reads otherwise than people do."""
    if node.tag != PREFIX + "int":
        return
    digits = node.value.lstrip("+-")
    if len(digits) > 30:
        yield f"{digits[:20]}... has {len(digits)} digits; write a number that can be meant"
    if ":" in digits:
        yield f"{node.value} is read as a number to base 60; put a text in quotes"
    if len(digits) > 1 and digits[0] == "0" and digits[1] not in "xob":
        yield f"{node.value} is read as an octal number; write it without the first 0, or in quotes"
