"""Reading config files: nothing in them is run, and nothing in them is silently lost.

YAML lets a key stand twice (the last one wins), reads `no` and `12:30` as other things than text,
and can name objects to be made, or aliases that stand for more values than memory holds. So the
parsed nodes are looked at, with their line numbers, before any value is made from them.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from actadd.base.errors import UserError

# What a config may hold; a long list of numbers has thousands of values, a bomb has billions.
MOST_BYTES, MOST_VALUES, MOST_DEEP = 5_000_000, 200_000, 40
PREFIX = "tag:yaml.org,2002:"
PLAIN = {PREFIX + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
# Key of the config files that a file lies on top of.
BUILDS_ON = "builds_on"
# Snakemake evaluates Python in a file with this key at its top.
TEMPLATE = "__use_yte__"
# What is shipped beside the Snakefile is read from whatever folder the workflow runs in.
CHECKOUT = Path(__file__).resolve().parents[3]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loaded(dict[str, Any]):
    """A config from files.

    lines: path of a key, with dots -> file and line that write it last. named: the files that were
    named, without those that they build on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, tuple[str, int]] = {}
        self.named: set[str] = set()


def holds(path: Path, test: Callable[[Path], bool]) -> bool:
    """Whether a path passes a test; a name that no disk takes does not."""
    try:
        return test(path)
    except OSError:
        return False


def path_of(name: str, folder: Path) -> Path:
    """The path of a file that a config names: in a folder, or else beside the workflow."""
    path, shipped = folder / name, CHECKOUT / name
    return shipped if holds(shipped, Path.exists) and not holds(path, Path.exists) else path


def load(files: Iterable[Path | str], above: Mapping[str, Any] | None = None) -> Loaded:
    """The config that several files make, each on top of those before it, as Snakemake merges them.

    What a file builds on lies right below it; a file counts once, where it comes first. The keys of
    a mapping stand in the order of the last file that writes all of them, else in that of the
    first. above: values on top of all, such as those of the command line; what these build on
    starts from the working directory. Raises UserError, see `read`.
    """
    config = Loaded()
    merged: set[Path] = set()
    for file in files:
        _load(Path(file), config, merged, ())
        config.named.add(str(Path(file)))
    values = {**(above or {})}
    for base in _bases(values.pop(BUILDS_ON, None), Path(), str(BUILDS_ON)):
        _load(base, config, merged, ())
    _merge(config, values)
    for key in _paths(values):
        config.lines.pop(key, None)
    return config


def _load(file: Path, config: Loaded, merged: set[Path], above: tuple[Path, ...]) -> None:
    """Merge a file, and before it what it builds on. above: the files that build on it."""
    path = file.absolute()
    path = Path(os.path.normpath(path))
    if path in above:
        chain = " -> ".join(str(each) for each in (*above[above.index(path) :], path))
        raise UserError(f"{file}: {BUILDS_ON}: it builds on itself: {chain}; remove one of these")
    if path in merged:
        return
    merged.add(path)
    values, lines = _read(file)
    for base in _bases(values.pop(BUILDS_ON, None), file.parent, f"{file}: {BUILDS_ON}"):
        _load(base, config, merged, (*above, path))
    _merge(config, values)
    config.lines |= {key: (str(file), line) for key, line in lines.items()}


def _bases(value: Any, folder: Path, key: str) -> list[Path]:
    names = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{key}: {value!r} is not a path; write that of a config file, or a list")
    return [path_of(name, folder) for name in names]


