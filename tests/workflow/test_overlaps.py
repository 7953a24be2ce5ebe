"""Overlapping texts and splits in a run."""

import json

import pandas as pd
import pytest

from builders import tiny
from builders.configs import contaminated


@pytest.mark.workflow
def test_the_real_job(tmp_path, tiny_model):
    """Written order under an overlay, in a locale without UTF-8; a file elsewhere; the refusal."""
    settings = contaminated()
    texts = [f"日本 text – {number}" for number in range(10)]
    settings["datasets"]["ordered"] = {
        "title": "é",
        "texts": texts,
        "order": "file",
        "splits": {"held-out": 0.2, "fit": 0.8},
    }
    elsewhere = tmp_path / "some where" / "own.csv"
    elsewhere.parent.mkdir()
    elsewhere.write_text("text\nfirst\n")
    settings["sources"]["mine"] = {"type": "path", "path": str(elsewhere)}
    settings["datasets"]["own"] = {"title": "own", "source": "mine", "file": "own.csv"}
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, settings)
    overlay = "datasets: { ordered: { splits: { fit: 0.7, rest: 0.1 } } }\n"
    (space.folder / "over.yaml").write_text(overlay)
    targets = [f"results/datasets/{name}.parquet" for name in ("ordered", "own")]
    plain = space.environment()
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    space.environment = lambda: plain | ascii_only
    space.run("--configfile", "over.yaml", "--", *targets)
    table = pd.read_parquet(space.folder / targets[0])
    sizes = {name: list(part["text"]) for name, part in table.groupby("split")}
    assert sizes == {"held-out": texts[:2], "fit": texts[2:9], "rest": texts[9:]}
    space.environment = lambda: plain
    assert space.planned("--configfile", "over.yaml", "--", *targets) == {}
    elsewhere.write_text("text\nsecond\n")
    assert space.planned("--configfile", "over.yaml", "--", targets[1]) == {
        "fetch": 1,
        "dataset": 1,
    }
    record, cells = "results/overlaps/experiments/sweep.json", "results/completions/tiny/sweep"
    assert space.planned("--", f"{cells}.parquet")["overlaps"] == 1
    space.run("--", record, fails=True)
    log = space.log("overlaps/experiments/sweep")
    assert "experiments.sweep.allow_overlap: true" in log and "Traceback" not in log
    space.configure(settings | {"experiments": contaminated(allow_overlap=True)["experiments"]})
    space.run("--", record)
    assert json.loads((space.folder / record).read_text())["pairs"][0]["overlapping"] == 1
