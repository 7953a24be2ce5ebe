"""The rooms that compute import few packages, so that they run where little else is installed."""

import os
import re
import subprocess
import sys
import textwrap
from importlib import metadata

import pytest

from builders import tiny

ALLOWED = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pyarrow")
ALLOWED += ("scipy",)


def with_requirements(names: tuple[str, ...]) -> set[str]:
    """Distributions, and those that they need without an extra, under normalized names."""
    pending, closure = list(names), set()
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in closure:
            continue
        closure.add(name)
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        needed = (each for each in requirements if "extra ==" not in each)
        pending += [re.match(r"[\w.-]+", each)[0] for each in needed]
    return closure


def refused() -> list[str]:
    """Import names of everything else that is installed here."""
    allowed = with_requirements(ALLOWED)
    return sorted(
        name
        for name, distributions in metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", each).lower() for each in distributions} & allowed
        and name != "actadd"
    )


@pytest.mark.parametrize("room", ["engine", "models", "vectors", "measure"])
def test_a_room_imports_few_packages(room):
    code = f"""
        import importlib, pkgutil, sys

        for name in {refused()!r}:
            sys.modules[name] = None
        package = importlib.import_module("actadd.{room}")
        for module in pkgutil.walk_packages(package.__path__, "actadd.{room}."):
            importlib.import_module(module.name)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT / "workflow")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_other_installed_packages_are_refused():
    assert {"snakemake", "sklearn", "matplotlib", "syntok"} <= {*refused()}
    assert not {*ALLOWED} & {*refused()}
