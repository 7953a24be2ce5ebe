"""The dtype that a run decides for."""

import pytest

from actadd.base.files import read_json
from actadd.models.dtypes import instructions
from builders import tiny
from builders.tiny import actadd


@pytest.mark.workflow
def test_auto_takes_a_dtype_once_and_results_say_which(finished, tmp_path):
    expected = "mixed" if instructions("cpu") else "float32"
    settings = tiny.config()
    settings["models"]["tiny"]["dtype"] = "auto"
    space = finished.copy_before_cells(tmp_path / "space", settings)
    target = ("--", "results/logprobs/tiny/ratio.parquet")
    space.run(*target)
    results = space.folder / "results"
    record = read_json(results / "models/tiny/verification.json")
    assert record["dtype"] == record["auto"]["dtype"] == expected
    # The config's word stays what it is; the facts say what was computed.
    made = read_json(results / "logprobs/tiny/ratio.provenance.json")
    assert made["spec"]["dtype"] == "auto" and made["facts"]["dtype"] == expected
    assert not space.planned(*target)
    # The plan knows the cells of what was decided.
    [line] = [line for line in actadd(space, "plan").splitlines() if line.startswith("ratio")]
    assert line.split()[2:5] == ["3", "3", "0"]
