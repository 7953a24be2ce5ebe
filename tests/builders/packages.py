"""Packages of others, installed for one test."""

import subprocess
import sys
from pathlib import Path

import pytest


def install(folder: Path, *requirements: str) -> Path:
    """A folder with packages as they are, for PYTHONPATH; skips where no registry is reached."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--only-binary", ":all:", "--target", folder, *requirements),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"{', '.join(requirements)} cannot be installed: {done.stderr[-300:]}")
    return folder
