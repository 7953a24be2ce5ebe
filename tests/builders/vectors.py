"""Files of vectors."""

from pathlib import Path

import numpy as np

from actadd.vectors.vector_files import read_vector, write_vector


def write_layer(folder: Path, name: str, layer: int, vector: np.ndarray) -> Path:
    """The vector's file, where the workflow would write it, with the vector at one layer more."""
    path = folder / name / "vector.safetensors"
    rows = read_vector(path) if path.exists() else {}
    write_vector(path, {**rows, layer: vector})
    return path
