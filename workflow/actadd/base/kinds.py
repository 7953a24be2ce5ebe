"""Kinds that declare themselves: one file holds all that is known of a scorer or a figure kind.

A file declares its options as a dataclass of `option` fields and its function under a decorator of
its family (`actadd.scorers.kinds.scorer`, ...). Config keys, checks, documentation, digests and
jobs are derived from that declaration; no list elsewhere names the kind.
"""

import ast
import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
import types
import typing
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from actadd.base.errors import UserError

# Plugins are modules of this name, which no package on a disk has.
PLUGINS = "actadd_plugins"
# Entry points of installed packages: each names a module that declares kinds.
GROUP = "actadd.kinds"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a value must meet beyond its type.

    Stands in `option` for the whole value, and in `typing.Annotated` for the items of a list or the
    keys and values of a mapping. title: what to write, for messages. section: the value names an
    entry of this section of the config. kinds: a function: the names of which the value is one.
    secret: no message repeats the value.
    """

    title: str | None = None
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    unique: bool = False
    section: str | None = None
    kinds: Callable[[], Iterable[str]] | None = None
    secret: bool = False


# Names of config entries, which become part of file names.
NAME = Rule(
    title="lower-case letters a to z, digits and single hyphens (it becomes part of file names)",
    pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z",
    max_length=60,
)


def name_of(text: str) -> str:
    """A text as a name: lower case, no accents, hyphens for what is neither letter nor digit.

    Empty if nothing is left of it.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")


# Files of the working directory or of a source, which also become part of command lines.
FILE = Rule(
    title="a relative path that stays in its folder, without ~ in front or / at its end",
    pattern=r"^(?![/~\s-])(?!(.*/)?\.{1,2}(/|\Z))(?!.*//)[^\\\n\r{}]*[^\\\n\r{}/\s]\Z",
    max_length=200,
)


def option(
    description: str,
    default: Any = dataclasses.MISSING,
    *,
    swept: bool = False,
    column: str | None = None,
    replaces: tuple[str, ...] = (),
    **rule: Any,
) -> Any:
    """A field of a dataclass of options: a config key with its description, default and rule.

    default: none for a key that has to be written; None for one that may be left out. A list or a
    mapping is copied for every instance. swept: a config may also write a list of different values,
    each of which gives conditions of its own; type and rule are those of one value. column: dtype
    of the column that the value has in tables, if it has one. replaces: keys that a config leaves
    out where it writes this one. rule: fields of `Rule`.
    """
    metadata = {
        "description": description,
        "rule": Rule(**rule),
        "swept": swept,
        "column": column,
        "replaces": replaces,
    }
    if isinstance(default, (list, dict)):
        copy = type(default)
        return dataclasses.field(default_factory=lambda: copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Options of a kind that has none."""


T = TypeVar("T")


def build(options: type[T], values: Mapping[str, Any]) -> T:
    """An instance of a dataclass of options from checked config values; other keys are ignored.

    Nested dataclasses, also in lists and mappings, are built from the mappings that stand for them.
    """
    hints = typing.get_type_hints(options)
    fields = [field.name for field in dataclasses.fields(options)]  # type: ignore[arg-type]
    return options(**{name: _built(hints[name], values[name]) for name in fields if name in values})


def _names(options: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(options)}


def _built(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(typing.cast(type, hint), value)
    if origin in (typing.Union, types.UnionType):
        classes = [each for each in arguments if dataclasses.is_dataclass(each)]
        if not classes or not isinstance(value, Mapping):
            return value
        fitting = (each for each in classes if value.keys() <= _names(each))
        return _built(next(fitting, classes[0]), value)
    if origin is list:
        return [_built(arguments[0], item) for item in value]
    if origin is dict:
        return {key: _built(arguments[1], item) for key, item in value.items()}
    return value


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of a family. Families add what the workflow has to know besides."""

    name: str
    function: Callable[..., Any]
    options: type

    @property
    def description(self) -> str:
        """The first paragraph of the function's docstring, in one line."""
        text = inspect.getdoc(self.function) or ""
        return " ".join(text.split("\n\n")[0].split())

    @property
    def module(self) -> str:
        """The module that declares the kind; its code digest stands for the kind."""
        return self.function.__module__

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)


K = TypeVar("K", bound=Kind)


def declares(
    family: type[K], options: type, name: str | None = None, **traits: Any
) -> Callable[[Callable[..., Any]], K]:
    """A decorator that makes a function a kind of a family.

    name: the function's unless told. traits: further fields of the family.
    """

    def declare(function: Callable[..., Any]) -> K:
        return family(name=name or function.__name__, function=function, options=options, **traits)

    return declare


