"""Messages about a config: the key, its value, what to write instead, and where it stands."""

import dataclasses
import typing
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from actadd.base.errors import UserError, quote
from actadd.base.files import canonical
from actadd.base.kinds import Rule
from actadd.base.names import nearest
from actadd.config.kinds import (
    BRANCH,
    Family,
    Mark,
    OneOf,
    bare,
    branches,
    is_union,
    options,
)

# (file, line) of a key, by its path with dots.
Lines = Mapping[str, tuple[str, int]]

# Types of a value in words.
TYPES = {
    "object": "keys with values",
    "array": "a list",
    "string": "a text (type string)",
    "integer": "a whole number (type integer)",
    "number": "a number",
    "boolean": "true or false",
}
# pydantic's types of errors for a value of another type -> the type that is asked for.
WRONG_TYPE = {
    "string_type": "string",
    "int_type": "integer",
    "float_type": "number",
    "bool_type": "boolean",
    "list_type": "array",
    "dict_type": "object",
    "model_type": "object",
}
LIMITS = {
    "greater_than_equal": ("ge", "below the minimum"),
    "greater_than": ("gt", "at or below the minimum"),
    "less_than_equal": ("le", "above the maximum"),
}


def located(key: str, sentence: str, lines: Lines) -> UserError:
    """The error of a key, with the file and line where it, or what it should stand in, does."""
    inner = key
    while inner not in lines and "." in inner:
        inner = inner.rpartition(".")[0]
    where = "{}, line {}: ".format(*lines[inner]) if inner in lines else ""
    return UserError(f"{where}{key}: {sentence}")


def explained(error: ValidationError, declaration: type, lines: Lines) -> UserError:
    """The error that is nearest to the top of a config, as one sentence."""
    candidates = []
    for detail in error.errors(include_url=False):
        path, hint, mark = _place(declaration, detail["loc"], detail["type"], detail["input"])
        if detail["type"] == "missing":
            path = path[:-1]
        # A misspelt key is unknown, and the right one is missing.
        rank = (len(path), detail["type"] != "extra_forbidden")
        candidates.append((rank, path, hint, mark, detail))
    _, path, hint, mark, detail = min(candidates, key=lambda each: each[0])
    key = ".".join(path) or "the config"
    sentence = _sentence(detail, hint, mark)
    # What is unknown stands on its own line.
    if detail["type"] == "extra_forbidden":
        inner = ".".join((*path, str(detail["loc"][-1])))
        lines = {**lines, key: lines[inner]} if inner in lines else lines
        key = inner if _having(detail["loc"][-1], mark) else key
    return located(key, sentence, lines)


def _place(
    declaration: type, location: tuple[int | str, ...], kind: str, value: Any
) -> tuple[list[str], Any, Mark | None]:
    """(path in the config, hint, mark) of the location of an error.

    Of an unknown or a missing key, and of a key that is no name, the path is that of the mapping.
    """
    path: list[str] = []
    hint: Any = declaration
    rule: Mark | None = None
    family: Family | None = None
    parent: Any = None
    for index, part in enumerate(location):
        plain, mark = bare(hint)
        last = index == len(location) - 1
        if isinstance(part, str) and part.startswith(BRANCH):
            if isinstance(mark, Family):
                hint, rule, family = mark.declaration(part.removeprefix(BRANCH)), None, mark
            else:
                # What the whole union asks for is said of its scalars.
                hint, rule = branches(plain)[part], mark or rule
        elif part == "[key]" and last:
            plain, _ = bare(parent)
            key_hint, key_mark = bare(typing.get_args(plain)[0])
            return path[:-1], key_hint, key_mark
        elif dataclasses.is_dataclass(plain):
            known = options(typing.cast(type, plain))
            if part not in known:
                return path, plain, family
            path.append(str(part))
            of_mapping = kind in ("missing", "extra_forbidden")
            if family and last and of_mapping and isinstance(value, dict) and part not in value:
                return path, plain, family
            family = None
            hint, rule = known[str(part)].hint, known[str(part)].rule
        else:
            parent = hint
            path.append(str(part))
            arguments = typing.get_args(plain)
            hint = arguments[-1] if arguments else Any
            rule = None
    plain, mark = bare(hint)
    if isinstance(mark, Family) and isinstance(value, dict) and mark.key in value:
        path.append(mark.key)
    if isinstance(mark, Rule) and isinstance(rule, Rule):
        mark = dataclasses.replace(mark, title=mark.title or rule.title)
    return path, plain, mark or rule


