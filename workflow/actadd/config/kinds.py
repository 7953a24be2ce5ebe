"""Dataclasses of options, and what a walk through a config needs of them.

A hint of an option is a scalar, a `Literal`, a list or mapping of hints, a dataclass of options, a
union of these, or `Annotated` with a `Rule`, `Family`, `Late` or `OneOf` for what no type says.
"""

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from actadd.base.kinds import Rule

# Values of an option that is swept.
SWEPT = Rule(min_length=1, unique=True)
# In front of the name of a union's branch in the location of an error; no key of a config has it.
BRANCH = "\0"


@dataclass(frozen=True, eq=False)
class Family:
    """Entries whose options depend on their kind.

    key: that names the kind. kinds: the kinds by name, those of plugins too. description: of the
    key. default: the kind of an entry that names none. options: kind -> dataclass of its options.
    """

    key: str
    kinds: Mapping[str, Any]
    description: str
    default: str | None = None
    options: Callable[[Any], type] = operator.attrgetter("options")
    # Those of all families.
    keys: typing.ClassVar[set[str]] = set()

    def __post_init__(self) -> None:
        self.keys.add(self.key)

    def kind(self, entry: Mapping[str, Any]) -> Any:
        """The kind that an entry names, or the default."""
        return entry.get(self.key, self.default)

    def declaration(self, kind: str) -> type:
        """The dataclass of a kind's options."""
        return self.options(self.kinds[kind])


def kind_names(config: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """(key of a family, name) of the kinds that a config names; some names may be of no kind."""
    pending: list[Any] = [config]
    names: set[tuple[str, str]] = set()
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            keys = Family.keys & value.keys()
            names |= {(key, value[key]) for key in keys if isinstance(value[key], str)}
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return frozenset(names)


# Name, hint and field of an option.
Key = tuple[str, Any, "dataclasses.Field[Any]"]


def keys(declaration: type) -> Iterator[Key]:
    """The options of a dataclass, for `declared`."""
    hints = typing.get_type_hints(declaration, include_extras=True)
    yield from ((each.name, hints[each.name], each) for each in dataclasses.fields(declaration))


def optional(key: Key) -> Key:
    """A key that may be left out: what reads the entry knows the default."""
    name, hint, field = key
    left_out: Any = dataclasses.field(default=None, metadata=field.metadata)
    return name, hint, left_out


def declared(name: str, several: Iterable[Key]) -> type:
    """A dataclass of several options; of two with one name, the first."""
    unique: dict[str, Key] = {}
    for key, hint, field in several:
        copy: Any = dataclasses.field(
            default=field.default, default_factory=field.default_factory, metadata=field.metadata
        )
        unique.setdefault(key, (key, hint, copy))
    return dataclasses.make_dataclass(name, unique.values(), frozen=True, kw_only=True)


@dataclass(frozen=True)
class Late:
    """A hint that plugins have a part in; called when it is needed."""

    hint: Callable[[], Any]


@dataclass(frozen=True)
class OneOf:
    """A dataclass of options of which exactly one set of keys is written.

    keys: sets of keys; a key in none of them may stand beside any.
    """

    keys: tuple[frozenset[str], ...]
    title: str


@dataclass(frozen=True)
class Selector:
    """A mapping of columns to values that has a certain key."""

    key: str


Mark = Rule | Family | OneOf | Selector


@dataclass(frozen=True)
class Option:
    """A config key. default: dataclasses.MISSING for one that has to be written."""

    hint: Any
    rule: Rule
    description: str
    default: Any


def bare(hint: Any) -> tuple[Any, Mark | None]:
    """A hint without `Annotated` and `None`, and what it was annotated with."""
    mark = None
    while True:
        arguments = typing.get_args(hint)
        if typing.get_origin(hint) is Annotated:
            late = isinstance(arguments[1], Late)
            hint, mark = (
                (arguments[1].hint(), mark) if late else (arguments[0], mark or arguments[1])
            )
        elif is_union(hint) and type(None) in arguments:
            hint = union_of(each for each in arguments if each is not type(None))
        else:
            return hint, mark


def is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType)


@functools.cache
def options(declaration: type) -> dict[str, Option]:
    """The keys of a dataclass of options."""
    hints = typing.get_type_hints(declaration, include_extras=True)
    by_name = {}
    for field in dataclasses.fields(declaration):
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            default = dataclasses.asdict(default)
        hint, rule = hints[field.name], field.metadata["rule"]
        if field.metadata.get("swept"):
            hint = _swept(bare(hint)[0], rule)
        by_name[field.name] = Option(hint, rule, field.metadata["description"], default)
    return by_name


def union_of(hints: Iterable[Any]) -> Any:
    return functools.reduce(operator.or_, hints)


def _swept(hint: Any, rule: Rule) -> Any:
    """One value, or a list of different ones."""
    ones = typing.get_args(hint) if is_union(hint) else (hint,)
    each: Any = Annotated[hint, rule]
    return union_of([*(Annotated[one, rule] for one in ones), Annotated[list[each], SWEPT]])


# JSON's name of each type that a scalar, list or mapping of a config has.
JSON_TYPES: dict[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}


def branches(union: Any) -> dict[str, Any]:
    """The branches of a union by their type in JSON; dataclasses, by the first key they need."""
    by_type = {}
    for hint in typing.get_args(union):
        plain, _ = bare(hint)
        origin = typing.get_origin(plain)
        if dataclasses.is_dataclass(plain):
            keys = options(typing.cast(type, plain))
            needed = [name for name, key in keys.items() if key.default is dataclasses.MISSING]
            name = f"object with {needed[0]}" if needed else "object"
        elif origin is Literal:
            name = JSON_TYPES[type(typing.get_args(plain)[0])]
        else:
            name = JSON_TYPES[origin or plain]
        by_type[BRANCH + name] = hint
    return by_type


def branch_of(value: Any, union: Any) -> str | None:
    """The branch that a value belongs to by its type; None if it belongs to none."""
    for name in branches(union):
        kind, _, key = name.removeprefix(BRANCH).partition(" with ")
        if JSON_TYPES.get(type(value)) == kind and (not key or key in value):
            return name
    return None


def kind_of(value: Any, family: Family) -> str | None:
    """The branch of an entry of a family."""
    kind = family.kind(value) if isinstance(value, dict) else None
    return BRANCH + kind if isinstance(kind, str) and kind in family.kinds else None


def inside(hint: Any, value: Any) -> Iterator[tuple[str | int, Any, Rule | None, Any]]:
    """(key or index, hint, rule, value) of each part of a checked value that a hint describes."""
    hint, mark = bare(hint)
    if isinstance(mark, Family):
        declaration = mark.declaration(mark.kind(value))
        entries = {name: option for name, option in options(declaration).items() if name in value}
        yield from ((name, o.hint, o.rule, value[name]) for name, o in entries.items())
    elif is_union(hint):
        branch = branch_of(value, hint)
        yield from inside(branches(hint)[branch], value) if branch else ()
    elif dataclasses.is_dataclass(hint):
        entries = {k: o for k, o in options(typing.cast(type, hint)).items() if k in value}
        yield from ((name, o.hint, o.rule, value[name]) for name, o in entries.items())
    elif typing.get_origin(hint) is list:
        item = typing.get_args(hint)[0]
        yield from ((index, item, None, each) for index, each in enumerate(value))
    elif typing.get_origin(hint) is dict:
        item = typing.get_args(hint)[1]
        yield from ((name, item, None, each) for name, each in value.items())
