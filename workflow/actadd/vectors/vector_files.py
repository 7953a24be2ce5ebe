"""The workflow's vector files: one for each vector, with all layers."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from actadd.base.errors import UserError
from actadd.base.files import canonical_json, whole_file

# What a vector's file is called, in the folder that has the vector's name.
FILE_NAME = "vector.safetensors"


def tensor_digest(vector: np.ndarray) -> str:
    """Hex sha256 of a vector's shape and float32 values."""
    values = np.ascontiguousarray(vector, dtype=np.float32)
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()


def write_vector(path: Path, rows: Mapping[int, np.ndarray], **about: Any) -> None:
    """Write a vector file: tensors layer.N, with their digests and what `about` says of them.

    rows: layer -> float32 [positions, d_model], or [draws, positions, d_model].
    """
    sums = {str(layer): tensor_digest(values) for layer, values in rows.items()}
    record = canonical_json({**about, "sha256": sums})
    tensors = {f"layer.{layer}": values for layer, values in rows.items()}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, {"actadd": record})


def read_vector(path: Path, layers: Collection[int] | None = None) -> dict[int, np.ndarray]:
    """Layer -> float32 values of a vector file, in order; see `write_vector`.

    layers: those to read, as far as the file holds them; None reads all. Raises UserError if the
    file cannot be read, or the bytes of a layer were changed.
    """
    try:
        with safe_open(path, "numpy") as opened:
            expected = json.loads(opened.metadata()["actadd"])["sha256"]
            rows = {
                layer: opened.get_tensor(f"layer.{layer}")
                for layer in sorted(map(int, expected))
                if layers is None or layer in layers
            }
    except Exception as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run again") from error
    for layer, values in rows.items():
        if expected[str(layer)] != tensor_digest(values):
            raise UserError(
                f"{path} is damaged: the digest of layer {layer} does not fit; delete it and run "
                "again"
            )
    return rows


def about_vector(path: Path) -> dict[str, Any]:
    """What a vector file says of its vector, as `write_vector` was told."""
    with safe_open(path, "numpy") as opened:
        return json.loads(opened.metadata()["actadd"])
