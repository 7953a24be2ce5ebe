"""Digests of the code and package versions that decide a job's numbers.

Snakemake does not track imported modules. A digest covers the code that the given modules reach:
definitions that they or their imports use, and code that runs on import. The search is static;
nothing is executed.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actadd.base.files import sha256_file
from actadd.base.kinds import PLUGINS
from actadd.store import syntax
from actadd.store.syntax import Definition

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actadd", "programs")

# Modules and definitions that cannot change a number, with the reason. A module that a caller names
# explicitly counts anyway.
NO_NUMBERS = {
    "actadd.base.errors": "only raises error messages",
    "actadd.base.files.REMEDIES": "texts of error messages",
    "actadd.base.files.whole_file": "writes a file whole or not at all, whatever its content",
    "actadd.base.files.whole_folder": "writes a folder whole or not at all, whatever its content",
    "actadd.base.kinds.Kinds": "looks up kinds, whose own files count",
    "actadd.base.kinds.Rule": "declares a check of the config",
    "actadd.base.locks": "makes a process wait for another",
    "actadd.base.progress": "prints a job's progress",
    "actadd.measure.work": "counts what there is to compute",
    "actadd.models.verification.verify.ensure": "refuses a model that is steered wrongly",
    "actadd.pipeline": "parses arguments, waits for a device, checks inputs, writes records",
    "actadd.store": "stores tables by key and decides what is outdated",
}

# Packages, by import name, whose version cannot change a number, with the reason. Every other
# package that a job uses is part of its digest, so that a new one cannot be forgotten.
PACKAGES_WITHOUT_NUMBERS = {
    "filelock": "locks",
    "httpx2": "fetches files that are pinned by their sums",
    "huggingface_hub": "fetches files that are pinned by their sums",
    "matplotlib": "draws",
    "psutil": "reads the machine's state",
    "pyarrow": "stores tables",
    "pypi_simple": "fetches files that are pinned by their sums",
    "requests": "fetches files and queries servers, whose answers are stored",
    "rich": "prints",
    "safetensors": "stores tensors",
    "seaborn": "draws",
    "tenacity": "retries",
    "tqdm": "prints",
    "yaml": "reads configs",
}
# A setting of compute -> the package that transformers then uses to load a model.
LOADING_PACKAGES = {
    "device_map": "accelerate",
    "gpus": "accelerate",
    "quantization": "bitsandbytes",
}
# Import name -> distribution, where they differ.
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


@cache
def module_file(module: str) -> Path | None:
    """The source file of a module of ours, or of a loaded package; None if there is none."""
    package, *parts = module.split(".")
    if package in PACKAGES:
        bases = [ROOT.joinpath(package, *parts)]
    else:
        file = getattr(sys.modules.get(module), "__file__", None) or ""
        if file.endswith(".py"):
            return Path(file)
        # A module that is imported inside a function may not be loaded yet.
        folders = getattr(sys.modules.get(package), "__path__", ()) if parts else ()
        bases = [Path(folder, *parts) for folder in folders]
    for base in bases:
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


@cache
def _module_of(name: str) -> tuple[str, str]:
    """A dotted name split into its module and the attribute in it."""
    module, attribute = name, ""
    while module_file(module) is None and "." in module:
        module, _, attribute = module.rpartition(".")
    return module, attribute


def _absolute(module: str, name: str) -> str:
    """The absolute form of a name that a module uses or imports, see `syntax.Definition`."""
    if name[0] == ".":
        return module + name
    relative = name.lstrip("/")
    if not (level := len(name) - len(relative)):
        return name
    path, parts = module_file(module), module.split(".")
    if path and path.name == "__init__.py":
        level -= 1
    return ".".join([*parts[: len(parts) - level], relative])


@dataclass
class Code:
    """The code that some modules reach.

    modules: the imported modules. definitions: (module, name) -> definition that is used. packages:
    import names of other distributions.
    """

    modules: set[str] = field(default_factory=set)
    definitions: dict[tuple[str, str], Definition] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)


def _in(names: Iterable[str], name: str) -> bool:
    """Whether a dotted name is one of `names`, or lies inside one."""
    return any(name == each or name.startswith(f"{each}.") for each in names)


@cache
def changes_no_number(name: str) -> bool:
    """Whether a dotted name is in NO_NUMBERS, or lies inside an entry of it."""
    return _in(NO_NUMBERS, name)


class _Search:
    """Collects the code that some entry modules reach, by their imports and uses."""

    def __init__(self, entries: tuple[str, ...], without: tuple[str, ...]) -> None:
        self.code = Code()
        self.entries, self.without = entries, without
        # Our packages, and those of kinds from elsewhere, such as a user's plugins.
        self.packages = {*PACKAGES, *(module.split(".")[0] for module in entries)}
        self.pending: list[str] = []
        for module in entries:
            if module_file(module) is None:
                raise ValueError(f"{module} is neither a module of this project nor loaded")
            self.load(module)
            self.pending.append(module)
        while self.pending:
            self.use(self.pending.pop())

    def counts(self, name: str) -> bool:
        """Whether a dotted name, or the module it lies in, can change a number."""
        if _in(self.without, name):
            return False
        return not changes_no_number(name) or _in(self.entries, name)

    def load(self, name: str) -> None:
        """Add the code that runs when the module of a dotted name is imported."""
        parts = name.split(".")
        if parts[0] not in self.packages:
            return
        for end in range(1, len(parts) + 1):
            module = ".".join(parts[:end])
            path = None if module in self.code.modules else module_file(module)
            if path and self.counts(module):
                self.code.modules.add(module)
                self.follow(module, syntax.read(path).on_import)

    def follow(self, module: str, definition: Definition) -> None:
        for name in definition.imports:
            self.load(_absolute(module, name))
        self.pending += [_absolute(module, use) for use in definition.uses]

    def use(self, name: str) -> None:
        """Add what a dotted name refers to: a definition, or all of a module."""
        package = name.partition(".")[0]
        if package not in self.packages:
            self.code.packages.add(package)
            return
        module, attribute = _module_of(name)
        path = module_file(module)
        if path is None or not self.counts(f"{module}.{attribute}"):
            return
        self.load(module)
        source = syntax.read(path)
        if attribute and attribute in source.bindings and attribute not in source.definitions:
            self.pending.append(_absolute(module, source.bindings[attribute]))
            return
        # An attribute that the module creates dynamically: all of the module counts.
        names = [attribute] if attribute in source.definitions else list(source.definitions)
        for each in names:
            key = module, each
            if key not in self.code.definitions and self.counts(f"{module}.{each}"):
                self.code.definitions[key] = source.definitions[each]
                self.follow(module, source.definitions[each])


@cache
def reached(*modules: str, without: tuple[str, ...] = ()) -> Code:
    """The code that `modules` reach, and all of their own. without: what to leave out."""
    code = _Search(modules, without).code
    syntax.write_cache()
    return code


@cache
def _assets(folder: Path) -> dict[str, str]:
    """File -> sha256 of files beside modules that are not Python, such as a page's scripts."""
    folders = [each for each in folder.iterdir() if each.is_dir()]
    parts = [each for each in folders if not any(each.rglob("*.py"))]
    files = [*folder.iterdir(), *(file for part in parts for file in part.rglob("*"))]
    return {
        str(file.relative_to(ROOT)): sha256_file(file)
        for file in sorted(files)
        if file.suffix not in (".py", ".pyc", ".typed") and file.name[0] != "." and file.is_file()
    }


