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
    path = space.folder / "results/models/tiny.batch_rows.json"
    proposal = json.loads(path.read_text())
    assert proposal["batch_rows"] == 128 and proposal["row_bytes"] > 0

    rows = {
        pq.read_schema(cell).metadata.get(b"batch_rows")
        for cell in (space.folder / "results/store").rglob("*.parquet")
    }
    assert b"128" in rows
    assert not space.planned(*target)
    # The proposal is kept, even if the machine has other memory now.
    path.write_text(path.read_text().replace("128", "64"))
    record = path.with_name("tiny.batch_rows.provenance.json")
    outputs = {path.name: sha256_file(path)}
    record.write_text(record_text({**read_json(record), "outputs": outputs}))
    space.run(*target)
    rows = {
        pq.read_schema(cell).metadata.get(b"batch_rows")
        for cell in (space.folder / "results/store").rglob("*.parquet")
    }
    assert {b"64", b"128"} <= rows
    # After the file is deleted, they are proposed again.
    path.unlink()
    assert "batch_rows" in space.planned(*target)
