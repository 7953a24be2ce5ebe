"""Cells that failed are tried again by the next run.

Snakemake makes a file again when a param of its job has changed. So a job with failed cells leaves
a record with the number of the attempt that follows, and that number is a param of the job. When
the cells succeed, the record stays with the number that they succeeded under, or the param would
change once more.
"""

from collections.abc import Iterable
from pathlib import Path

from actadd.base.errors import DamagedFile
from actadd.base.files import read_json, write_json


def attempt(record: Path | str) -> int:
    """Which attempt a job that starts now is: 0 unless one before it had failed cells.

    A damaged record counts as none: if the job had another number, it runs once more.
    """
    record = Path(record)
    try:
        return int(read_json(record)["attempt"]) if record.exists() else 0
    except (DamagedFile, LookupError, TypeError, ValueError):
        return 0


def note(record: Path | str | None, number: int | str | None, failed: dict[str, str]) -> None:
    """Records the outcome of an attempt: cells that failed, label -> reason.

    record: None for a job that only gathers what others tried.
    """
    if record is None:
        return
    if failed:
        write_json(record, {"attempt": int(number or 0) + 1, "failed": failed})
    elif Path(record).exists():
        write_json(record, {"attempt": int(number or 0), "failed": {}})


def failed_since(records: Iterable[Path | str], time: float) -> dict[Path, dict[str, str]]:
    """Record -> its failed cells, of those records that were written after `time` (Unix)."""
    written = (Path(record) for record in records)
    found = {
        record: read_json(record)["failed"]
        for record in written
        if record.exists() and record.stat().st_mtime >= time
    }
    return {record: failed for record, failed in found.items() if failed}
