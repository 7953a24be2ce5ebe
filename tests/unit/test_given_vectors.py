"""Vectors of kind file: what a config may say of them."""

import numpy as np
import pytest

from actadd import SteeringVectors, UserError, save_vectors
from actadd.config.checks import checked
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.configs import VECTOR_FILE, with_vector

NOISE = np.random.default_rng(0).standard_normal((3, 32)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """A folder with what the tiny config names, and a vector of one row at layer 2."""
    tiny.write_data(tmp_path)
    save_vectors(tmp_path / "mine.gguf", SteeringVectors({2: NOISE[:1]}, position="all"))
    save_vectors(tmp_path / "long.safetensors", SteeringVectors({0: NOISE, 1: NOISE}))
    return tmp_path


def test_a_file_is_part_of_its_vectors_identity(folder):
    config = checked(with_vector(), folder)

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
    ("config", "words"),
    [
        (
            with_vector({"kind": "file", "file": "no.gguf"}),
            "mine.file: no.gguf does not exist",
        ),
        (with_vector({"kind": "file", "file": "texts.csv"}), "'.csv' is not a known format"),
        (
            with_vector({**VECTOR_FILE, "format": "vllm-lens"}),
            "cannot be read as vllm-lens",
        ),
        (
            with_vector({**VECTOR_FILE, "format": "pickle"}),
            "vectors.mine.format: 'pickle' is not known",
        ),
        (
            with_vector({**VECTOR_FILE, "positive": "x"}),
            "vectors.mine.positive: unknown key 'positive'",
        ),
        (with_vector({"kind": "file"}), "vectors.mine: the key 'file' of kind file is missing"),
        (
            with_vector(layer=1),
            "additions.0: on tiny it is layer 1, and mine.gguf holds layer 2",
        ),
        (with_vector(layer=[2, 0]), "on tiny it is layer 0"),
        (with_vector(layer=None, depth=0.4), "on tiny it is layer 1"),
        (with_vector(source_layer=1), "on tiny it is layer 1"),
        (
            with_vector(position=None),
            "mine.gguf holds one row; write position: back or all",
        ),
        (
            with_vector({"kind": "file", "file": "long.safetensors"}, layer=1, position="all"),
            "position: all needs one row, long.safetensors has 3",
        ),
        (
            {
                **with_vector(),
                "lenses": {"look": {"vectors": ["mine"], "models": ["tiny"]}},
            },
            "lenses.look.vectors: a lens reads all 3 layers of tiny",
        ),
    ],
)
def test_what_does_not_fit_is_named(folder, config, words):
    # Statements of rules about measures come first: everywhere leaves no prediction to measure.
    if "needs one row" in words:
        ratio = config["experiments"].pop("ratio")
        config["experiments"]["sweep"]["conditions"]["given"] = ratio["conditions"]["given"]
        del config["figures"]["ratio"]
    with pytest.raises(UserError) as caught:
        checked(config, folder)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("more", "layer"),
    [({}, 0), ({"source_layer": 2}, None), ({"source_layer": 2, "match_norm": True}, 0)],
)
def test_a_choice_among_layers_that_the_file_lacks_is_named(folder, more, layer):
    config = with_vector()
    addition = {"vector": "mine", "choice": "best", "position": "back", **more}
    condition = {"method": "actadd", "additions": [addition]}
    config["experiments"]["chosen"]["conditions"]["given"] = condition
    if layer is None:
        checked(config, folder)
        return
    with pytest.raises(UserError, match=f"on tiny it is layer {layer}, and mine.gguf holds"):
        checked(config, folder)


def test_a_depth_within_the_model_is_accepted(folder):
    checked(with_vector(layer=None, depth=0.7), folder)
