"""Repositories of the Hugging Face hub, downloaded or linked from its local cache."""

import os
import shutil
from pathlib import Path
from typing import Any

from filelock import SoftFileLock

from actadd.base import locks
from actadd.base.errors import UserError
from actadd.base.files import system_error
from actadd.data.sources.downloads import temporary, tries


def fetch_repository(
    name: str, spec: dict[str, Any], folder: Path, scratch: Path, pins: dict[str, Any]
) -> dict[str, Any]:
    """Download a repository's files into `folder`; returns the pin {"revision": commit}.

    pins: the source's entry in the lock file, empty at first use.
    """
    import httpx2
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    _use_locks_of(scratch)
    repository, kind = spec["repository"], spec.get("repository_type", "model")
    revision = spec.get("revision") or pins.get("revision")
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token.isascii() or not token.isprintable():
        raise UserError(
            f"sources.{name}: HF_TOKEN holds a character that no token has, as pasting can leave; "
            "set it anew, or unset it"
        )
    if constants.is_offline_mode():
        if cached := _from_cache(name, spec, revision, folder, pins):
            return cached
        raise UserError(
            f"sources.{name}: HF_HUB_OFFLINE is set, and the hub cache {constants.HF_HUB_CACHE} "
            f"does not hold {repository} at revision {revision or 'main'} whole; unset it, or use "
            "a local copy with type: path"
        )
    try:
        for attempt in tries(name, f"getting {repository} from the hub"):
            with attempt:
                try:
                    if revision is None:
                        revision = HfApi().repo_info(repository, repo_type=kind).sha
                    snapshot_download(
                        repository,
                        repo_type=kind,
                        revision=revision,
                        local_dir=scratch,
                        allow_patterns=spec.get("files"),
                    )
                except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError):
                    raise
                except (httpx2.HTTPError, OSError) as error:
                    # A compute node has no network, and the cache needs none.
                    if not system_error(error) and (
                        cached := _from_cache(name, spec, revision, folder, pins)
                    ):
                        return cached
                    raise temporary(error) from error
    except GatedRepoError as error:
        raise UserError(
            f"sources.{name}: {repository} is gated. Accept its licence on its page on the hub, "
            "then set HF_TOKEN in the environment to a token of that account"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UserError(
            f"sources.{name}: the hub has no {kind} {repository!r} at revision {revision!r}, or "
            "it is private and HF_TOKEN is not set"
        ) from error
    # The client's own bookkeeping is not part of the repository.
    shutil.rmtree(scratch / ".cache", ignore_errors=True)
    for path in scratch.iterdir():
        path.rename(folder / path.name)
    return {"revision": revision}


def _use_locks_of(folder: Path) -> None:
    """Give the hub's client locks that the folder's file system has.

    The client takes some refusals of a file system without locks for a failing network.
    """
    from huggingface_hub.utils import _fixes

    probe = folder / "lock"
    if not locks.supported(probe):
        vars(_fixes)["FileLock"] = SoftFileLock
    probe.unlink()


def _from_cache(
    name: str, spec: dict[str, Any], revision: str | None, folder: Path, pins: dict[str, Any]
) -> dict[str, Any] | None:
    """Link a repository's snapshot out of the hub client's cache; None if it is not whole there.

    Other programs may have loaded fewer files into the cache, so the lock file's list decides.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot = Path(
            snapshot_download(
                spec["repository"],
                repo_type=spec.get("repository_type", "model"),
                revision=revision,
                allow_patterns=spec.get("files"),
                local_files_only=True,
            )
        )
    except LocalEntryNotFoundError:
        return None
    files = list(pins.get("sha256", {}))
    if not all((snapshot / file).is_file() for file in files):
        return None
    print(f"sources.{name}: taken from the hub cache, {snapshot}", flush=True)
    _link(snapshot, folder, files or spec.get("files"))
    return {"revision": snapshot.name}


def _link(path: Path, folder: Path, patterns: list[str] | None = None) -> None:
    """Link a file, or a folder's files that match patterns, at the same places in `folder`."""
    from huggingface_hub.utils._paths import filter_repo_objects

    if path.is_dir():
        paths = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*"))}
    else:
        paths = {path.name: path}
    files = [name for name, file in paths.items() if file.is_file()]
    for name in filter_repo_objects(files, allow_patterns=patterns):
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(paths[name].resolve())
