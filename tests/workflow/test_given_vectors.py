"""Vectors of kind file: what a config may say of them, and that they steer as what they hold."""

import numpy as np
import pandas as pd
import pytest

from actadd import SteeringVectors, UserError, load_vectors, save_vectors
from actadd.vectors.derivation import derive_all_layers
from builders.configs import VECTOR_FILE, with_vector


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        (
            {2: np.zeros((1, 8), np.float32)},
            "rows of 8 numbers, and the .* stream 32",
        ),
        ({7: np.zeros((1, 32), np.float32)}, "holds layers from 7 on, and the model has 0 to 2"),
    ],
)
@pytest.mark.workflow
def test_a_vector_of_another_model_is_refused(finished, tmp_path, rows, pattern):
    layers = sorted((finished.folder / "results/activations/tiny/calm").glob("layer_*"))
    file = tmp_path / "mine.gguf"
    save_vectors(file, SteeringVectors(rows))
    spec = {"vector": {**VECTOR_FILE, "name": "mine"}}
    outputs = tmp_path / "vector.safetensors", tmp_path / "norms.csv"
    with pytest.raises(UserError, match=f"vectors.mine.file: mine.gguf .*{pattern}"):
        derive_all_layers(spec, layers, *outputs, file)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.workflow
def test_a_given_vector_measures_as_what_it_holds(space):
    """The workflow's own vector, taken out at one layer and put in again."""
    vectors = load_vectors(space.folder / "results/vectors/tiny/calm")
    assert vectors.model == "tiny"
    save_vectors(space.folder / "calm.safetensors", vectors.only([1]))
    config = with_vector({"kind": "file", "file": "calm.safetensors"}, layer=1, position=None)
    config["experiments"]["ratio"]["conditions"]["given"]["additions"][0]["coefficient"] = [1, 2]
    space.configure(config)
    assert {"activations_tiny", "vectors_tiny", "logprobs"} <= space.planned().keys()
    space.run("--", "results/summaries/tiny/ratio.parquet")
    # What is equal is the same cell, so of the given vector none had to be computed.
    assert "cells: 0 computed" in space.log("logprobs/tiny/ratio")
    table = pd.read_parquet(space.folder / "results/summaries/tiny/ratio.parquet")
    derived, imported = (
        table[table["condition"] == name].select_dtypes("number").reset_index(drop=True)
        for name in ("actadd", "given")
    )
    pd.testing.assert_frame_equal(derived, imported)
    assert len(derived) == 4 and derived.notna().any().sum() > 3
    norms = pd.read_csv(space.folder / "results/vectors/tiny/mine/norms.csv")
    derived = pd.read_csv(space.folder / "results/vectors/tiny/calm/norms.csv")
    numbers = ["layer", "position", "vector_norm", "residual_norm", "ratio"]
    expected = derived[derived["layer"] == 1][numbers].reset_index(drop=True)
    pd.testing.assert_frame_equal(norms[numbers], expected)
    assert set(norms["token"]) == {"calm.safetensors"}

    save_vectors(space.folder / "calm.safetensors", SteeringVectors({1: -vectors.rows[1]}))
    planned = space.planned("--", "results/summaries/tiny/ratio.parquet")
    assert planned == {"vectors_tiny": 1, "logprobs": 1, "summary": 1}
