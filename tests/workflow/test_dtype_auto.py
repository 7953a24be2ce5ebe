"""The dtype that a run decides for."""

import json

import pytest

from actadd.base.files import read_json
from actadd.models.dtypes import instructions
from builders import tiny
from builders.tiny import actadd


@pytest.mark.workflow
def test_auto_takes_a_dtype_once_and_its_cells_are_those_of_that_dtype(finished, tmp_path):
    expected = "mixed" if instructions("cpu") else "float32"
    settings = tiny.config()
    settings["models"]["tiny"]["dtype"] = "auto"
    settings["experiments"]["sweep"]["scorers"].append("fluency")
    space = finished.copy_before_cells(tmp_path / "space", settings)
    tables = ["completions/tiny/sweep", "logprobs/tiny/ratio", "scores/tiny/sweep/fluency"]
    targets = ("--", *(f"results/{table}.parquet" for table in tables))
    space.run(*targets)
    results = space.folder / "results"
    record = read_json(results / "models/tiny/verification.json")
    assert record["dtype"] == record["auto"]["dtype"] == expected
    assert f"dtype auto: {expected}" in space.log("model/tiny")
    # Results say which dtype was taken; the config's word stays what it is.
    for table in tables:
        made = read_json(results / f"{table}.provenance.json")
        assert made["spec"].get("scorer", made["spec"])["dtype"] == "auto"
        assert made["facts"]["dtype"] == expected
    assert not space.planned(*targets)
    plan = actadd(space, "plan")
    assert [line.split()[2:5] for line in plan.splitlines() if line.startswith("sweep ")] == [
        ["5", "5", "0"]
    ]

    # With the dtype stated, everything is computed again from the same cells.
    store = {path.name for path in (results / "store").rglob("*.parquet")}
    stated = json.loads(json.dumps(settings))
    stated["models"]["tiny"]["dtype"] = expected
    space.configure(stated)
    space.run(*targets)
    assert {path.name for path in (results / "store").rglob("*.parquet")} == store
    # In another dtype, no cell is the same.
    stated["models"]["tiny"]["dtype"] = "bfloat16"
    space.configure(stated)
    space.run(*targets)
    assert len(list((results / "store").rglob("*.parquet"))) > len(store)
