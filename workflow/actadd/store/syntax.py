"""The definitions of a source file and the names that each uses, read from its syntax tree.

Comments, formatting, docstrings, annotations, descriptions of options, the text of messages, and
what a measure declares for forecasts are left out: editing them changes no digest.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from actadd.base.errors import DamagedFile
from actadd.base.files import read_json, write_json

# Functions whose arguments are text for people, if the call is a statement.
PRINTING = ("print",)
LOGGERS = ("logging", "logger", "log", "warnings")
# Calls that declare a config key and its rule -> number of leading arguments that are descriptions.
DESCRIBING = {"option": 1, "Rule": 0}
# A decorator -> its keyword arguments that only forecasts use.
FORECASTING = {"measure": ("readings", "token_bytes", "work")}
# With more parsed files than this, the cache is cleared.
CACHED_FILES = 2000


@dataclass
class Definition:
    """A function, class or constant of a module.

    tree: hex sha256 of its syntax tree. uses: dotted names that it may refer to; one that begins
    with a dot is defined in the module, one that begins with "/" is relative to its package, see
    `_target`. imports: modules that it imports when it runs.
    """

    tree: str
    uses: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)


@dataclass
class Source:
    """A module: its definitions by name, and the code that runs on import.

    bindings: name -> dotted name that the module's import statements bind to it.
    """

    definitions: dict[str, Definition]
    on_import: Definition
    bindings: dict[str, str]

    @property
    def only_defines(self) -> bool:
        """Whether importing the module does nothing but define names."""
        return self.on_import.tree == _digest([])


# --- what a syntax tree is reduced to ----------------------------------------------------------


class _Messages(ast.NodeTransformer):
    """Removes docstrings, messages and descriptions of options."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            values, keyword_values = node.exc.args, node.exc.keywords
            # A single argument is the message; several may decide what a handler does, as a status.
            if len(values) + len(keyword_values) == 1:
                values, keyword_values = [], []
            node.exc.args = [each for each in values if not _is_text(each)]
            node.exc.keywords = [each for each in keyword_values if not _is_text(each.value)]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Call) and _is_message(node.value):
            node.value.args, node.value.keywords = [], []
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = getattr(node.func, "id", None)
        if name in DESCRIBING:
            node.args = node.args[DESCRIBING[name] :]
            text = ("description", "title")
            node.keywords = [word for word in node.keywords if word.arg not in text]
        return self.generic_visit(node)

    def _without_docstring(self, node: ast.AST) -> ast.AST:
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module))
        if ast.get_docstring(node, clean=False) is not None:
            empty: list[ast.stmt] = [] if isinstance(node, ast.Module) else [ast.Pass()]
            node.body = node.body[1:] or empty
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_ClassDef = visit_Module = _without_docstring

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        for call in (each for each in node.decorator_list if isinstance(each, ast.Call)):
            left_out = FORECASTING.get(getattr(call.func, "id", ""), ())
            call.keywords = [word for word in call.keywords if word.arg not in left_out]
        return self._without_docstring(node)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def _is_message(call: ast.Call) -> bool:
    """Whether a call only prints or logs, not to a file, with arguments that bind no name."""
    if any(isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield)) for node in ast.walk(call)):
        return False
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in PRINTING and all(word.arg != "file" for word in call.keywords)
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in LOGGERS
        and function.attr in ("debug", "info", "warning", "warn", "error", "exception", "critical")
    )


class _Annotations(ast.NodeTransformer):
    """Removes annotations of functions and variables, but not of a class's fields."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def _function(self, node: ast.AST) -> ast.AST:
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        node.returns = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [
            child if isinstance(child, ast.AnnAssign) else self.visit(child) for child in node.body
        ]
        return node


# --- the names that a tree uses ------------------------------------------------------------------


def _target(node: ast.ImportFrom, alias: ast.alias) -> str:
    """Dotted name of an import; for a relative one, preceded by a "/" for each of its dots."""
    return "/" * node.level + ".".join(filter(None, (node.module, alias.name)))


def _bound(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """(name, dotted name that it refers to) of each name that an import statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
    else:
        for alias in node.names:
            yield alias.asname or alias.name, _target(node, alias)


def _bind(bindings: dict[str, set[str]], nodes: Iterable[ast.AST]) -> None:
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name, target in _bound(node):
                bindings.setdefault(name, set()).add(target)


