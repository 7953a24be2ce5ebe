"""Kinds from outside the repository, in the real workflow."""

import json

import pandas as pd
import pytest

from builders import tiny
from builders.plugins import HEAT, LENGTH, REFLECT

pytestmark = pytest.mark.workflow


def test_a_scorer_of_a_users_own_is_computed_summarised_and_rerun(space):
    plugin = space.folder / "length.py"
    plugin.write_text(LENGTH)
    settings = tiny.config()
    settings["plugins"] = [plugin.name]
    settings["scorers"]["size"] = {"kind": "length", "enough": 2}
    settings["experiments"]["chosen"]["scorers"] += ["size"]
    space.configure(settings)
    assert not {"completions", "cells_shard", "cells_gather"} & set(space.planned())
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
    assert not {"dataset", "cells_gather", "classifier", "vectors_tiny"} & set(planned)
    space.run()
    again = pd.read_parquet(space.folder / "results/scores/tiny/chosen/size.parquet")
    assert again["long"].tolist() == (counts > 2).tolist()


MEASURES = {"drawn": "completions", "read": "logprobs", "moved": "divergence"}


def operation_config() -> dict:
    """Each measure with an operation of a user's own beside three of ours, and every display."""
    settings = tiny.config()
    settings["plugins"] = ["reflect.py", "heat.py"]
    settings["dose"] = {"dataset": "prompts", "split": "development"}
    addition = {"vector": "love-hate", "layer": [0, 1]}
    conditions = {
        "unsteered": {"method": "unsteered"},
        "actadd": {"method": "actadd", "additions": [{**addition, "coefficient": 1}]},
        "turned": {
            "method": "actadd",
            "additions": [{**addition, "operation": "rotate", "degrees": [15, 60]}],
        },
        "dosed": {
            "method": "actadd",
            "additions": [{**addition, "dose": [0.5, 1]}],
        },
        "gated": {
            "method": "actadd",
            "additions": [
                {
                    **{"vector": "love-hate", "layer": 1, "coefficient": 3},
                    "gate": {"vector": "calm", "layer": 0, "threshold": 1e6},
                }
            ],
        },
        "bare": {
            "method": "actadd",
            "additions": [{"vector": "love-hate", "operation": "ablate", "layers": "all"}],
        },
        "reflected": {
            "method": "actadd",
            "additions": [
                {**addition, "operation": "reflect", "coefficient": [0.5, 1], "one_sided": True}
            ],
        },
    }
    every = {"models": ["tiny"], "conditions": conditions}
    prompts = settings["experiments"]["sweep"]["prompts"]
    settings["experiments"] = {
        "drawn": {"prompts": prompts, "max_new_tokens": 3, "scorers": ["distinct", "words"]},
        "read": {"prompts": {"dataset": "texts"}},
        "moved": {"prompts": {"dataset": "texts"}},
    }
    for name, entry in settings["experiments"].items():
        entry |= {"title": name, "measure": MEASURES[name], **every}
    metrics = {"metrics": ["distinct.distinct_1"], "experiment": "drawn"}
    two = {"metrics": ["words.any", "distinct.distinct_1"], "experiment": "drawn"}
    settings["figures"] = {
        "sweep": {"kind": "sweep", **metrics},
        "bars": {"kind": "conditions", **metrics},
        "dose": {"kind": "dose_response", **two},
        "heat": {"kind": "heat", "experiment": "drawn", "metric": "distinct.distinct_1"},
        "ratio": {"kind": "perplexity_ratio", "experiment": "read"},
        "shift": {"kind": "token_shift", "experiment": "read", "at_least": 1},
        "kl": {"kind": "divergence", "experiment": "moved"},
    }
    settings["tables"] = {
        "methods": {"kind": "methods", **metrics},
        "texts": {"kind": "qualitative", "experiment": "drawn"},
    }
    for entry in (*settings["figures"].values(), *settings["tables"].values()):
        entry["title"] = "Own"
    return settings


def test_an_operation_of_a_users_own_is_measured_summarised_drawn_and_shown(space):
    (space.folder / "reflect.py").write_text(REFLECT)
    (space.folder / "heat.py").write_text(HEAT)
    settings = operation_config()
    space.configure(settings)
    space.run("--", "all", "explorer")
    results = space.folder / "results"
    for name, measure in MEASURES.items():
        cells = pd.read_parquet(results / f"{measure}/tiny/{name}.parquet")
        reflected = cells[cells["condition"] == "reflected"]
        assert reflected["cell"].nunique() == 4 and reflected["failed"].isna().all()
        for text in reflected["additions"].unique():
            [addition] = json.loads(text)
            assert (addition["operation"], addition["one_sided"]) == ("reflect", True)
        summary = pd.read_parquet(results / f"summaries/tiny/{name}.parquet")
        counts = summary.groupby(["condition", "metric"]).size().unstack(0)
        assert (counts["reflected"] == 2 * counts["actadd"]).all()
        assert (counts["turned"] == counts["reflected"]).all()
        turned = summary[summary["condition"] == "turned"]
        assert set(turned["coefficient"]) == {15, 60} and set(turned["layer"]) == {0, 1}
        dosed = summary[summary["condition"] == "dosed"]
        assert set(dosed["coefficient"]) == {0.5, 1}
        bare = summary[summary["condition"] == "bare"]
        assert set(bare["coefficient"]) == {1} and bare["layer"].isna().all()
        # A gate that never opens.
        column = {"drawn": "completion", "read": "logprob", "moved": "kl"}[name]
        gated, unsteered = (
            cells[cells["condition"] == each][column].tolist() for each in ("gated", "unsteered")
        )
        assert gated == unsteered
    # The operation does something, and not what ours does.
    read = pd.read_parquet(results / "logprobs/tiny/read.parquet")
    read = read[read["condition"] != "gated"]
    strong = read[(read["layer"].isna()) | ((read["layer"] == 1) & (read["coefficient"] == 1))]
    values = strong.groupby("condition")["logprob"].apply(list)
    assert len({tuple(each) for each in values}) == 5
    for name in settings["figures"]:
        text = (results / f"figures/{name}.svg").read_text()
        assert "reflect" in text or name == "heat", name
    assert "coefficient or degrees or dose" in (results / "figures/sweep.svg").read_text()
    for text in ("ablate love-hate at layers 0 to 2, share 1", "rotate love-hate at 1, 60°"):
        assert text in (results / "tables/methods.md").read_text()
    explorer = (results / "explorer.html").read_text()
    assert "love-hate (ablate, layers 0 to 2, share 1)" in explorer
    assert "love-hate (layer 1, if calm at 0" in explorer
    assert "love-hate (rotate, layer 1, 60°)" in explorer or "60\\u00b0" in explorer
    for name in settings["tables"]:
        assert "reflect" in (results / f"tables/{name}.tex").read_text(), name
    assert "reflected" in (results / "explorer.html").read_text()
    # A comment recomputes nothing, and code what uses the operation.
    (space.folder / "reflect.py").write_text(f"# A comment.\n{REFLECT}")
    assert space.planned() == {}
    (space.folder / "reflect.py").write_text(REFLECT.replace("min=0", "min=0.0001"))
    planned = space.planned()
    assert [planned[measure] for measure in MEASURES.values()] == [1, 1, 1]
    assert not {"dataset", "model", "vectors_tiny"} & set(planned)
