"""What `make` and `actadd` say of themselves: targets, version, completion, examples."""

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

import actadd as library
from actadd.cli import app
from actadd.cli.project import configured
from actadd.cli.why import jobs_of
from actadd.pipeline.graph import Graph
from builders.commands import actadd
from builders.tiny import ROOT

COMMANDS = get_command(app).commands


def test_make_alone_prints_its_targets_and_runs_nothing():
    # The suite itself runs under make, whose variables make a make below it report its folders.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    printed = subprocess.run(
        ["make"], cwd=ROOT, env=alone, capture_output=True, text=True, check=True
    ).stdout
    targets = [line.split()[0] for line in printed.splitlines()[1:]]
    [phony] = [
        line.split()[1:]
        for line in (ROOT / "Makefile").read_text().splitlines()
        if line.startswith(".PHONY")
    ]
    assert sorted(targets) == sorted(set(phony) - {"help"})
    assert targets[0] == "run" and all(len(line) < 80 for line in printed.splitlines())


def test_the_version_is_the_librarys():
    assert actadd("--version") == f"actadd {library.__version__}\n"


def test_a_shell_completes_commands():
    asked = {
        "_ACTADD_COMPLETE": "complete_bash",
        "COMP_WORDS": "actadd ex",
        "COMP_CWORD": "1",
        "PYTHONPATH": str(ROOT / "workflow"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "actadd"],
        cwd=ROOT,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["export"], done.stderr


@cache
def default() -> dict:
    return configured()


def examples() -> list[str]:
    """The commands that the help of every command shows."""
    return [
        line
        for command in COMMANDS.values()
        for line in (command.epilog or "").split("\n\n")
        if line.startswith("actadd ")
    ]


def test_every_command_has_an_example():
    assert {line.split()[1] for line in examples()} == set(COMMANDS)


@pytest.mark.parametrize("line", examples())
def test_an_example_fits_the_default_config(line, monkeypatch):
    """Its options are known, and its names are entries of the config."""
    monkeypatch.chdir(ROOT)
    config = default()
    name, *arguments = shlex.split(line)[1:]
    given = COMMANDS[name].make_context(name, arguments).params
    if isinstance(given.get("vector"), str):
        assert given["vector"] in config["vectors"]
    for key, section in (("experiment", "experiments"), ("forget", "experiments")):
        assert given.get(key) is None or given[key] in config[section]
    model = given.get("model")
    assert model is None or model in config["models"]
    layers = given.get("layer") if isinstance(given.get("layer"), list) else [given.get("layer")]
    for layer in layers or []:
        assert layer is None or layer < config["models"][model]["layers"]
    for path in given.get("configs") or []:
        assert Path(path).is_file()
    if name == "why":
        assert jobs_of(Graph(config, ROOT), given["target"])


def test_the_vectors_that_examples_export_are_made_by_the_default_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    needed = Graph(default(), ROOT).complete("all").inputs
    jobs = [file.job for files in needed.values() for file in files if file.job]
    made = {(job.names["model"], job.names["vector"]) for job in jobs if job.stage == "vectors"}
    for line in examples():
        name, *arguments = shlex.split(line)[1:]
        if name == "export":
            given = COMMANDS[name].make_context(name, arguments).params
            assert (given["model"], given["vector"]) in made
