"""Vectors of kind file: what a config may say of them, and that they steer as what they hold."""

import copy

import numpy as np
import pandas as pd
import pytest

import tiny
from actadd import SteeringVectors, UserError, load_vectors, save_vectors
from actadd.config.checks import checked
from actadd.pipeline.graph import Graph
from actadd.vectors.derivation import derive_all_layers

NOISE = np.random.default_rng(0).standard_normal((3, 32)).astype(np.float32)
MINE = {"kind": "file", "file": "mine.gguf"}


@pytest.fixture
def folder(tmp_path):
    """A folder with what the tiny config names, and a vector of one row at layer 2."""
    (tmp_path / "texts.csv").write_text(tiny.TEXTS)
    (tmp_path / "labelled.csv").write_text("text,label\na,1\nb,-1\n")
    save_vectors(tmp_path / "mine.gguf", SteeringVectors({2: NOISE[:1]}, position="all"))
    save_vectors(tmp_path / "long.safetensors", SteeringVectors({0: NOISE, 1: NOISE}))
    return tmp_path


def settings(vector=MINE, **addition) -> dict:
    """The tiny config with a condition that adds a given vector."""
    config = copy.deepcopy(tiny.CONFIG)
    config["vectors"]["mine"] = vector
    added = {"vector": "mine", "layer": 2, "coefficient": 1, "position": "middle", **addition}
    added = {key: value for key, value in added.items() if value is not None}
    config["experiments"]["ratio"]["conditions"]["given"] = {
        "method": "actadd",
        "additions": [added],
    }
    return config


def test_a_file_is_part_of_its_vectors_identity(folder):
    config = checked(settings(), folder)

    def jobs():
        plan = Graph(config, folder)
        of_vector = plan.activations("tiny", "mine"), plan.vectors("tiny", "mine")
        return [job.digest for job in (*of_vector, plan.cells("tiny", "ratio"))]

    first = jobs()
    save_vectors(folder / "mine.gguf", SteeringVectors({2: NOISE[1:2]}, position="all"))
    changed = [one != other for one, other in zip(first, jobs(), strict=True)]
    # The reference sentence is read by the model whatever the file holds.
    assert changed == [False, True, True]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (
            settings({"kind": "file", "file": "no.gguf"}),
            "mine.file: no.gguf does not exist",
        ),
        (settings({"kind": "file", "file": "texts.csv"}), "'.csv' is no known format"),
        (settings({**MINE, "format": "vllm-lens"}), "cannot be read as vllm-lens"),
        (settings({**MINE, "format": "pickle"}), "vectors.mine.format: 'pickle' is not known"),
        (settings({**MINE, "positive": "x"}), "vectors.mine: unknown key 'positive'"),
        (settings({"kind": "file"}), "vectors.mine: the key 'file' is missing"),
        (settings(layer=1), "additions.0: on tiny it is layer 1, and mine.gguf holds layer 2"),
        (settings(layer=[2, 0]), "on tiny it is layer 0"),
        (settings(layer=None, depth=0.4), "on tiny it is layer 1"),
        (settings(source_layer=1), "on tiny it is layer 1"),
        (settings(position=None), "mine.gguf holds one row; write position: back or all"),
        (
            settings({"kind": "file", "file": "long.safetensors"}, layer=1, position="all"),
            "position: all needs one row, long.safetensors has 3",
        ),
        (
            {**settings(), "lenses": {"look": {"vectors": ["mine"], "models": ["tiny"]}}},
            "lenses.look.vectors: a lens reads all 3 layers of tiny",
        ),
    ],
)
def test_what_does_not_fit_is_named(folder, config, named):
    # Statements of rules about measures come first: everywhere leaves no prediction to measure.
    if "needs one row" in named:
        ratio = config["experiments"].pop("ratio")
        config["experiments"]["sweep"]["conditions"]["given"] = ratio["conditions"]["given"]
        del config["figures"]["ratio"]
    with pytest.raises(UserError) as caught:
        checked(config, folder)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("more", "layer"),
    [({}, 0), ({"source_layer": 2}, None), ({"source_layer": 2, "match_norm": True}, 0)],
)
def test_a_choice_among_layers_that_the_file_lacks_is_named(folder, more, layer):
    config = settings()
    addition = {"vector": "mine", "choice": "best", "position": "back", **more}
    given = {"method": "actadd", "additions": [addition]}
    config["experiments"]["chosen"]["conditions"]["given"] = given
    if layer is None:
        checked(config, folder)
        return
    with pytest.raises(UserError, match=f"on tiny it is layer {layer}, and mine.gguf holds"):
        checked(config, folder)


def test_a_depth_that_is_there_is_fine(folder):
    checked(settings(layer=None, depth=0.7), folder)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {2: np.zeros((1, 8), np.float32)},
            "rows of 8 numbers, and the .* stream 32",
        ),
        ({7: np.zeros((1, 32), np.float32)}, "holds layers from 7 on, and the model has 0 to 2"),
    ],
)
@pytest.mark.workflow
def test_a_vector_of_another_model_is_refused(finished, tmp_path, given, named):
    layers = sorted((finished.folder / "results/activations/tiny/calm").glob("layer_*"))
    outputs = [tmp_path / path.name for path in layers]
    spec = {"vector": {**MINE, "name": "mine"}}
    with pytest.raises(UserError, match=f"vectors.mine.file: mine.gguf .*{named}"):
        derive_all_layers(spec, layers, outputs, tmp_path / "norms.csv", given)
    assert not list(tmp_path.iterdir())


@pytest.mark.workflow
def test_a_given_vector_measures_as_what_it_holds(space):
    """The workflow's own vector, taken out at one layer and put in again."""
    made = load_vectors(space.folder / "results/vectors/tiny/calm")
    save_vectors(space.folder / "calm.safetensors", made.only([1]))
    config = settings({"kind": "file", "file": "calm.safetensors"}, layer=1, position=None)
    config["experiments"]["ratio"]["conditions"]["given"]["additions"][0]["coefficient"] = [1, 2]
    space.configure(config)
    assert {"activations_tiny", "vectors_tiny", "logprobs"} <= space.planned().keys()
    space.run("--", "results/summaries/tiny/ratio.parquet")
    # What is equal is the same cell, so of the given vector none had to be computed.
    assert "cells: 0 computed" in space.log("logprobs/tiny/ratio")
    table = pd.read_parquet(space.folder / "results/summaries/tiny/ratio.parquet")
    own, given = (
        table[table["condition"] == name].select_dtypes("number").reset_index(drop=True)
        for name in ("actadd", "given")
    )
    pd.testing.assert_frame_equal(own, given)
    assert len(own) == 4 and own.notna().any().sum() > 3
    norms = pd.read_csv(space.folder / "results/vectors/tiny/mine/norms.csv")
    own = pd.read_csv(space.folder / "results/vectors/tiny/calm/norms.csv")
    numbers = ["layer", "position", "vector_norm", "residual_norm", "ratio"]
    expected = own[own["layer"] == 1][numbers].reset_index(drop=True)
    pd.testing.assert_frame_equal(norms[numbers], expected)
    assert set(norms["token"]) == {"calm.safetensors"}

    save_vectors(space.folder / "calm.safetensors", SteeringVectors({1: -made.rows[1]}))
    planned = space.planned("--", "results/summaries/tiny/ratio.parquet")
    assert planned == {"vectors_tiny": 1, "logprobs": 1, "summary": 1}
