"""Notes of failed cells, one file for each job that computes cells.

A job with failed cells succeeds, so that the other jobs continue. Its note makes the job outdated,
so that the next run tries the cells again, and makes the last job of a target fail.
"""

from collections.abc import Iterable
from pathlib import Path

from actadd.base.errors import DamagedFile
from actadd.base.files import read_json, write_json


def write(path: Path | str | None, failed: dict[str, str]) -> None:
    """Write the note of a job's failed cells, label -> reason; remove it if none failed.

    path: None for a job that only gathers cells.
    """
    if path is None:
        return
    if failed:
        write_json(path, {"failed": failed})
    else:
        Path(path).unlink(missing_ok=True)


def read(path: Path | str) -> dict[str, str]:
    """The cells that failed when a job last ran, label -> reason.

    A damaged note counts as one unknown cell, so that the job runs again.
    """
    path = Path(path)
    if not path.exists():
        return {}
    try:
        failed = read_json(path)["failed"]
        return {str(label): str(reason) for label, reason in failed.items()}
    except (DamagedFile, LookupError, TypeError, AttributeError):
        return {"a cell": f"{path} is damaged"}


def message(folder: Path, names: Iterable[str] | None = None, since: float = 0.0) -> str:
    """The message about failed cells; "" if none failed.

    folder: of the notes. names: of the jobs; default all. since: Unix time; older notes are
    ignored.
    """
    paths = folder.rglob("*.json") if names is None else (folder / f"{n}.json" for n in names)
    cells = [
        f"{path.relative_to(folder).with_suffix('')}: {label}: {reason}"
        for path in sorted(paths)
        if path.exists() and path.stat().st_mtime >= since
        for label, reason in read(path).items()
    ]
    if not cells:
        return ""
    more = [f"and {len(cells) - 3} more, see {folder}/"] if len(cells) > 3 else []
    return "\n".join(
        [f"{len(cells)} cells failed; the next run tries them again", *cells[:3], *more]
    )
