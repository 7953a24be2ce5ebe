"""A scorer from outside the repository, in the real workflow."""

import pandas as pd
import pytest

from builders import tiny
from builders.plugins import LENGTH

pytestmark = pytest.mark.workflow


def test_a_scorer_of_a_users_own_is_computed_summarised_and_rerun(space):
    plugin = space.folder / "length.py"
    plugin.write_text(LENGTH)
    settings = tiny.config()
    settings["plugins"] = [plugin.name]
    settings["scorers"]["size"] = {"kind": "length", "enough": 2}
    settings["experiments"]["chosen"]["scorers"] += ["size"]
    space.configure(settings)
    assert not {"completions", "completions_shard", "completions_gather"} & set(space.planned())
    space.run()
    scores = pd.read_parquet(space.folder / "results/scores/tiny/chosen/size.parquet")
    texts = pd.read_parquet(space.folder / "results/completions/tiny/chosen.parquet")
    counts = texts["completion"].str.split().str.len()
    assert scores["words"].tolist() == counts.tolist()
    assert scores["long"].tolist() == (counts >= 2).tolist()
    summary = pd.read_parquet(space.folder / "results/summaries/tiny/chosen.parquet")
    assert {"size.words", "size.long"} <= set(summary["metric"])
    # A comment changes nothing, and code of the function this scorer's scores.
    plugin.write_text(f"# A comment.\n{LENGTH}")
    assert space.planned() == {}
    plugin.write_text(LENGTH.replace(">=", ">"))
    planned = space.planned()
    assert planned["scores"] == 1 and planned["summary"] == 1
    assert not {"dataset", "completions_gather", "classifier", "vectors_tiny"} & set(planned)
    space.run()
    again = pd.read_parquet(space.folder / "results/scores/tiny/chosen/size.parquet")
    assert again["long"].tolist() == (counts > 2).tolist()
