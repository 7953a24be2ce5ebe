"""Style checks, and what must agree with what."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builders.tiny import ROOT

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        [BIN / "ruff", "check", "."],
        [BIN / "ruff", "format", "--check", "."],
        [BIN / "snakefmt", "--check", "Snakefile", "workflow"],
        [BIN / "mypy"],
    ],
    ids=["ruff-check", "ruff-format", "snakefmt", "mypy"],
)
def test_formatted_and_linted(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakemake_lint():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_keep_the_contracts():
    done = subprocess.run(
        [BIN / "lint-imports"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def from_paths(tree: ast.AST) -> list[int]:
    """Lines that write a path of results, or take a name out of a path; docstrings may."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Constant(str(text)) if id(node) not in prose:
                taken = text.startswith("results/")
            case ast.Attribute(attr="stem") | ast.Attribute(ast.Attribute(attr="parent"), "name"):
                taken = True
            case ast.Subscript(ast.Attribute(attr="parts"), ast.UnaryOp()):
                taken = True
            case _:
                taken = False
        lines += [node.lineno] if taken else []
    return lines


def test_names_come_from_jobs_and_paths_from_the_layout():
    rooms = ("cli", "config", "measure", "results", "scorers", "vectors")
    files = [file for room in rooms for file in ROOT.glob(f"workflow/actadd/{room}/**/*.py")]
    files += ROOT.glob("workflow/programs/*.py")
    taken = {str(file): from_paths(ast.parse(file.read_text())) for file in files}
    assert len(files) > 100 and {file: lines for file, lines in taken.items() if lines} == {}
    wrong = "a = path.stem, path.parent.name, path.parts[-2], 'results/x'"
    assert len(from_paths(ast.parse(wrong))) == 4


def pins(lines) -> dict[str, str]:
    stripped = (line.split("#")[0].strip() for line in lines)
    return dict(line.split("==") for line in stripped if line)


def test_the_conda_environment_has_the_same_pins():
    required = pins((ROOT / "requirements.txt").read_text().splitlines())
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    [from_pip] = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert pins(from_pip) == required


def test_the_jobs_environment_has_the_pins_of_the_library():
    library, _, _ = (ROOT / "requirements.txt").read_text().partition("# For the workflow.")
    path = ROOT / "workflow/envs/runtime.yml"
    entries = yaml.safe_load(path.read_text())["dependencies"]
    [from_pip] = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert pins(from_pip) == pins(library.splitlines())


def test_what_is_installed_is_what_is_pinned():
    from importlib.metadata import version

    required = pins((ROOT / "requirements.txt").read_text().splitlines())
    result = {name: version(name).split("+")[0] for name in required}
    assert result == required


def locked() -> dict[str, list[Requirement]]:
    """The lock file's entries by name; one for each of several platforms."""
    result: dict[str, list[Requirement]] = {}
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        entry = Requirement(line.partition("--hash")[0])
        result.setdefault(canonicalize_name(entry.name), []).append(entry)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line
    return result


def needed_here(entries: list[Requirement], extra: str = "") -> list[Requirement]:
    return [e for e in entries if e.marker is None or e.marker.evaluate({"extra": extra})]


def test_the_lock_has_the_pins_and_names_no_host():
    lock = locked()
    for name, version in pins((ROOT / "requirements.txt").read_text().splitlines()).items():
        [entry] = needed_here(lock[canonicalize_name(name)])
        # The lock has versions in their shortest form: 2.7 for 2.007.
        assert entry.specifier.contains(version, prereleases=True), "run make lock"
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_lock_is_closed_and_is_what_is_installed():
    """Whatever a locked package requires here is locked; what is not installed is CUDA's alone."""
    lock, missing = locked(), set()
    for name, entries in lock.items():
        for entry in needed_here(entries):
            try:
                result = distribution(name)
            except PackageNotFoundError:
                missing.add(name)
                continue
            assert entry.specifier.contains(result.version.split("+")[0], prereleases=True), name
            for requirement in needed_here(list(map(Requirement, result.requires or []))):
                required = canonicalize_name(requirement.name)
                assert needed_here(lock.get(required, [])), f"{name} needs {required}: make lock"
    assert all(name.startswith(("nvidia-", "cuda-", "triton")) for name in missing), missing


def test_every_pin_is_of_one_range_of_the_package():
    """So that the exact versions and what `pip install` asks for speak of the same packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    ranges = [Requirement(line) for group in groups for line in group]
    required = pins((ROOT / "requirements.txt").read_text().splitlines())
    assert sorted(each.name for each in ranges) == sorted(required)
    for each in ranges:
        assert each.specifier.contains(required[each.name]), each
