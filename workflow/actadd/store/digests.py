"""Which of our own source a program uses, and one digest of it.

Snakemake does not see imported modules. The imports are read from the syntax tree, so nothing is
run, a touched file changes nothing, and no list has to be kept by hand.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actadd", "programs")


def module_file(module: str) -> Path | None:
    """The file of one of our modules, or None if the name is not one of ours."""
    if module.split(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _imports(path: Path) -> frozenset[str]:
    """Names of our modules that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(name for name in found if module_file(name))


def modules_used(*modules: str) -> list[str]:
    """`modules` and all of our modules that they import, directly or not, sorted by name."""
    pending, used = list(modules), set()
    while pending:
        module = pending.pop()
        if module in used:
            continue
        path = module_file(module)
        if path is None:
            raise ValueError(f"{module} is not a module of this project")
        used.add(module)
        pending.extend(_imports(path))
    return sorted(used)


def _assets(module: str) -> list[Path]:
    """Files that lie in a package beside its modules, as the parts of a page do."""
    path = module_file(module)
    if path is None or path.name != "__init__.py":
        return []
    files = [file for file in path.parent.iterdir() if file.is_file() and file.suffix != ".py"]
    return sorted(file for file in files if not file.name.startswith("."))


@cache
def code_digest(*modules: str) -> str:
    """Hex digest, 16 characters, over the bytes of `modules` and all of ours that they import.

    What a package holds beside its modules counts too.
    """
    summed = hashlib.sha256()
    for module in modules_used(*modules):
        for path in (module_file(module), *_assets(module)):
            assert path is not None
            summed.update(module.encode() + b"\0" + path.read_bytes() + b"\0")
    return summed.hexdigest()[:16]