def _sentence(detail: Any, hint: Any, mark: Mark | None) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    key = detail["loc"][-1] if detail["loc"] else ""
    title = mark.title if isinstance(mark, Rule | OneOf) else None
    text = _shown(value, mark, ascii_only=kind in ("string_pattern_mismatch", "literal_error"))
    match kind:
        case "extra_forbidden":
            known = [*options(hint), *([mark.key] if isinstance(mark, Family) else [])]
            unknown = ascii(key)[:80]
            names = ", ".join(sorted(known))
            if others := _having(key, mark):
                of = f" of {_of_kind(mark, detail)}, it is one of {', '.join(others)}"
                return f"unknown key {unknown}{of}; remove the key; known keys are {names}"
            return f"unknown key {unknown}{nearest(key, known)}; known keys are {names}"
        case "missing" if isinstance(mark, Family) and len(detail["loc"]) > 1:
            return f"the key {key!r} of {_of_kind(mark, detail)} is missing; add it"
        case "missing":
            return f"the key {key!r} is missing; add it"
        case "having":
            return f"the key {context['key']!r} is missing; add it"
        case "union_tag_not_found" | "union_tag_invalid" if isinstance(mark, Family):
            if not isinstance(value, dict):
                return f"{text} has the wrong type; write {TYPES['object']}"
            return _kind(value, mark)
        case "literal_error":
            choices = (
                mark.kinds() if isinstance(mark, Rule) and mark.kinds else typing.get_args(hint)
            )
            allowed = [str(each) for each in choices]
            remedy = title or f"one of {', '.join(allowed)}"
            return f"{text} is not known{nearest(value, allowed)}; write {remedy}"
        case "int_type" | "float_type" if title:
            return f"{text} is {_asked(value, title)}"
        case _ if kind in WRONG_TYPE:
            return f"{text} has the wrong type; write {_typed(value, WRONG_TYPE[kind])}"
        case "not_unique":
            return f"{text} names something twice; write each once"
        case "too_short" | "string_too_short" if not value:
            some = {"[]": "at least one entry", "{}": "at least one key"}
            return f"it is empty; write {some.get(str(value), 'a text')}"
        case "too_short":
            return f"{text} has {len(value)} entries; write {context['min_length']}"
        case "too_long" | "string_too_long":
            what = "characters" if kind == "string_too_long" else "entries"
            size = len(value) if isinstance(value, str | list | dict) else "too many"
            return (
                f"{text} has {size} {what}, and at most {context['max_length']} fit; shorten it, "
                "or put texts into a dataset's file"
            )
        case _ if kind in LIMITS:
            name, words = LIMITS[kind]
            return f"{text} is {words} of {context[name]:g}; write another number"
        case "union_tag_not_found" | "union_tag_invalid":
            return f"{text} is {_asked(value, title or _alternatives(hint))}"
    return f"{text} is not allowed; write {title or 'what the reference of config keys says'}"


def _having(key: Any, mark: Mark | None) -> list[str]:
    """The kinds of a family that have a key."""
    if not isinstance(mark, Family):
        return []
    return [kind for kind in mark.kinds if key in options(mark.declaration(kind))]


def _of_kind(family: Any, detail: Any) -> str:
    """The key of a family and the kind that an entry names."""
    branch = [part for part in detail["loc"] if str(part).startswith(BRANCH)][-1]
    return f"{family.key} {branch.removeprefix(BRANCH)}"


def _asked(value: Any, title: str) -> str:
    """What is wrong with a value of another type than those of a title, and what to write."""
    number = _number(value) if isinstance(value, str) else None
    if number is not None and "number" in title:
        return f"a text; write {title}: {number}, without quotes"
    return f"not allowed; write {title}"


def _kind(value: dict[str, Any], family: Family) -> str:
    """A family's entry without a kind, or with an unknown one."""
    if family.key not in value and family.default is None:
        return f"the key {family.key!r} is missing; add it"
    kinds = list(family.kinds)
    kind = value[family.key]
    return f"{quote(kind)} is not known{nearest(kind, kinds)}; write one of {', '.join(kinds)}"


def _alternatives(hint: Any) -> str:
    """The branches of a union in words."""
    words = []
    for branch in branches(hint) if is_union(hint) else ():
        kind, _, key = branch.removeprefix(BRANCH).partition(" with ")
        words.append(f"{{ {key}: ... }}" if key else TYPES[kind].partition(" (")[0])
    return " or ".join(words)


def _shown(value: Any, mark: Mark | None, ascii_only: bool) -> str:
    if isinstance(mark, Rule) and mark.secret:
        # A secret may have been written there.
        return "its value"
    if isinstance(value, dict):
        return f"having {', '.join(map(str, value)) or 'no key'}"[:200]
    if ascii_only and not str(value).isascii():
        # Some letters look like others.
        return ascii(value)[:80]
    return quote(value)


def _typed(value: Any, expected: str) -> str:
    """What to write for a value of another type than `expected`."""
    words = TYPES[expected]
    if expected == "string" and isinstance(value, bool):
        return f"{words}: YAML reads yes, no, on and off as true or false; put them in quotes"
    if expected == "string" and isinstance(value, (int, float)):
        return f"{words}: put it in quotes"
    if expected in ("integer", "number") and isinstance(value, str):
        number = _number(value)
        return words if number is None else f"{words}: {number}, without quotes"
    if expected == "array" and isinstance(value, (str, int, float)):
        return f"{words}: [{value}]" if len(str(value)) <= 60 else words
    return words


def _number(text: str) -> int | float | None:
    """The number that a text spells, if it does; YAML takes 1e3 for a text."""
    with suppress(ValueError):
        number: int | float = canonical(float(text))
        return number
    return None
