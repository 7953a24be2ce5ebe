"""Records of provenance: what an output was made from, in a JSON file beside it."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from actadd.base.errors import DamagedFile, UserError
from actadd.base.files import digest, json_text, read_json, remove, write_text
from actadd.store import sums

# Packages whose version can change a number; those that are not installed are left out.
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

KEYS = {"stage", "job", "code", "packages", "spec", "facts", "inputs", "outputs", "git", "versions"}
# Keys that records of earlier versions lack.
LATER = {"packages"}


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages above that are installed."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


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


def write(
    path: Path,
    *,
    stage: str,
    spec: dict[str, Any],
    code: str,
    packages: Mapping[str, str],
    job: str,
    facts: dict[str, Any],
    outputs: Iterable[Path],
    inputs: Mapping[Path, str],
) -> None:
    """Write a job's record. It holds no time, host or absolute path, so it is reproducible.

    packages: versions of those that can change the job's numbers. outputs: the files and folders
    that the job wrote; the record holds the sha256 of each file, by its path relative to the
    record's folder. inputs: the sha256 of each file of other jobs that it read, recorded likewise.
    """
    record: dict[str, Any] = {
        "stage": stage,
        "job": job,
        "code": code,
        "packages": dict(packages),
        "spec": spec,
        "facts": facts,
        "inputs": {relative(file, path.parent): value for file, value in inputs.items()},
        "outputs": sums.of_files(outputs, path.parent),
        "git": git_state(),
        "versions": versions(),
    }
    write_text(path, record_text(record))


def relative(path: Path, folder: Path) -> str:
    """A path relative to a record's folder, as the record names it."""
    return Path(os.path.relpath(path, folder)).as_posix()


def record_text(record: dict[str, Any]) -> str:
    """A record as JSON, including the digest of all its other content."""
    return json_text({**record, "sum": _sum(record)})


def _sum(record: dict[str, Any]) -> str:
    """The digest of a record's content except its sum."""
    return digest({key: value for key, value in record.items() if key != "sum"})


def read(path: Path) -> dict[str, Any] | None:
    """A job's record; None if the file is not one of our records.

    Raises DamagedFile, which names the file, if its content is not as it was written. A record of
    an earlier version has no sum; it must have all keys except `LATER`.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged, not valid JSON") from error
    if not isinstance(record, dict) or len(KEYS & record.keys()) < len(KEYS) / 2:
        return None
    whole = KEYS - LATER <= record.keys() - {"sum"} <= KEYS
    if not whole or ("sum" in record and record["sum"] != _sum(record)):
        raise DamagedFile(f"{path} is damaged, its sum is not that of its content")
    return record


def recorded(path: Path) -> dict[str, Any]:
    """A record, for commands that read results. Raises DamagedFile with the remedy."""
    remedy = "actadd verify shows how to make it again"
    try:
        record = read(path)
    except DamagedFile as error:
        raise DamagedFile(f"{error}; {remedy}") from error
    if record is None:
        raise DamagedFile(f"{path} is not a record of a job; {remedy}")
    return record


def weights(paths: Iterable[Path]) -> dict[str, str]:
    """The weights' digest of the prepared model among some inputs, as a fact; {} without one."""
    for path in paths:
        if (path / "model.json").is_file():
            return {"weights": read_json(path / "model.json")["weights"]}
    return {}


def record_beside(path: Path) -> Path | None:
    """The record of an output: its own, or else that of its folder; None if there is none."""
    for candidate in (
        path.with_name(f"{path.stem}.provenance.json"),
        (path if path.is_dir() else path.parent) / "provenance.json",
    ):
        if candidate.is_file():
            return candidate
    return None


def record_of(path: Path) -> dict[str, Any]:
    """The content of an output's record; {} without a readable record."""
    record_path = record_beside(path)
    return _content(record_path) if record_path else {}


def check_fresh(path: Path, expected: set[str]) -> dict[Path, str]:
    """The sha256 of the files of an input that a job made; {} for a shard's record.

    Raises UserError if `path` was made by another job than one of `expected`, or is damaged.

    This is the second check for stale files, after the plan of the run; it also catches files that
    changed since then. An output without a record is an error.

    Every byte is compared with the sums in the record. A damaged output is removed with its
    record, so that the next run makes both again; a file of the user's is never touched.
    """
    unrecorded = UserError(
        f"{path}: no record says what it was made from; delete it, and run again to make it"
    )
    record_path = record_beside(path)
    if record_path is None:
        # A shard's record is an input itself.
        if path.name.endswith("provenance.json"):
            return {}
        raise unrecorded
    try:
        record = read(record_path)
    except DamagedFile as error:
        # Without its record, the origin of the output is unknown.
        discard(path, record_path)
        raise UserError(
            f"{error}: removed, with {path}; run again and both are made anew"
        ) from error
    if record is None:
        raise unrecorded
    if record["job"] not in expected:
        raise UserError(
            f"{path} was made from another config or code (job {record['job']}); delete it, and "
            "run again to make it"
        )
    listed = _listed(path, record_path, record)
    if not listed:
        discard(path, record_path)
        raise UserError(f"{record_path} does not list {path}: removed both; run again to make them")
    for name, sha256 in listed.items():
        file = record_path.parent / name
        actual = sums.sha256(file) if file.is_file() else None
        if actual != sha256:
            _refuse(file, record_path, actual, sha256)
    return {record_path.parent / name: sha256 for name, sha256 in listed.items()}


def discard(path: Path, record_path: Path) -> None:
    """Remove an output and its record, so that the next run makes both.

    A folder that is one output is removed whole, because Snakemake does not track its files.
    """
    remove(record_path.parent / path.relative_to(record_path.parent).parts[0])
    remove(record_path)


def _listed(path: Path, record_path: Path, record: dict[str, Any]) -> dict[str, str]:
    """Name -> sha256 in a record, of a file or of the files in a folder."""
    name = path.relative_to(record_path.parent).as_posix()
    return {
        output: sha256
        for output, sha256 in record.get("outputs", {}).items()
        if output == name or output.startswith(f"{name}/")
    }


def _refuse(file: Path, record_path: Path, actual: str | None, expected: str) -> NoReturn:
    """Remove a damaged output, and the target of a link if a job made it; then raise UserError."""
    state = f"sha256 {actual}" if actual else "it is gone"
    real = file.resolve()
    linked = real != record_path.parent.resolve() / file.relative_to(record_path.parent)
    owner = _owner(real, record_path.parent.parent.resolve()) if linked else None
    if linked and owner is None:
        raise UserError(
            f"{real}, your own file behind {file}, is not what it was when it was fetched "
            f"({state}, expected {expected}). Put the right one back; or, if the change is "
            "intended, run again"
        )
    for damaged, record in ((file, record_path), *([(real, owner)] if owner else [])):
        discard(damaged, record)
    raise UserError(
        f"{file} is damaged ({state}, expected {expected}): removed; run again to make it"
    )


def _owner(real: Path, results: Path) -> Path | None:
    """The record in `results` of the job that wrote a file; None if there is none."""
    for folder in real.parents:
        if not folder.is_relative_to(results):
            break
        for record in (
            folder / "provenance.json",
            folder.with_name(f"{folder.name}.provenance.json"),
        ):
            if record.is_file() and _listed(real, record, _content(record)):
                return record
    return None


def _content(record: Path) -> dict[str, Any]:
    """A record's content; {} if it cannot be read."""
    try:
        return read(record) or {}
    except DamagedFile:
        return {}