def _imported(nodes: Iterable[ast.AST]) -> list[str]:
    """Dotted names that import statements may load: modules, and names that may be submodules."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(_target(node, alias) for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _module_named(node)):
            names.add(name)
    return sorted(names)


def _module_named(call: ast.Call) -> str | None:
    """The module of `import_module("...")`."""
    function, arguments = call.func, call.args
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "import_module" and arguments and isinstance(arguments[0], ast.Constant):
        return str(arguments[0].value)
    return None


class _Names(ast.NodeVisitor):
    """Collects the names that a tree uses, with their attributes.

    bindings: name -> dotted names that imports bind to it. defined: names that the module defines.
    """

    def __init__(self, bindings: dict[str, set[str]], defined: set[str]) -> None:
        self.bindings, self.defined = bindings, defined
        self.uses: set[str] = set()

    def _use(self, name: str, attributes: list[str]) -> None:
        if name in self.defined:
            self.uses.add(f".{name}")
        for target in self.bindings.get(name, ()):
            self.uses.add(".".join([target, *attributes]))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        # The names that `import *` binds are not visible here: all of the module counts.
        if node.names[0].name == "*":
            self.uses.add(_target(node, node.names[0]))

    def visit_Name(self, node: ast.Name) -> None:
        self._use(node.id, [])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        attributes: list[str] = []
        value: ast.expr = node
        while isinstance(value, ast.Attribute):
            attributes.insert(0, value.attr)
            value = value.value
        if isinstance(value, ast.Name):
            self._use(value.id, attributes)
        elif isinstance(value, ast.Call) and (module := _module_named(value)):
            self.uses.add(".".join([module, *attributes]))
        else:
            self.visit(value)

    def visit(self, node: ast.AST) -> None:
        super().visit(node)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            for part in ast.walk(annotation) if annotation else ():
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    with suppress(SyntaxError):
                        self.visit(ast.parse(part.value, mode="eval"))


# --- one file ------------------------------------------------------------------------------------


def _digest(nodes: Iterable[ast.AST]) -> str:
    text = "\n".join(ast.dump(node) for node in nodes)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_type_checking(node: ast.stmt) -> bool:
    """Whether a statement is for type checkers alone; an `else` branch would run."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _names_of(node: ast.stmt) -> list[str]:
    """The names that a statement defines; none if it does anything else."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return []
    names: list[str] = []
    for target in targets:
        for part in target.elts if isinstance(target, ast.Tuple) else [target]:
            if not isinstance(part, ast.Name):
                return []
            names.append(part.id)
    return names


def parse(content: bytes) -> Source:
    """A module's definitions. Raises SyntaxError."""
    tree = _Messages().visit(ast.parse(content))
    bindings: dict[str, set[str]] = {}
    parts: dict[str, list[ast.stmt]] = {}
    running: list[ast.stmt] = []
    for statement in tree.body:
        if names := _names_of(statement):
            for name in names:
                parts.setdefault(name, []).append(statement)
            continue
        _bind(bindings, ast.walk(statement))
        if not _is_type_checking(statement):
            running.append(statement)

    def definition(statements: list[ast.stmt]) -> Definition:
        nodes = [node for statement in statements for node in ast.walk(statement)]
        local = {name: set(targets) for name, targets in bindings.items()}
        _bind(local, nodes)
        names = _Names(local, set(parts))
        for statement in statements:
            names.visit(statement)
        return Definition("", sorted(names.uses), _imported(nodes))

    definitions = {name: definition(statements) for name, statements in parts.items()}
    on_import = definition(running)
    # After the names were collected: annotations say which classes' methods a function may call.
    for name, statements in parts.items():
        definitions[name].tree = _digest(filter(None, map(_Annotations().visit, statements)))
    imports = (ast.Import, ast.ImportFrom)
    on_import.tree = _digest(node for node in running if not isinstance(node, imports))
    first = {name: min(targets) for name, targets in bindings.items()}
    return Source(definitions, on_import, first)


# --- the cache -----------------------------------------------------------------------------------


def _cache_file() -> Path:
    """The cache of parsed files; its name holds a digest of this parser."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = f"{sys.version_info[:2]}".encode() + Path(__file__).read_bytes()
    return folder / "actadd" / f"syntax-{hashlib.sha256(parser).hexdigest()[:16]}.json"


@cache
def _stored() -> dict[str, Any]:
    try:
        stored = read_json(_cache_file())
        return stored if isinstance(stored, dict) else {}
    except (OSError, RuntimeError, DamagedFile):
        return {}


# Hex sha256 of a file's bytes -> its source, as this process parsed it.
_parsed: dict[str, Source] = {}


@cache
def read(path: Path) -> Source:
    """A file's definitions; parsed once for each content, then read from the user's cache."""
    content = path.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    if stored := _stored().get(key):
        definitions = {name: Definition(**each) for name, each in stored["definitions"].items()}
        return Source(definitions, Definition(**stored["on_import"]), stored["bindings"])
    _parsed[key] = parse(content)
    return _parsed[key]


def write_cache() -> None:
    """Add the files that this process parsed to the user's cache, if that can be written."""
    new = {key: asdict(source) for key, source in _parsed.items() if key not in _stored()}
    if new:
        if len(_stored()) > CACHED_FILES:
            _stored().clear()
        _stored().update(new)
        with suppress(OSError, RuntimeError):
            write_json(_cache_file(), _stored())