class Kinds(Mapping[str, K], Generic[K]):
    """The kinds of one family by name: those in its package, and plugins'."""

    families: typing.ClassVar[list["Kinds[Any]"]] = []

    def __init__(self, family: type[K], packages: str | Sequence[str], what: str) -> None:
        """packages: modules below them declare kinds, each in a module of the kind's name, since
        `[name]` imports no other. what: a kind in words, for messages.
        """
        self.packages = (packages,) if isinstance(packages, str) else tuple(packages)
        self.family, self.what = family, what
        self._loaded: dict[str, K] = {}
        Kinds.families.append(self)

    @cached_property
    def _modules(self) -> list[str]:
        """Modules below the packages, without importing them."""
        packages = [(name, importlib.import_module(name)) for name in self.packages]
        return [
            module.name
            for name, package in packages
            for module in pkgutil.walk_packages(package.__path__, f"{name}.")
        ]

    @cached_property
    def _all(self) -> dict[str, K]:
        """Every kind: of our own modules, of installed packages and of plugins."""
        for name in self._modules:
            self._collect(importlib.import_module(name))
        self._collect_installed()
        return self._loaded

    def _collect(self, module: types.ModuleType) -> None:
        for value in vars(module).values():
            if not isinstance(value, self.family) or value.module != module.__name__:
                continue
            if self._loaded.setdefault(value.name, value) is not value:
                source = Path(str(module.__file__)).stem
                raise UserError(
                    f"plugins: {source} declares the "
                    f"{self.what} {value.name!r}, but one of that name exists; rename it"
                )

    def _collect_installed(self) -> None:
        for module in _installed():
            self._collect(module)

    def _load(self, name: str) -> None:
        """Import the modules of this name, so that a job imports no kind that it does not use."""
        if name not in self._loaded:
            for module in self._modules:
                if module.rpartition(".")[2] == name:
                    self._collect(importlib.import_module(module))
        if name not in self._loaded:
            self._collect_installed()

    def add(self, module: types.ModuleType) -> None:
        """Add the kinds that a plugin declares. Raises UserError for a name that is taken."""
        for value in vars(module).values():
            if isinstance(value, self.family):
                self._load(value.name)
        self._collect(module)

    def forget_plugins(self) -> None:
        """Remove what plugins added, for a process that reads another config."""
        for name, kind in list(self._loaded.items()):
            if kind.module.startswith(f"{PLUGINS}."):
                del self._loaded[name]

    def __getitem__(self, name: str) -> K:
        self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._all))

    def __len__(self) -> int:
        return len(self._all)


@cache
def _installed() -> list[types.ModuleType]:
    """The modules of installed packages that declare kinds."""
    return [entry.load() for entry in entry_points(group=GROUP)]


def load_installed() -> None:
    """Add the kinds of installed packages. Raises UserError for a name that is taken."""
    for module in _installed():
        for family in Kinds.families:
            family.add(module)


def load_plugin(path: Path) -> types.ModuleType:
    """Import a user's file and add the kinds that it declares to their families, once.

    Raises UserError if the file cannot be imported, declares no kind, or imports files beside it.
    """
    key = f"plugins: {str(path)!r}"
    name = _module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise UserError(f"{key} is not a Python file; name one that ends in .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        _refuse_neighbours(path, key)
        specification.loader.exec_module(module)
        kinds = [value for value in vars(module).values() if isinstance(value, Kind)]
        if not any(kind.module == name for kind in kinds):
            raise UserError(f"{key} declares no kind; decorate a function of it")
        for family in Kinds.families:
            family.add(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, UserError):
            raise
        if isinstance(error, FileNotFoundError) and not path.exists():
            raise UserError(f"{key} does not exist; write the path of a Python file") from error
        raise UserError(f"{key} cannot be imported: {error!r}; correct the file") from error
    return module


def _module_name(path: Path) -> str:
    """The name of a plugin's module: of its file, and of where that lies.

    Seen from the working directory, so that a checkout which is moved keeps its digests.
    """
    relative = Path(os.path.relpath(path.resolve(), Path.cwd().resolve())).as_posix()
    return f"{PLUGINS}.{path.stem}_{hashlib.sha256(relative.encode()).hexdigest()[:8]}"


def _refuse_neighbours(path: Path, key: str) -> None:
    """Raise UserError if a plugin imports a file beside it, whose edits nobody would notice."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or alias.name for alias in node.names]
        for name in names:
            neighbour = path.parent / name.split(".")[0]
            if neighbour.with_suffix(".py").is_file() or (neighbour / "__init__.py").is_file():
                raise UserError(
                    f"{key} imports {name!r} beside it, and a plugin is one file; move that code "
                    "into it, or install it as a package"
                )


def plugin_files(modules: Iterable[str]) -> list[str]:
    """The files of the plugins among some modules, from the working directory where they can be."""
    names = {name for name in modules if name.startswith(f"{PLUGINS}.")}
    files = [Path(str(sys.modules[name].__file__)).resolve() for name in names]
    here = Path.cwd()
    return sorted(str(f.relative_to(here) if f.is_relative_to(here) else f) for f in files)
