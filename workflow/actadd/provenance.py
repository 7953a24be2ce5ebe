"""What an output was made from, written beside it."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from actadd.errors import UserError
from actadd.files import read_json, write_json

# Packages whose version can change a number; what is not installed is left out.
PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "scipy",
    "matplotlib",
    "seaborn",
    "vaderSentiment",
    "syntok",
    "nltk",
    "gguf",
    "huggingface_hub",
)


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages above that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_state() -> dict[str, Any]:
    """Commit of the pipeline and whether its tree differs from it; nulls outside a checkout."""

    def git(*arguments: str) -> str | None:
        folder = Path(__file__).parent
        try:
            run = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


def write(path: Path, *, stage: str, spec: dict, code: str, job: str, facts: dict) -> None:
    """Writes one job's record. It holds no time, host or absolute path, so it is reproducible."""
    record = {
        "stage": stage,
        "job": job,
        "code": code,
        "spec": spec,
        "facts": facts,
        "git": git_state(),
        "versions": versions(),
    }
    write_json(path, record)


def record_beside(path: Path) -> Path | None:
    """The provenance of one of our outputs: its own, or else its folder's."""
    for candidate in (
        path.with_name(f"{path.stem}.provenance.json"),
        (path if path.is_dir() else path.parent) / "provenance.json",
    ):
        if candidate.is_file():
            return candidate
    return None


def check_fresh(path: Path, expected: set[str]) -> None:
    """Raises UserError if `path` was made by another job than one of `expected`.

    The third defence against a stale file, after Snakemake's own and the digests in its params;
    it holds also when Snakemake's records are lost. Files without a record are the user's own.
    """
    record = record_beside(path)
    if record is None:
        return
    job = read_json(record)["job"]
    if job not in expected:
        raise UserError(
            f"{path} was made from another config or code (job {job}); "
            f"delete it, or run snakemake with --forcerun, to make it again"
        )
