"""Which code and which packages' versions decide a job's numbers.

Snakemake does not see imported modules. Code counts as far as it is reached: a definition that
`modules` or their imports use, and what runs when these are imported. Nothing is run to find out.
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

# What changes no number, whoever uses it, and why: modules, or definitions in them. A module that
# is asked for by name counts all the same.
NO_NUMBERS = {
    "actadd.base.errors": "raises and words what stops a job",
    "actadd.base.files.REMEDIES": "words what stops a job",
    "actadd.base.files.whole_file": "writes a file whole or not at all, whatever it holds",
    "actadd.base.files.whole_folder": "writes a folder whole or not at all, whatever it holds",
    "actadd.base.kinds.Kinds": "finds the kinds, whose own files count",
    "actadd.base.kinds.Rule": "says what is checked of a config",
    "actadd.base.locks": "lets one process wait for another",
    "actadd.base.progress": "prints how far a job is",
    "actadd.models.verification.verify.ensure": "refuses a model that is steered wrongly",
    "actadd.pipeline": "parses arguments, waits for a device, checks inputs, writes records",
    "actadd.store": "keeps tables under keys and says what is outdated",
}

# Packages, by the name that they are imported under, whose version changes no number, and why. Any
# other that a job uses is part of the job: a new one, or a plugin's, cannot be forgotten.
PACKAGES_WITHOUT_NUMBERS = {
    "filelock": "locks",
    "httpx2": "fetches files that are pinned by their sums",
    "huggingface_hub": "fetches files that are pinned by their sums",
    "matplotlib": "draws",
    "psutil": "looks at the machine",
    "pyarrow": "stores tables",
    "pypi_simple": "fetches files that are pinned by their sums",
    "requests": "fetches and asks; answers are kept",
    "rich": "prints",
    "safetensors": "stores tensors",
    "seaborn": "draws",
    "tenacity": "tries again",
    "tqdm": "prints",
    "yaml": "reads configs",
}
# A setting of compute -> the package by which transformers then loads a model.
LOADING_PACKAGES = {
    "device_map": "accelerate",
    "gpus": "accelerate",
    "quantization": "bitsandbytes",
}
# Import name -> distribution, where they differ.
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


@cache
def module_file(module: str) -> Path | None:
    """The file of one of our modules, or of one in a package that is loaded; None if none is."""
    package, *parts = module.split(".")
    if package in PACKAGES:
        bases = [ROOT.joinpath(package, *parts)]
    else:
        file = getattr(sys.modules.get(module), "__file__", None) or ""
        if file.endswith(".py"):
            return Path(file)
        # What a function imports when it is called is not loaded yet.
        folders = getattr(sys.modules.get(package), "__path__", ()) if parts else ()
        bases = [Path(folder, *parts) for folder in folders]
    for base in bases:
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


@cache
def _module_of(name: str) -> tuple[str, str]:
    """The module that a dotted name begins with, and the name that follows it."""
    module, attribute = name, ""
    while module_file(module) is None and "." in module:
        module, _, attribute = module.rpartition(".")
    return module, attribute


def _absolute(module: str, name: str) -> str:
    """What a name that a module uses or imports is called from outside, see `syntax.Definition`."""
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

    modules: those that are loaded. definitions: (module, name) -> what is reached of them.
    packages: import names of other distributions.
    """

    modules: set[str] = field(default_factory=set)
    definitions: dict[tuple[str, str], Definition] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)


def _in(names: Iterable[str], name: str) -> bool:
    """Whether a dotted name is one of `names`, or a part of one."""
    return any(name == each or name.startswith(f"{each}.") for each in names)


@cache
def changes_no_number(name: str) -> bool:
    """Whether a dotted name is in NO_NUMBERS, or a part of what is."""
    return _in(NO_NUMBERS, name)


class _Search:
    """Follows imports and uses from some modules on."""

    def __init__(self, entries: tuple[str, ...], without: tuple[str, ...]) -> None:
        self.code = Code()
        self.entries, self.without = entries, without
        # Besides ours, the packages of kinds from elsewhere, such as a user's plugins.
        self.packages = {*PACKAGES, *(module.split(".")[0] for module in entries)}
        self.pending: list[str] = []
        for module in entries:
            if module_file(module) is None:
                raise ValueError(f"{module} is not a module of this project, nor a loaded one")
            self.load(module)
            self.pending.append(module)
        while self.pending:
            self.use(self.pending.pop())

    def counts(self, name: str) -> bool:
        """Whether a dotted name, or what it is a part of, can change a number."""
        if _in(self.without, name):
            return False
        return not changes_no_number(name) or _in(self.entries, name)

    def load(self, name: str) -> None:
        """Takes what runs when the module of a dotted name is imported."""
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
        """Takes what a dotted name stands for: a definition, or all of a module."""
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
        if module == "actadd" and attribute:
            from actadd import _PUBLIC

            if attribute in _PUBLIC:
                self.pending.append(f"actadd.{_PUBLIC[attribute]}.{attribute}")
                return
        # Made when the module is imported, or in a way that its text does not show: all of it.
        names = [attribute] if attribute in source.definitions else list(source.definitions)
        for each in names:
            key = module, each
            if key not in self.code.definitions and self.counts(f"{module}.{each}"):
                self.code.definitions[key] = source.definitions[each]
                self.follow(module, source.definitions[each])


@cache
def reached(*modules: str, without: tuple[str, ...] = ()) -> Code:
    """The code that `modules` reach; of these themselves, all. without: modules or definitions."""
    code = _Search(modules, without).code
    syntax.write_cache()
    return code


@cache
def _assets(folder: Path) -> dict[str, str]:
    """File -> sha256 of what lies beside modules, or in folders without any: parts of a page."""
    folders = [each for each in folder.iterdir() if each.is_dir()]
    parts = [each for each in folders if not any(each.rglob("*.py"))]
    files = [*folder.iterdir(), *(file for part in parts for file in part.rglob("*"))]
    return {
        str(file.relative_to(ROOT)): sha256_file(file)
        for file in sorted(files)
        if file.suffix not in (".py", ".pyc") and file.name[0] != "." and file.is_file()
    }


def _label(module: str) -> str:
    """A module's name for a digest; of a plugin without what tells its folder."""
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

    Of one without a version, as a plugin's helper beside it, the digest of its source.
    """
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(DISTRIBUTIONS.get(package, package))
    for name in metadata.packages_distributions().get(package, ()):
        return metadata.version(name)
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    content = b"\0".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:16]


def package_versions(
    *modules: str, without: tuple[str, ...] = (), compute: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Package -> version, of those that `modules` use and that can change a number.

    compute: how a model is loaded, for what transformers imports by itself.
    """
    packages = reached(*modules, without=without).packages - PACKAGES_WITHOUT_NUMBERS.keys()
    for setting, package in LOADING_PACKAGES.items():
        if (compute or {}).get(setting):
            packages |= {package}
    versions = {name: _version(name) for name in sorted(packages - sys.stdlib_module_names)}
    return {name: version for name, version in versions.items() if version}
