"""`actadd export` and `actadd import`: vectors to and from the files of other programs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from actadd.base.errors import UserError
from actadd.cli.terminal import table
from actadd.pipeline import layout
from actadd.vectors.file_formats import FORMATS, load_vectors, save_vectors
from actadd.vectors.steering_vectors import SteeringVectors


def export(
    results: Path,
    model: str,
    vector: str,
    layers: Sequence[int] | None,
    coefficient: float | None,
    output: Path,
    format: str | None,
) -> SteeringVectors:
    """Write a vector of the workflow at some or all layers, and return it.

    Raises UserError if the vector does not exist, or if the format cannot hold it.
    """
    folder = layout.output("vectors", "vector", results, model=model, vector=vector).parent
    if not folder.is_dir():
        target = layout.output("vectors", "vector", model=model, vector=vector)
        raise UserError(
            f"{folder} does not exist; `actadd vectors` lists the vectors on disk, and this "
            f"derives it: snakemake --cores all {target}"
        )
    vectors = replace(load_vectors(folder), model=model, coefficient=coefficient)
    exported = vectors.only(layers) if layers else vectors
    save_vectors(output, exported, format)
    return exported


def show(vectors: SteeringVectors, path: Path) -> None:
    """Print the layers, norms and hints of a vector file."""
    rows = [
        (str(layer), str(len(rows)), ", ".join(f"{n:.3g}" for n in np.linalg.norm(rows, axis=1)))
        for layer, rows in vectors.rows.items()
    ]
    table(("layer", "positions", "norms"), rows, numbers=("layer", "positions"))
    hints = {
        "model": vectors.model,
        "coefficient": vectors.coefficient,
        "position": vectors.position,
    }
    known = (f"{key} {value}" for key, value in hints.items() if value not in ("", None))
    print(f"{path}: {', '.join(known)}")
    if vectors.rounded:
        print("its numbers have more digits than float32; each was rounded to the nearest")


def show_entry(path: Path, format: str | None) -> None:
    """Print the config entry that reads a vector file."""
    entry = {"kind": "file", "file": str(path)}
    if format is not None and path.suffix != FORMATS[format]:
        entry["format"] = format
    print(yaml.safe_dump({"vectors": {"given": entry}}, sort_keys=False), end="")
