"""Settings that say auto, and what was decided for them on this machine.

Batch rows and the dtype of a model are decided once and then only read, so that nothing else on the
machine changes a cell. Cells are computed with, and have in their keys, what was decided.
"""

from pathlib import Path
from typing import Any

from actadd.base.files import read_json
from actadd.models.dtypes import AUTO, taken


def resolved(spec: dict[str, Any], rows: Path | None, verified: Path | None) -> dict[str, Any]:
    """A job's spec with what was decided where it says auto.

    rows: the proposed batch rows. verified: the folder or file with the record of the model's
    verification. None if the job reads no such file; it then computes with neither.
    """
    settings = spec.get("scorer", spec)
    decisions: dict[str, Any] = {}
    if rows is not None:
        decisions["batch_rows"] = read_json(rows)["batch_rows"]
    if verified is not None and settings.get("dtype") == AUTO:
        decisions["dtype"] = taken(verified)
    if "scorer" in spec:
        return {**spec, "scorer": {**settings, **decisions}}
    return {**spec, **decisions}


def decided(spec: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """What a job's record says of the dtype that was taken for auto; {} if its config states one.

    spec: as the job's file has it. whole: with the decisions.
    """
    taken_dtype = whole.get("scorer", whole).get("dtype")
    return {"dtype": taken_dtype} if spec.get("scorer", spec).get("dtype") == AUTO else {}
