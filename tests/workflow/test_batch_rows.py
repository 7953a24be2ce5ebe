"""Batch rows that a run proposes."""

import json

import pyarrow.parquet as pq
import pytest

from actadd.base.files import read_json, sha256_file
from actadd.store.provenance import record_text
from builders import tiny


@pytest.mark.workflow
def test_auto_rows_are_proposed_once_and_kept(finished, tmp_path):
    settings = tiny.config(compute={"batch_rows": "auto"})
    space = finished.copy_before_cells(tmp_path / "space", settings)
    target = ("--", "results/completions/tiny/sweep.parquet")
    space.run(*target)
    path = space.folder / "results/models/tiny.batch.json"
    shape = json.loads(path.read_text())
    assert shape["batch_rows"] == 128 and shape["row_bytes"] > 0

    rows = {
        pq.read_schema(cell).metadata.get(b"batch_rows")
        for cell in (space.folder / "results/store").rglob("*.parquet")
    }
    assert b"128" in rows
    assert not space.planned(*target)
    # What was proposed stays, though the machine may have other memory by now.
    path.write_text(path.read_text().replace("128", "64"))
    record = path.with_name("tiny.batch.provenance.json")
    outputs = {path.name: sha256_file(path)}
    record.write_text(record_text({**read_json(record), "outputs": outputs}))
    space.run(*target)
    rows = {
        pq.read_schema(cell).metadata.get(b"batch_rows")
        for cell in (space.folder / "results/store").rglob("*.parquet")
    }
    assert {b"64", b"128"} <= rows
    # Deleted, they are proposed anew.
    path.unlink()
    assert "batch_shape" in space.planned(*target)
