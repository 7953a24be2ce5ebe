"""Sources of type path: the user's own files, linked and never copied."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.base.files import relative_link

# What describes the files of a model and is read by no loader; nor is what is hidden.
DESCRIPTIONS = ("*.md", "README*", "LICENSE*", "NOTICE*", "*.png", "*.jpg", "*.pdf")


def own_files(path: Path, of_model: bool) -> dict[str, Path]:
    """The user's files behind a source of type path, by name; nothing if there are none.

    of_model: whether the source is a model's or a scorer's, so that descriptions do not count.
    """
    if not path.is_dir():
        return {path.name: path} if path.is_file() else {}
    snapshots = _snapshots(path)
    path = snapshots[0] if snapshots and len(snapshots) == 1 else path
    ignored = DESCRIPTIONS if of_model else ()
    files = {file.relative_to(path): file for file in sorted(path.rglob("*"))}
    return {
        name.as_posix(): file
        for name, file in files.items()
        if not any(part.startswith(".") for part in name.parts)
        and not any(fnmatch(name.name, pattern) for pattern in ignored)
        and file.is_file()
    }


def link_path(
    name: str, spec: dict[str, Any], folder: Path, _scratch: Path, _pins: dict[str, Any]
) -> dict[str, Any]:
    """Link a file, a folder's files, or a hub cache's one snapshot into `folder`; no pins.

    The link is relative where the config's path is.
    """
    try:
        path = Path(spec["path"]).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError):
        exists = False
    if not exists:
        raise UserError(
            f"sources.{name}.path: {spec['path']} does not exist; write an existing path"
        )
    path = _snapshot(name, path)
    for file, target in own_files(path, spec.get("of_model", False)).items():
        link = folder / file
        link.parent.mkdir(parents=True, exist_ok=True)
        if path.is_absolute():
            link.symlink_to(target)
        else:
            relative_link(link, target)
    return {}


def _snapshots(path: Path) -> list[Path] | None:
    """The snapshots in a hub cache's folder or a repository's in it; None of any other folder."""
    if (path / "snapshots").is_dir() and ((path / "refs").is_dir() or (path / "blobs").is_dir()):
        return sorted((path / "snapshots").iterdir())
    kinds = ("models--", "datasets--")
    return [each for kind in kinds for each in sorted(path.glob(f"{kind}*/snapshots/*"))] or None


def _snapshot(name: str, path: Path) -> Path:
    """The one snapshot of a repository's folder in a hub cache; any other path unchanged.

    Raises UserError, which names them, if there are several, or several repositories.
    """
    snapshots = _snapshots(path)
    if snapshots is None:
        return path
    if len(snapshots) == 1:
        print(f"sources.{name}.path: the hub cache's snapshot {snapshots[0]}", flush=True)
        return snapshots[0]
    if not snapshots:
        raise UserError(
            f"sources.{name}.path: {path} is a hub cache with no snapshot; download the model "
            "again, or name another folder"
        )
    listed = "\n".join(map(str, snapshots[:3]))
    raise UserError(
        f"sources.{name}.path: {path} is a hub cache with {len(snapshots)} snapshots; write one of "
        f"them:\n{listed}"
    )
