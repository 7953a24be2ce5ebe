"""How a job differs from the one that made the existing outputs: what, its old and new value."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from actadd.base.files import canonical_json
from actadd.pipeline.job import Job
from actadd.store.digests import module_file, reached

# Settings and files that a sentence names, and characters of a value in it.
NAMED, VALUE = 4, 40
SUM = re.compile(r"[0-9a-f]{64}")
CHECKOUT = Path(__file__).resolve().parents[3]
_MISSING = object()


def difference(record: Mapping[str, Any], job: Job) -> str:
    """How a job differs from the one of a record, in one sentence.

    Names config keys and packages with their old and new values, files of the code that changed
    since the recorded commit, and the stages above that differ.
    """
    old, new = record["spec"], job.spec
    above = {name.split("/")[0] for name in _differing(old.get("upstream", {}), new["upstream"])}
    keys = list(_settings(_without_upstream(old), _without_upstream(new)))
    parts = [
        *keys[:NAMED],
        *([f"{len(keys) - NAMED} more keys"] if len(keys) > NAMED else []),
        *([_code(record, job)] if record["code"] != job.code else []),
        *_packages(record.get("packages", {}), job.packages),
        *(f"above: {stage}" for stage in sorted(above)),
    ]
    # For example if 1 became true. An empty reason would mean that the job is up to date.
    return ", ".join(dict.fromkeys(parts)) or "config"


def _settings(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """Each setting that differs, with its old and new value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in _differing(old, new):
            inner = f"{key}.{name}".removeprefix(".")
            yield from _settings(old.get(name, _MISSING), new.get(name, _MISSING), inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            if one != other:
                yield from _settings(one, other, f"{key}.{index}")
    elif isinstance(old, list) and isinstance(new, list) and max(map(_length, (old, new))) > VALUE:
        gone, added = ([each for each in a if each not in b] for a, b in ((old, new), (new, old)))
        yield f"{key} without {_value(gone)}, with {_value(added)}"
    else:
        yield f"{key} {_value(old)} -> {_value(new)}"


def _length(value: Any) -> int:
    return len(canonical_json(value))


def _value(value: Any) -> str:
    """A value in a few characters."""
    if value is _MISSING:
        return "none"
    if isinstance(value, str) and SUM.fullmatch(value):
        return value[:8]
    text = canonical_json(value)
    return text if len(text) <= VALUE else f"{text[: VALUE - 3]}..."


def _without_upstream(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec without the digests of the jobs above."""
    return {key: value for key, value in spec.items() if key != "upstream"}


def _packages(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in _differing(old, new)
    ]


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Keys whose values differ; 1 and true are equal here."""
    return sorted(key for key in {*old, *new} if old.get(key, _MISSING) != new.get(key, _MISSING))


def _code(record: Mapping[str, Any], job: Job) -> str:
    """ "code", with the files of it that changed since the record's commit, if these are known."""
    commit = record["git"].get("commit")
    changed = _changed_since(commit) if commit else frozenset()
    paths = map(module_file, sorted(reached(*job.modules).modules))
    names = [_from_checkout(path) for path in paths if path is not None]
    files = [name for name in names if name in changed]
    if not files:
        return "code"
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return f"code since {commit[:7]} ({', '.join(files[:NAMED])}{more})"


def _from_checkout(path: Path) -> str:
    resolved = path.resolve()
    inside = resolved.is_relative_to(CHECKOUT)
    return resolved.relative_to(CHECKOUT).as_posix() if inside else str(resolved)


@cache
def _changed_since(commit: str) -> frozenset[str]:
    """Files of the checkout that differ from a commit; none outside a checkout that has it."""
    command = ["git", "-C", str(CHECKOUT), "diff", "--name-only", "--relative", commit, "--"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return frozenset()
    return frozenset(run.stdout.splitlines())
