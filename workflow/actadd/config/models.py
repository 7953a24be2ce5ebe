"""Dataclasses of options as pydantic models, by which a config is checked."""

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, create_model
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from actadd.base.kinds import Rule
from actadd.config.kinds import (
    BRANCH,
    Family,
    Mark,
    OneOf,
    Selector,
    bare,
    branch_of,
    branches,
    is_union,
    kind_of,
    options,
    union_of,
)

SETTINGS = ConfigDict(
    extra="forbid",
    strict=True,
    regex_engine="python-re",
    protected_namespaces=(),
    # Only the whole config's model is used.
    defer_build=True,
)


class Models:
    """The pydantic models of dataclasses of options, each made once.

    names: of the kinds that entries may be of, see `kind_names`; None for all. The fewer, the less
    is imported and made before anything runs.
    """

    def __init__(self, names: frozenset[tuple[str, str]] | None = None) -> None:
        self.names = names
        self._models: dict[tuple[type, Family | None, str], type[BaseModel]] = {}

    def of(
        self, declaration: type, family: Family | None = None, kind: str = ""
    ) -> type[BaseModel]:
        """The model of a dataclass of options; of an entry of a family, with its kind.

        Its fields end in an underscore, since keys such as `validate` are names that pydantic has.
        """
        if (declaration, family, kind) not in self._models:
            fields: dict[str, Any] = {}
            if family:
                literal: Any = Literal[kind]
                field = Field(alias=family.key, description=family.description)
                if kind == family.default:
                    field = Field(None, alias=family.key, description=family.description)
                    literal |= None
                fields[f"{family.key}_"] = (literal, field)
            for name, option in options(declaration).items():
                typed = self._typed(option.hint, option.rule)
                about: Any = {"description": option.description, "title": option.rule.title}
                field = Field(alias=name, **about)
                if option.default is None:
                    typed, field = typed | None, Field(None, alias=name, **about)
                elif option.default is not dataclasses.MISSING:
                    field = Field(option.default, alias=name, validate_default=True, **about)
                fields[f"{name}_"] = (typed, field)
            name = f"{declaration.__name__}-{kind}" if kind else declaration.__name__
            module = declaration.__module__
            model = create_model(name, __config__=SETTINGS, __module__=module, __doc__="", **fields)
            self._models[declaration, family, kind] = model
        return self._models[declaration, family, kind]

    def _typed(self, hint: Any, rule: Rule | None = None) -> Any:
        """A hint as pydantic takes it. rule: of the option that has the hint."""
        hint, mark = bare(hint)
        if isinstance(mark, Family):
            return Annotated[Any, self._entry(mark)]
        rule = mark if isinstance(mark, Rule) else rule or Rule()
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if is_union(hint):
            # What the union asks for holds for each branch that asks for nothing itself.
            by_name = branches(hint).items()
            tagged = [Annotated[self._typed(each, rule), Tag(name)] for name, each in by_name]
            return Annotated[union_of(tagged), Discriminator(_chooser(branch_of, hint))]
        if dataclasses.is_dataclass(hint):
            return _annotated(self.of(typing.cast(type, hint)), *_checks(mark, rule))
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
            hint = list[self._typed(arguments[0])]  # type: ignore[misc]
        elif origin is dict:
            hint = dict[self._typed(arguments[0]), self._typed(arguments[1])]  # type: ignore[misc]
        hint = Annotated[hint, Field(title=rule.title, **limits)]
        return Annotated[hint, AfterValidator(_unique)] if rule.unique else hint

    def _entry(self, family: Family) -> "_Entry":
        models = {k: self.of(family.declaration(k), family, k) for k in self._kinds(family)}
        return _Entry(family, models)

    def _kinds(self, family: Family) -> list[str]:
        if self.names is None:
            return list(family.kinds)
        names = {family.default, *(name for key, name in self.names if key == family.key)}
        return sorted(name for name in names if name is not None and name in family.kinds)


@dataclass(frozen=True, eq=False)
class _Entry:
    """An entry of a family for pydantic. models: of the kinds that it may be of."""

    family: Family
    models: Mapping[str, type[BaseModel]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        choices = {BRANCH + k: handler.generate_schema(each) for k, each in self.models.items()}
        # A config is not written, and what writes needs one choice at least.
        any_value = core_schema.simple_ser_schema("any")
        chooser = _chooser(kind_of, self.family)
        return core_schema.tagged_union_schema(choices, chooser, serialization=any_value)


@functools.lru_cache(maxsize=8)
def models(names: frozenset[tuple[str, str]] | None = None) -> Models:
    """The models for configs that name certain kinds, see `Models`."""
    return Models(names)


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
    models.cache_clear()


def _unique(values: list[Any]) -> list[Any]:
    try:
        unique = len(set(values)) == len(values)
    except TypeError:
        # Mappings have no hash; they are few.
        unique = all(value not in values[:index] for index, value in enumerate(values))
    if not unique:
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
