"""Files of vectors."""

from pathlib import Path

import numpy as np

from actadd.vectors import derivation


def write_layer(folder: Path, name: str, layer: int, vector: np.ndarray) -> Path:
    """The file of one layer, where the workflow would write it."""
    path = folder / name / f"layer_{layer:02d}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    derivation.write_vector(path, vector)
    return path
