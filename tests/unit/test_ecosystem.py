"""Files that other programs read: CI, pre-commit, containers, the catalog, citations, pip."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import actadd
from builders import tiny
from builders.tiny import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def parsed(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


def test_the_catalog_file_says_how_to_deploy():
    usage = parsed(".snakemake-workflow-catalog.yml")["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["report"] is True
    assert (ROOT / "workflow/Snakefile").is_file()
    assert (ROOT / "config/README.md").is_file()


def test_the_citation_is_of_this_version():
    citation = parsed("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == actadd.__version__
    assert citation["license"] == PROJECT["license"]


def test_ci_calls_targets_that_exist_on_supported_pythons():
    jobs = parsed(".github/workflows/tests.yml")["jobs"]
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    called = set(re.findall(r"\bmake ([\w-]+)", "\n".join(commands)))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"test", "test-slurm"} <= called <= targets
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert lowest in jobs["test"]["strategy"]["matrix"]["python"]


def test_hooks_run_pinned_programs():
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    [repo] = parsed(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    for hook in repo["hooks"]:
        assert hook["entry"].split()[0].removeprefix(".venv/bin/") in pinned
        assert hook["language"] == "system"


def test_containers_copy_what_exists():
    docker = (ROOT / "Dockerfile").read_text()
    copied = [
        name
        for line in re.findall(r"^COPY (.+)$", docker, flags=re.MULTILINE)
        for name in line.split()[:-1]
    ]
    let_in = (ROOT / ".dockerignore").read_text().split()
    assert copied and {f"!{name}" for name in copied} <= set(let_in)
    definition = (ROOT / "apptainer.def").read_text()
    copied += re.findall(r"^    (\S+) /actadd/", definition, flags=re.MULTILINE)
    for name in copied:
        assert (ROOT / name).exists(), name
    image = re.search(r"^FROM (.+)$", docker, flags=re.MULTILINE)[1]
    assert f"From: {image}\n" in definition


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since building writes into its folder."""
    if find_spec("setuptools") is None:
        pytest.skip("pip has no setuptools to build with")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        ROOT / "workflow", source / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir")
    pip = [sys.executable, "-m", "pip", "wheel", *options, str(folder), str(source)]
    subprocess.run(pip, check=True, timeout=600)
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_is_the_library_and_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [record] = [name for name in names if name.endswith("METADATA")]
        metadata = Parser().parsestr(archive.read(record).decode())
    ours = ROOT / "workflow"
    files = {str(path.relative_to(ours)) for path in (ours / "actadd").rglob("*.*")}
    assert {name for name in files if "__pycache__" not in name} <= set(names)
    assert metadata["Version"] == actadd.__version__
    assert metadata["License-Expression"] == PROJECT["license"]
    assert metadata["Author"] == PROJECT["authors"][0]["name"]
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    core = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert len(core) == len(PROJECT["dependencies"]) and not any("==" in line for line in core)


def test_the_wheel_works_in_an_environment_of_its_own(wheel, tmp_path):
    """Its dependencies are those of the tests' environment."""
    site, folder = tmp_path / "site", tmp_path / "folder"
    options = ("--quiet", "--no-deps", "--no-index", "--target", str(site))
    pip = [sys.executable, "-m", "pip", "install", *options, str(wheel)]
    subprocess.run(pip, check=True, timeout=600)

    folder.mkdir()
    tiny.write_data(folder)
    (folder / "config.yaml").write_text(json.dumps(tiny.config()))

    def printed(*command: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "actadd", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        ).stdout

    assert "check" in printed("--help")
    assert printed("check").startswith("ok: 3 experiments")
