"""Sources: models, scorers and data from where they are published, checked by sha256.

Four kinds of source: a member of a published package, a URL, a repository of the Hugging Face hub,
and a local path.

A pin that the config does not state is not invented: the first use records it in the lock file,
with a message, and every later use must match it.
"""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from actadd.base import locks
from actadd.base.errors import UserError
from actadd.base.files import read_json, whole_folder, write_json
from actadd.data.sources.archives import check_sha256
from actadd.data.sources.downloads import fetch_url
from actadd.data.sources.hub import fetch_repository
from actadd.data.sources.local_files import link_path
from actadd.data.sources.packages import fetch_package
from actadd.store.sums import sha256

# Each takes (name, spec, folder, scratch, pins in the lock file) and returns the pins of this use.
FETCHERS = {
    "package": fetch_package,
    "url": fetch_url,
    "hub": fetch_repository,
    "path": link_path,
}


def fetch(name: str, spec: dict[str, Any], target: Path, lock: Path) -> dict[str, Any]:
    """Fill the folder `target` with the files of source `name`; returns facts for its record.

    spec: the source's config entry. lock: the lock file's path, read and, for a source without a
    pin, written. Raises UserError, naming source and remedy, if the source cannot be fetched or is
    not what was pinned; nothing is left behind then.
    """
    pinned = spec["type"] in ("hub", "url")
    # A lock that cannot be taken is reported before anything is downloaded.
    with locks.held(f"{lock}.lock") if pinned else nullcontext():
        pins = (read_json(lock) if lock.exists() else {}).get(name, {})
    with whole_folder(target) as folder:
        # On the disk that has to hold the files anyway: /tmp is often too small for a model.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
            new_pins = FETCHERS[spec["type"]](name, spec, folder, Path(scratch), pins)
        # A path stays a link to the user's own files, which are never copied and may be huge.
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            raise UserError(
                f"sources.{name}: {_origin(spec)} holds no file; check it, and the key files"
            )
        sums = {str(path.relative_to(folder)): sha256(path) for path in files}
        for file, expected in spec.get("sha256", {}).items():
            if file not in sums:
                raise UserError(
                    f"sources.{name}.sha256: no file {file!r}; write one of {sorted(sums)}"
                )
            check_sha256(f"sources.{name}.sha256.{file}", sums[file], expected)
        facts = {**new_pins, "sha256": sums}
        if pinned:
            # Two fetches at once must not lose each other's entry.
            with locks.held(f"{lock}.lock"):
                _pin(name, lock, pins, facts)
    return {**facts, "source": _origin(spec)}


def _origin(spec: dict[str, Any]) -> str:
    if spec["type"] == "package":
        return ", ".join(f"{part['name']} {part['version']}" for part in spec["parts"])
    return str(spec.get("url") or spec.get("repository") or spec.get("path"))


def _pin(name: str, lock: Path, pins: dict[str, Any], facts: dict[str, Any]) -> None:
    """Compare a source with its pins in the lock file, or record them there at first use."""
    if not pins:
        entries = read_json(lock) if lock.exists() else {}
        write_json(lock, {**entries, name: facts})
        print(f"sources.{name}: first use; its pins are recorded in {lock}, keep that file")
        return
    if pins != facts:
        differing = sorted(key for key in facts if pins.get(key) != facts[key])
        raise UserError(
            f"sources.{name}: what was fetched differs from {lock} in {', '.join(differing)}; "
            f"if the change is intended, delete the entry {name!r} there"
        )
