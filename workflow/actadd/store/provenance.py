"""What an output was made from, written beside it."""

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


# A folder of this name holds the outputs, see pipeline/layout.py.
RESULTS = "results"
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
    """Writes one job's record. It holds no time, host or absolute path, so it is reproducible.

    packages: versions of those that can change the job's numbers. outputs: the files and folders
    that it wrote; the record keeps the sum of each file, by its name relative to the record's own
    folder. inputs: the sums of the files of other jobs that it read; kept likewise.
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
    write_text(path, sealed(record))


def relative(path: Path, folder: Path) -> str:
    """A path as a record in a folder names it."""
    return Path(os.path.relpath(path, folder)).as_posix()


def sealed(record: dict[str, Any]) -> str:
    """A record's text, with the sum of all its other bytes in it."""
    content = {key: value for key, value in record.items() if key != "sum"}
    return json_text({**content, "sum": digest(content)})


def read(path: Path) -> dict[str, Any] | None:
    """A job's record; None if the file is something else, of somebody else.

    Raises DamagedFile, which names the file, if it is not what was written. A record of an earlier
    version has no sum: all of its keys but `LATER` have to be there.
    """
    try:
        text = path.read_text(encoding="utf-8")
        record = json.loads(text)
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged, it is no JSON") from error
    if not isinstance(record, dict) or len(KEYS & record.keys()) < len(KEYS) / 2:
        return None
    whole = KEYS - LATER <= record.keys() - {"sum"} <= KEYS
    if not whole or ("sum" in record and text != sealed(record)):
        raise DamagedFile(f"{path} is damaged, its sum is not that of its content")
    return record


def recorded(path: Path) -> dict[str, Any]:
    """A record of ours, for who looks at results; raises DamagedFile, which says what to do."""
    try:
        record = read(path)
    except DamagedFile as error:
        raise DamagedFile(f"{error}; actadd verify says what makes it anew") from error
    if record is None:
        raise DamagedFile(f"{path} is no record of a job; actadd verify says what makes it anew")
    return record


def weights(paths: Iterable[Path]) -> dict[str, str]:
    """The digest of the weights of the prepared model among some inputs, as a fact; or nothing."""
    for path in paths:
        if (path / "model.json").is_file():
            return {"weights": read_json(path / "model.json")["weights"]}
    return {}


def record_beside(path: Path) -> Path | None:
    """The provenance of one of our outputs: its own, or else its folder's."""
    for candidate in (
        path.with_name(f"{path.stem}.provenance.json"),
        (path if path.is_dir() else path.parent) / "provenance.json",
    ):
        if candidate.is_file():
            return candidate
    return None


def job_of(path: Path) -> str | None:
    """The job that made an output, by its record; None if there is none that can be read."""
    beside = record_beside(path)
    return _content(beside).get("job") if beside else None


def check_fresh(path: Path, expected: set[str]) -> dict[Path, str]:
    """The sums of an input's files, if a job of ours made it; nothing of the user's own file.

    Raises UserError if `path` was made by another job than one of `expected`, or is damaged.

    The second defence against a stale file, after what planned the job; it holds also where files
    were changed meanwhile. Files without a record are the user's own, but
    for those in results: nothing says what they hold.

    Every byte is compared with the sums in the record. What is damaged and our own is removed, with
    its record, so that the next run makes it again; a file of the user's is never touched.
    """
    beside = record_beside(path)
    if beside is None:
        # A shard's record is an input itself.
        if RESULTS in path.parts and not path.name.endswith("provenance.json"):
            raise UserError(
                f"{path}: no record says what it was made from; delete it and run again, and it is "
                "made anew"
            )
        return {}
    try:
        record = read(beside)
    except DamagedFile as error:
        if RESULTS not in path.parts:
            # A file of the user's, beside something that is no record.
            return {}
        # Nothing says any more what the output was made from.
        discard(path, beside)
        raise UserError(
            f"{error}: removed, with {path}; run again and both are made anew"
        ) from error
    if record is None:
        return {}
    if record["job"] not in expected:
        raise UserError(
            f"{path} was made from another config or code (job {record['job']}); delete it and "
            "run again, and it is made anew"
        )
    listed = _listed(path, beside, record)
    if not listed:
        discard(path, beside)
        raise UserError(
            f"{beside} says nothing of {path}: removed, both; run again and they are made anew"
        )
    for name, wanted in listed.items():
        file = beside.parent / name
        actual = sums.sha256(file) if file.is_file() else None
        if actual != wanted:
            _refuse(file, beside, actual, wanted)
    return {beside.parent / name: value for name, value in listed.items()}


def discard(path: Path, beside: Path) -> None:
    """Removes an output and its record, so that the next run makes both.

    Of a folder that one job made, all of it goes: Snakemake knows no part of it.
    """
    remove(beside.parent / path.relative_to(beside.parent).parts[0])
    remove(beside)


def _listed(path: Path, beside: Path, record: dict[str, Any]) -> dict[str, str]:
    """What a record says of a path: the sums of the file, or of those in the folder, by name."""
    name = path.relative_to(beside.parent).as_posix()
    return {
        listed: wanted
        for listed, wanted in record.get("outputs", {}).items()
        if listed == name or listed.startswith(f"{name}/")
    }


def _refuse(file: Path, beside: Path, actual: str | None, wanted: str) -> NoReturn:
    """Removes a damaged file of ours, and what it is a link to if that is ours; then UserError."""
    state = f"sha256 {actual}" if actual else "it is gone"
    real = file.resolve()
    linked = real != beside.parent.resolve() / file.relative_to(beside.parent)
    owner = _owner(real, beside.parent.parent.resolve()) if linked else None
    if linked and owner is None:
        raise UserError(
            f"{real}, your own file behind {file}, is not what it was when it was fetched "
            f"({state}, expected {wanted}). Put the right one back; or, if the change is wanted, "
            "run again"
        )
    for damaged, record in ((file, beside), *([(real, owner)] if owner else [])):
        discard(damaged, record)
    raise UserError(
        f"{file} is damaged ({state}, expected {wanted}): removed; run again and it is made anew"
    )


def _owner(real: Path, results: Path) -> Path | None:
    """The record, somewhere in `results`, of the job that wrote a file; None if there is none."""
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
    """What a record holds, as far as it can be read."""
    try:
        return read(record) or {}
    except DamagedFile:
        return {}
