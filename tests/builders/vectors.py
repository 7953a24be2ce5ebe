"""Files of vectors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from actadd import Addition, SteeringVectors, steer
from actadd.vectors.vector_files import read_vector, write_vector


def write_layer(folder: Path, name: str, layer: int, vector: np.ndarray) -> Path:
    """The vector's file, where the workflow would write it, with the vector at one layer more."""
    path = folder / name / "vector.safetensors"
    rows = read_vector(path) if path.exists() else {}
    write_vector(path, {**rows, layer: vector})
    return path


IDS = torch.tensor([[0, 40, 41, 42, 43]])
CONTRAST = {"kind": "pair", "positive": "Love", "negative": "Hate"}
NOISE = np.random.default_rng(0).standard_normal((3, 4, 32)).astype(np.float32)


def vectors(layers=(2,), rows=1, position="all", **options) -> SteeringVectors:
    return SteeringVectors(
        {layer: NOISE[index, :rows] for index, layer in enumerate(layers)},
        position=position,
        **{"model": "gpt2", "coefficient": 2.5, "contrast": CONTRAST, **options},
    )


def pair(layers=(2,)) -> SteeringVectors:
    """Four rows, the first zero, as every pair's vector has it."""
    result = vectors(layers, rows=4, position="front")
    return replace(
        result, rows={n: np.concatenate([0 * v[:1], v[1:]]) for n, v in result.rows.items()}
    )


def same(one: SteeringVectors, other: SteeringVectors) -> bool:
    rows = one.layers == other.layers and all(
        one.rows[n].tobytes() == other.rows[n].tobytes() for n in one.layers
    )
    return rows and one.record() == other.record()


def logits(model, *additions: Addition) -> torch.Tensor:
    with torch.inference_mode(), steer(model, additions, torch.ones_like(IDS)):
        return model(IDS).logits
