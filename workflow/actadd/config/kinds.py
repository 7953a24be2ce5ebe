"""Dataclasses of options as pydantic models, and what a walk through a config needs of them.

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

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, create_model
from pydantic_core import PydanticCustomError

from actadd.base.kinds import Kind, Rule

# Values of an option that is swept.
SWEPT = Rule(min_length=1, unique=True)
# In front of the name of a union's branch in the location of an error; no key of a config has it.
BRANCH = "\0"


@dataclass(frozen=True)
class Family:
    """Entries whose options depend on their kind.

    key: that names the kind. kinds: kind -> dataclass of its options; called when it is needed, so
    that plugins count. description: of the key. default: the kind of an entry that names none.
    """

    key: str
    kinds: Callable[[], Mapping[str, type]]
    description: str
    default: str | None = None

    def kind(self, entry: Mapping[str, Any]) -> Any:
        """The kind that an entry names, or the default."""
        return entry.get(self.key, self.default)


def declarations(kinds: Mapping[str, Kind]) -> Callable[[], dict[str, type]]:
    """The dataclasses of options of a registry's kinds."""
    return lambda: {name: kind.options for name, kind in kinds.items()}


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
            hint = _union(each for each in arguments if each is not type(None))
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


def _union(hints: Iterable[Any]) -> Any:
    return functools.reduce(operator.or_, hints)


def _swept(hint: Any, rule: Rule) -> Any:
    """One value, or a list of different ones."""
    one: Any = Annotated[hint, rule]
    return _union([one, Annotated[list[one], SWEPT]])


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
    return BRANCH + kind if isinstance(kind, str) and kind in family.kinds() else None


SETTINGS = ConfigDict(
    extra="forbid",
    strict=True,
    regex_engine="python-re",
    protected_namespaces=(),
    # Only the whole config's model is used.
    defer_build=True,
)
_MODELS: dict[tuple[type, Family | None, str], type[BaseModel]] = {}


def model(declaration: type, family: Family | None = None, kind: str = "") -> type[BaseModel]:
    """The pydantic model of a dataclass of options; of an entry of a family, with its kind.

    Its fields end in an underscore, since keys such as `validate` are names that pydantic has.
    """
    if (declaration, family, kind) not in _MODELS:
        fields: dict[str, Any] = {}
        if family:
            literal: Any = Literal[kind]
            field = Field(alias=family.key, description=family.description)
            if kind == family.default:
                field = Field(None, alias=family.key, description=family.description)
                literal |= None
            fields[f"{family.key}_"] = (literal, field)
        for name, option in options(declaration).items():
            typed = _typed(option.hint, option.rule)
            about: Any = {"description": option.description, "title": option.rule.title}
            field = Field(alias=name, **about)
            if option.default is None:
                typed, field = typed | None, Field(None, alias=name, **about)
            elif option.default is not dataclasses.MISSING:
                field = Field(option.default, alias=name, validate_default=True, **about)
            fields[f"{name}_"] = (typed, field)
        name = f"{declaration.__name__}-{kind}" if kind else declaration.__name__
        module = declaration.__module__
        made = create_model(name, __config__=SETTINGS, __module__=module, __doc__="", **fields)
        _MODELS[declaration, family, kind] = made
    return _MODELS[declaration, family, kind]


