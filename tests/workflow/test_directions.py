"""Directions of many pairs and their controls, ours and a user's, from config to summary."""

import numpy as np
import pandas as pd
import pytest

from actadd.vectors.vector_files import read_vector
from builders import tiny
from builders.plugins import MEDIAN

WORDS = ("ship", "bride", "wedding", "crane", "port")
VECTORS = {
    "mean": {
        "kind": "mean_difference",
        "positive": [f"I love the {word}" for word in WORDS],
        "negative": [f"I hate the {word}" for word in WORDS],
    },
    "component": {"kind": "pca", "like": "mean"},
    "median": {"kind": "median_difference", "like": "mean"},
    "discriminant": {"kind": "lda", "like": "mean", "token": "mean"},
    "probe": {"kind": "logistic", "like": "mean", "token": -2},
    "shuffled": {"kind": "shuffled", "like": "mean", "draws": 2},
    "apart": {"kind": "orthogonal", "like": "mean"},
    "sum": {
        "kind": "combination",
        "parts": [{"vector": "mean", "weight": 1}, {"vector": "component", "weight": -0.5}],
    },
}


def steering(vector: str) -> dict:
    added = {"vector": vector, "layer": 1, "coefficient": 2, "position": "back"}
    return {"method": "actadd", "additions": [added]}


@pytest.mark.workflow
def test_directions_steer_and_come_from_one_pass(space):
    config = tiny.config()
    config["vectors"] |= VECTORS
    config["plugins"] = ["median.py"]
    (space.folder / "median.py").write_text(MEDIAN)
    config["experiments"]["sweep"]["conditions"] |= {name: steering(name) for name in VECTORS}
    space.configure(config)
    summary = "results/summaries/tiny/sweep.parquet"
    planned = space.planned("--", summary)
    assert planned["activations_tiny"] == 1 and planned["vectors_tiny"] == len(VECTORS)
    space.run("--", summary)

    table = pd.read_parquet(space.folder / summary).set_index("condition")
    assert set(VECTORS) <= set(table.index)
    assert table.loc["shuffled", "draws"].tolist() == [2] * len(table.loc[["shuffled"]])
    folders = {name: space.folder / "results/vectors/tiny" / name for name in VECTORS}
    rows = {name: read_vector(path / "vector.safetensors") for name, path in folders.items()}
    for layer in (1, 2):
        total = rows["mean"][layer] - rows["component"][layer] / 2
        assert np.allclose(rows["sum"][layer], total, atol=1e-5)
        assert abs((rows["apart"][layer] * rows["mean"][layer]).sum()) < 1e-4
        assert rows["shuffled"][layer].shape == (2, 1, 32)
    norms = {name: pd.read_csv(path / "norms.csv") for name, path in folders.items()}
    assert norms["mean"]["cosine"].dropna().round(5).eq(1).all()
    assert norms["discriminant"]["auc"].between(0, 1).all()
    assert {"mean of tokens"} == set(norms["discriminant"]["token"])

    before = {name: (path / "vector.safetensors").read_bytes() for name, path in folders.items()}
    space.run("--forcerun", "vectors_tiny", "--", summary)
    again = {name: (path / "vector.safetensors").read_bytes() for name, path in folders.items()}
    assert again == before

    (space.folder / "median.py").write_text(f"# A comment.\n{MEDIAN}")
    assert space.planned("--", summary) == {}
    (space.folder / "median.py").write_text(MEDIAN.replace("np.median", "-np.median"))
    assert space.planned("--", summary)["vectors_tiny"] == 1