def _paths(values: Mapping[str, Any], key: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{key}{name}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{key}{name}.")


def read(file: Path | str) -> dict[str, Any]:
    """One config file as plain values, without what it builds on.

    Raises UserError, naming file, line and remedy, if it is missing, not UTF-8, not YAML with keys
    at its top, too large, or holds a key twice or a value that is not plain.
    """
    return _read(file)[0]


def _read(file: Path | str) -> tuple[dict[str, Any], dict[str, int]]:
    """A config file as plain values, and the line of each key."""
    text = _text(Path(file))
    try:
        _shallow(text, file)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            for line, problem in _problems(node):
                raise UserError(f"{file}, line {line}: {problem}")
            lines = dict(_lines(node, ())) if node else {}
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise UserError(_message(file, text, error)) from None


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """(path with dots, line) of each key and each item of a list."""
    if isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            # In a mapping that is merged, keys stand where the mapping does.
            inner = path if key.tag == PREFIX + "merge" else (*path, str(key.value))
            yield ".".join(inner), _line(key)
            yield from _lines(item, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            inner = (*path, str(index))
            yield ".".join(inner), _line(item)
            yield from _lines(item, inner)


def _shallow(text: str, file: Path | str) -> None:
    """Raises UserError if it is nested deeper than can be read without a crash of the parser."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEEP:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise UserError(
                f"{file}, line {line}: lists and mappings are nested more than {MOST_DEEP} deep; "
                "use fewer levels"
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


def _text(file: Path) -> str:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise OSError("not a file")
        if file.stat().st_size > MOST_BYTES:
            raise UserError(
                f"{file}: a config has at most {MOST_BYTES:,} bytes; put texts into a file that a "
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


def _message(file: Path | str, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{file}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(file)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "is wrong"
    remedy = "check indentation, brackets and quotes at this line and just above"
    lines = text.split("\n")
    found = lines[mark.line][mark.column :][:1] if mark and mark.line < len(lines) else ""
    if found == "\t":
        remedy = "indent with spaces, not tabs"
    elif found in ("@", "`", "%") or "mapping values" in problem:
        remedy = "put a text with a colon or another special character in quotes"
    elif "Unicode character escape" in problem:
        # As JSON writes an emoji: by two halves.
        remedy = "write the character itself"
    return f"{place}: not valid YAML: {problem}; {remedy}"


def _problems(top: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """(line, sentence) for what YAML allows and a config must not hold, in the file's order."""
    if not isinstance(top, yaml.MappingNode):
        yield 1, "a config is a mapping of keys, and this file is not; write keys, such as seed: 0"
        return
    for key, _ in top.value:
        if key.value == TEMPLATE:
            yield _line(key), f"{TEMPLATE} would run code; remove it and write plain values"
    sizes: dict[int, int] = {}
    yield from _looked_at(top, (), sizes)
    if sizes[id(top)] > MOST_VALUES:
        yield (
            1,
            f"its aliases (*name) expand to {sizes[id(top)]:.3g} values, and at most "
            f"{MOST_VALUES:,} are allowed; use fewer aliases",
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
            yield (
                _line(node),
                f"{_key(path)}: an alias makes it contain itself; write it without the alias",
            )
        return
    sizes[id(node)] = 0
    if node.tag not in PLAIN:
        yield _line(node), f"{_key(path)}: {_untagged(node)}"
    size = 1
    if isinstance(node, yaml.ScalarNode):
        yield from ((_line(node), f"{_key(path)}: {problem}") for problem in _number(node))
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
                yield (
                    _line(key),
                    f"{_key(path)}: the key {name[:60]} is not a text; put it in quotes",
                )
            inner = (*path, name)
            if name in seen:
                yield (
                    _line(key),
                    f"{_key(inner)}: the key is also on line {seen[name]}, and YAML keeps only the "
                    "last; remove or rename one of them",
                )
            seen[name] = _line(key)
            yield from _looked_at(item, inner, sizes)
            size += sizes[id(item)]
    sizes[id(node)] = size


def _key(path: tuple[str, ...]) -> str:
    return ".".join(part if len(part) <= 60 else part[:57] + "..." for part in path) or "the config"


def _untagged(node: yaml.Node) -> str:
    name = node.tag.removeprefix(PREFIX)
    if name in ("timestamp", "value"):
        return f"{node.value} is a {name} in YAML, which no key takes; put it in quotes"
    tag = f"!!{name}" if node.tag.startswith(PREFIX) else node.tag
    return f"{tag[:80]} is not a plain value; write a text, a number, a list or keys with values"


def _number(node: yaml.ScalarNode) -> Iterator[str]:
    """Whole numbers that YAML reads otherwise than people do."""
    if node.tag != PREFIX + "int":
        return
    digits = node.value.lstrip("+-")
    if len(digits) > 30:
        yield f"{digits[:20]}... has {len(digits)} digits; write a smaller number"
    if ":" in digits:
        yield f"{node.value} is a number in base 60 in YAML; put it in quotes"
    if len(digits) > 1 and digits[0] == "0" and digits[1] not in "xob":
        yield f"{node.value} is an octal number in YAML; remove the first 0, or put it in quotes"
