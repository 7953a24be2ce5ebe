"""Vectors steer in other programs as they do here."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from actadd import Addition, UserError, load_vectors, save_vectors
from actadd.vectors.formats.steering_vectors import from_steering_vectors, to_steering_vectors
from builders.packages import install
from builders.vectors import IDS, logits, pair, vectors

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(scope="session")
def repeng(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repeng")
    return install(folder, "repeng==0.4.0", "numpy==1.26.4")


@pytest.fixture
def steering_vectors(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "steering-vectors"
    if not folder.exists():
        install(folder, "steering-vectors==0.12.2")
    monkeypatch.syspath_prepend(folder)
    return pytest.importorskip("steering_vectors")


def everywhere(row: np.ndarray, layer: int, coefficient: float) -> Addition:
    """A row at each token of IDS, BOS included, as the other programs add it."""
    repeated = torch.from_numpy(row).reshape(1, -1).repeat(IDS.shape[1], 1)
    return Addition(repeated, layer, coefficient)


@pytest.mark.network
def test_repeng_controls_as_we_steer(tmp_path, tiny_gpt2, tiny_model, repeng):
    """Its direction.1 is added behind block 1, which is the input of block 2: our layer 2."""
    ours = vectors((2,))
    save_vectors(tmp_path / "ours.gguf", ours)
    np.save(tmp_path / "ids.npy", IDS.numpy())
    program = TOOLS / "other_programs" / "run_repeng.py"
    done = subprocess.run(
        [sys.executable, program, tiny_model, tmp_path],
        env={**os.environ, "PYTHONPATH": str(repeng), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    read = np.load(tmp_path / "ours.npz")
    assert read.files == ["1"] and read["1"].tobytes() == ours.rows[2].tobytes()
    assert (tmp_path / "hint.txt").read_text() == "gpt2"
    theirs = torch.from_numpy(np.load(tmp_path / "logits.npy"))
    torch.testing.assert_close(theirs, logits(tiny_gpt2, everywhere(ours.rows[2], 2, 2.0)))
    assert (theirs - logits(tiny_gpt2)).abs().max() > 0.1
    one_off = logits(tiny_gpt2, everywhere(ours.rows[2], 1, 2.0))
    assert (theirs - one_off).abs().max() > 0.1

    result = load_vectors(tmp_path / "theirs.gguf")
    written = np.load(tmp_path / "theirs.npz")
    assert result.layers == [1, 2, 3] and result.model == "gpt2" and result.position == "all"
    assert all(result.rows[int(n) + 1].tobytes() == written[n].tobytes() for n in written.files)


@pytest.mark.network
def test_steering_vectors_applies_as_we_steer(tiny_gpt2, steering_vectors):
    ours = vectors((1, 2))
    theirs = to_steering_vectors(ours)
    assert isinstance(theirs, steering_vectors.SteeringVector)
    with torch.inference_mode(), theirs.apply(tiny_gpt2, multiplier=2.0):
        steered = tiny_gpt2(IDS).logits
    expected = logits(tiny_gpt2, *(everywhere(ours.rows[layer], layer, 2.0) for layer in (1, 2)))
    torch.testing.assert_close(steered, expected)
    assert (steered - logits(tiny_gpt2)).abs().max() > 0.1
    back = from_steering_vectors(theirs, "gpt2")
    assert back.layers == [1, 2] and back.position == "all" and back.model == "gpt2"
    assert all(back.rows[n].tobytes() == ours.rows[n].tobytes() for n in (1, 2))
    with pytest.raises(UserError, match="layer 0 cannot be written as a steering_vectors"):
        to_steering_vectors(vectors((0, 1)))
    with pytest.raises(UserError, match="3 rows that are not zero"):
        to_steering_vectors(pair())
    with pytest.raises(UserError, match="layer_type 'mlp'"):
        from_steering_vectors(steering_vectors.SteeringVector({0: torch.ones(32)}, "mlp"))
