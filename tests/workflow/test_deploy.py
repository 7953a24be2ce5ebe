"""The workflow catalog's three steps, with the real snakedeploy and a clone of this repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import actadd
from builders import tiny

pytestmark = [pytest.mark.workflow, pytest.mark.network]

SNAKEDEPLOY = "snakedeploy==0.17.1"


def ran(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it must not fail."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Path:
    """An empty folder after `snakedeploy deploy-workflow`, from the tag of this version."""
    if not (tiny.ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    folder = tmp_path_factory.mktemp("deploy")
    source, target = folder / "source", folder / "my-study"
    ran("git", "clone", "--quiet", tiny.ROOT, source, cwd=folder)
    ran("git", "tag", f"v{actadd.__version__}", cwd=source)
    target.mkdir()
    ran(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    ran(folder / "venv/bin/pip", "install", "--quiet", SNAKEDEPLOY, cwd=folder)
    command = [folder / "venv/bin/snakedeploy", "deploy-workflow", source, "."]
    ran(*command, "--tag", f"v{actadd.__version__}", cwd=target)
    # Of a local repository, snakedeploy writes a path that is relative to itself.
    snakefile = target / "workflow/Snakefile"
    text = snakefile.read_text()
    assert '"workflow/Snakefile"' in text
    snakefile.write_text(text.replace('"workflow/Snakefile"', f'"{source}/workflow/Snakefile"'))
    return target


def test_the_default_config_is_deployed_and_planned(deployed):
    config = deployed / "config/config.yaml"
    assert not config.is_symlink()
    assert config.read_bytes() == (tiny.ROOT / "config.yaml").read_bytes()
    assert (deployed / "profiles/slurm/profile.yaml").is_file()
    printed = ran("snakemake", "-n", cwd=deployed)
    for rule in ("model", "cells", "scores", "figure"):
        assert f"\n{rule} " in printed, printed


def test_an_edited_config_gives_figures(deployed, tiny_model):
    """The user's data are in the user's folder, and so are the results."""
    shutil.copytree(tiny_model, deployed / "tiny-model")
    tiny.write_data(deployed)
    config = deployed / "config/config.yaml"
    before = config.read_text()
    config.write_text(yaml.safe_dump(tiny.config(), sort_keys=False))
    ran("snakemake", "--cores", "2", "results/figures/ratio.png", cwd=deployed)
    config.write_text(before)
    assert (deployed / "results/figures/ratio.png").stat().st_size
    assert not (deployed.parent / "source/results/figures").exists()