def _label(module: str) -> str:
    """A module's name in a digest; a plugin's without the suffix that identifies its folder."""
    return module.rpartition("_")[0] if module.startswith(f"{PLUGINS}.") else module


@cache
def code_digest(*modules: str, without: tuple[str, ...] = ()) -> str:
    """Hex digest, 16 characters, of the code that `modules` reach and of the files beside it.

    without: modules or definitions that are left out, besides NO_NUMBERS.
    """
    code = reached(*modules, without=without)
    trees = [
        [_label(module), name, definition.tree, definition.uses]
        for (module, name), definition in sorted(code.definitions.items())
    ]
    assets: dict[str, str] = {}
    for module in sorted(code.modules):
        path = module_file(module)
        assert path is not None
        on_import = syntax.read(path).on_import
        trees.append([_label(module), "", on_import.tree, on_import.uses])
        if module.split(".")[0] in PACKAGES:
            assets |= _assets(path.parent)
    return hashlib.sha256(json.dumps([trees, assets]).encode()).hexdigest()[:16]


@cache
def _version(package: str) -> str | None:
    """The version of a package by its import name; None if it is not installed.

    For a module without a distribution, such as a plugin's helper, the digest of its source.
    """
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(DISTRIBUTIONS.get(package, package))
    spec = find_spec(package)
    if spec is None:
        # To look through all distributions would take as long as everything else of a dry run.
        return None
    for name in metadata.packages_distributions().get(package, ()):
        return metadata.version(name)
    if spec.origin is None:
        return None
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    content = b"\0".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:16]


def package_versions(
    *modules: str, without: tuple[str, ...] = (), compute: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Package -> version, of the packages that `modules` use and that can change a number.

    compute: how a model is loaded, which decides what transformers imports in addition.
    """
    packages = reached(*modules, without=without).packages - PACKAGES_WITHOUT_NUMBERS.keys()
    for setting, package in LOADING_PACKAGES.items():
        if (compute or {}).get(setting):
            packages |= {package}
    versions = {name: _version(name) for name in sorted(packages - sys.stdlib_module_names)}
    return {name: version for name, version in versions.items() if version}
