"""Style checks, and what must agree with what."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tiny import ROOT

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        [BIN / "ruff", "check", "."],
        [BIN / "ruff", "format", "--check", "."],
        [BIN / "snakefmt", "--check", "Snakefile", "workflow"],
    ],
    ids=["ruff-check", "ruff-format", "snakefmt"],
)
def test_formatted_and_linted(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakemake_lint():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def pins(lines) -> dict[str, str]:
    stripped = (line.split("#")[0].strip() for line in lines)
    return dict(line.split("==") for line in stripped if line)


def test_the_conda_environment_has_the_same_pins():
    required = pins((ROOT / "requirements.txt").read_text().splitlines())
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    [from_pip] = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert pins(from_pip) == required


def test_what_is_installed_is_what_is_pinned():
    from importlib.metadata import version

    required = pins((ROOT / "requirements.txt").read_text().splitlines())
    found = {name: version(name).split("+")[0] for name in required}
    assert found == required


def test_pyproject_takes_its_dependencies_from_the_one_list():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dynamic = project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"]
    assert dynamic == ["requirements.txt"]


def test_every_package_of_the_library_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = [path.parent for path in (ROOT / "workflow/actadd").rglob("__init__.py")]
    names = {".".join(folder.relative_to(ROOT / "workflow").parts) for folder in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == names


def test_the_library_does_not_know_snakemake():
    for path in (ROOT / "workflow").glob("actadd/**/*.py"):
        assert "import snakemake" not in path.read_text()
        assert "from snakemake" not in path.read_text()