def _typed(hint: Any, rule: Rule | None = None) -> Any:
    """A hint as pydantic takes it. rule: of the option that has the hint."""
    hint, mark = bare(hint)
    if isinstance(mark, Family):
        return _entry(mark)
    rule = mark if isinstance(mark, Rule) else rule or Rule()
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_union(hint):
        # What the union asks for holds for each branch that asks for nothing itself.
        tagged = [Annotated[_typed(each, rule), Tag(name)] for name, each in branches(hint).items()]
        return Annotated[_union(tagged), Discriminator(_chooser(branch_of, hint))]
    if dataclasses.is_dataclass(hint):
        return _annotated(model(typing.cast(type, hint)), *_checks(mark, rule))
    if isinstance(mark, Selector):
        return Annotated[dict[str, Any], AfterValidator(_having(mark.key))]
    if rule.kinds:
        return Literal[tuple(rule.kinds())]
    limits: dict[str, Any] = {
        "ge": rule.minimum,
        "gt": rule.exclusive_minimum,
        "le": rule.maximum,
        "pattern": rule.pattern,
        "min_length": rule.min_length,
        "max_length": rule.max_length,
    }
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    if origin is list:
        hint = list[_typed(arguments[0])]  # type: ignore[misc]
    elif origin is dict:
        hint = dict[_typed(arguments[0]), _typed(arguments[1])]  # type: ignore[misc]
    hint = Annotated[hint, Field(title=rule.title, **limits)]
    return Annotated[hint, AfterValidator(_unique)] if rule.unique else hint


def plain(value: Any) -> Any:
    """A validated config as mappings and lists, without keys that are left out."""
    if isinstance(value, BaseModel):
        fields = {name.removesuffix("_"): each for name, each in value}
        return {name: plain(each) for name, each in fields.items() if each is not None}
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def _chooser(choose: Callable[[Any, Any], str | None], among: Any) -> Callable[[Any], str | None]:
    return lambda value: choose(value, among)


def _annotated(hint: Any, *marks: Any) -> Any:
    return Annotated[hint, *marks] if marks else hint


def forget_models() -> None:
    """Make the models anew, since a plugin has added kinds."""
    _MODELS.clear()


def _unique(values: list[Any]) -> list[Any]:
    if any(value in values[:index] for index, value in enumerate(values)):
        raise PydanticCustomError("not_unique", "names something twice")
    return values


def _checks(mark: Mark | None, rule: Rule) -> Iterator[Any]:
    """Validators of which keys of a dataclass of options are written."""

    def one_of(value: BaseModel) -> BaseModel:
        sets = mark.keys if isinstance(mark, OneOf) else ()
        if _written(value) & frozenset[str]().union(*sets) not in sets:
            raise PydanticCustomError("one_of", "exactly one set of keys")
        return value

    def counted(value: BaseModel) -> BaseModel:
        count = len(_written(value))
        if count < (rule.min_length or 0):
            raise PydanticCustomError("too_short", "too few keys", {"min_length": rule.min_length})
        if rule.max_length is not None and count > rule.max_length:
            raise PydanticCustomError("too_long", "too many keys", {"max_length": rule.max_length})
        return value

    if isinstance(mark, OneOf):
        yield AfterValidator(one_of)
        either: Any = [{"required": sorted(keys)} for keys in mark.keys]
        yield Field(title=mark.title, json_schema_extra={"anyOf": either})
    if rule.min_length is not None:
        ends = {"minProperties": rule.min_length, "maxProperties": rule.max_length}
        written: Any = {name: end for name, end in ends.items() if end is not None}
        yield AfterValidator(counted)
        yield Field(json_schema_extra=written)


def _written(value: BaseModel) -> frozenset[str]:
    return frozenset(name.removesuffix("_") for name in value.model_fields_set)


def _having(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def validate(value: dict[str, Any]) -> dict[str, Any]:
        if key not in value:
            raise PydanticCustomError("having", "a key is missing", {"key": key})
        return value

    return validate


def _entry(family: Family) -> Any:
    entries = [
        Annotated[model(declaration, family, kind), Tag(BRANCH + kind)]
        for kind, declaration in family.kinds().items()
    ]
    return Annotated[_union(entries), Discriminator(_chooser(kind_of, family))]


def inside(hint: Any, value: Any) -> Iterator[tuple[str | int, Any, Rule | None, Any]]:
    """(key or index, hint, rule, value) of each part of a checked value that a hint describes."""
    hint, mark = bare(hint)
    if isinstance(mark, Family):
        declaration = mark.kinds()[mark.kind(value)]
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
