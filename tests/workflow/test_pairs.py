"""Pairs of a dataset, draws of them and checks of single pairs, from config to figure and table."""

import copy

import numpy as np
import pandas as pd
import pytest

from actadd.vectors.pair_check import PREDICTORS
from actadd.vectors.vector_files import read_vector
from builders import tiny

WORDS = ("ship", "bride", "wedding", "crane", "port", "guests")
ROWS = "positive,negative\n" + "".join(f"I love the {w},I hate the {w}\n" for w in WORDS)
DATASET = {
    "title": "pairs of sentences",
    "file": "feelings.csv",
    "columns": {"text": "positive", "target": "negative"},
}
PLACE = {"layer": 1, "dose": 1, "position": "all"}


def steering(vector: str, **place) -> dict:
    return {"method": "actadd", "additions": [{"vector": vector, **place}]}


def with_pairs() -> dict:
    config = copy.deepcopy(tiny.config())
    config["datasets"]["feelings"] = DATASET
    config["dose"] = {"dataset": "prompts", "split": "development"}
    counts = {f"mean-{n}": {"kind": "mean_difference", "count": n} for n in (1, 2, 4)}
    counts |= {"probe-4": {"kind": "logistic", "count": 4}}
    config["vectors"] |= {
        "feelings": {"kind": "mean_difference", "pairs": {"dataset": "feelings"}},
        **{name: {**entry, "like": "feelings", "draws": 2} for name, entry in counts.items()},
    }
    singles = {name: steering(name, layer=1, coefficient=1) for name in ("calm", "love-hate")}
    sweep = config["experiments"]["sweep"]
    sweep["conditions"] = {
        "unsteered": {"method": "unsteered"},
        "actadd": sweep["conditions"]["actadd"],
        **{name: steering(name, **PLACE) for name in counts},
        "love-hate": singles["love-hate"],
    }
    config["pair_checks"] = {"singles": {"vectors": ["calm", "love-hate"], "layer": 1}}
    config["pair_checks"]["singles"]["models"] = ["tiny"]
    shown = {"title": "x", "experiment": "sweep", "study": "how many?"}
    counted = {**shown, "kind": "pair_counts", "metric": "distinct.distinct_1"}
    pairs = {**shown, "kind": "pairs", "pair_check": "singles", "metrics": ["distinct.distinct_1"]}
    config["experiments"]["single"] = {
        **copy.deepcopy(sweep),
        "conditions": {"unsteered": {"method": "unsteered"}, **singles},
    }
    config["figures"] |= {"counts": counted, "singles": {**pairs, "experiment": "single"}}
    config["tables"] = {"counts": counted, "singles": {**pairs, "experiment": "single"}}
    # A condition of a sweep has no one number.
    del sweep["conditions"]["actadd"], config["experiments"]["chosen"]
    return config


@pytest.mark.workflow
def test_draws_of_pairs_and_single_pairs_are_measured_and_shown(space):
    (space.folder / "feelings.csv").write_text(ROWS)
    space.configure(with_pairs())
    targets = ("fig_counts", "table_counts", "fig_singles", "table_singles")
    planned = space.planned("--", *targets)
    # All draws and kinds take one pass over the pairs.
    assert planned["vectors_tiny"] == 4 and planned["activations_tiny"] == 1
    space.run("--", *targets)

    summary = pd.read_parquet(space.folder / "results/summaries/tiny/sweep.parquet")
    summary = summary[summary["metric"] == "distinct.distinct_1"]
    drawn = summary[summary["condition"].str.startswith("mean-")]
    assert drawn["draws"].tolist() == [2] * 3 and drawn["difference"].notna().all()
    folder = space.folder / "results/vectors/tiny"
    assert read_vector(folder / "mean-1/vector.safetensors")[1].shape == (2, 1, 32)
    counts = pd.read_csv(space.folder / "results/tables/counts.csv")
    means = counts[counts["curve"] == "mean difference"]
    assert means["pairs"].tolist() == [1, 2, 4] and (means["draws"] == 2).all()
    assert set(counts[counts["curve"] == "logistic"]["pairs"]) == {4}
    singles = pd.read_csv(space.folder / "results/tables/singles.csv")
    assert set(singles["pair"]) == {"calm", "love-hate"} and {*PREDICTORS} <= {*singles}
    assert np.isfinite(singles[["norm", "agreement", "divergence"]].to_numpy()).all()
    check = pd.read_parquet(space.folder / "results/pair_checks/tiny/singles.parquet")
    again = (space.folder / "results/pair_checks/tiny/singles.parquet").read_bytes()
    space.run("--forcerun", "pair_check", "--", "fig_singles")
    assert (space.folder / "results/pair_checks/tiny/singles.parquet").read_bytes() == again
    assert check["vector"].tolist() == ["calm", "love-hate"]
