"""`actadd export` and `actadd import`: vectors to and from the files of other programs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from actadd.base.errors import UserError
from actadd.cli.shown import table
from actadd.vectors.file_formats import FORMATS, SteeringVectors, load_vectors, save_vectors


def export(
    results: Path,
    model: str,
    vector: str,
    layers: Sequence[int] | None,
    coefficient: float | None,
    output: Path,
    format: str | None,
) -> SteeringVectors:
    """Writes a vector of the workflow, at some or all layers; returns what was written.

    Raises UserError if it has not been made, or the format cannot hold it.
    """
    folder = results / "vectors" / model / vector
    if not folder.is_dir():
        raise UserError(
            f"{folder} is not there; actadd vectors lists what is, and snakemake makes the others"
        )
    found = replace(load_vectors(folder), coefficient=coefficient)
    chosen = found.only(layers) if layers else found
    save_vectors(output, chosen, format)
    return chosen


def show(vectors: SteeringVectors, path: Path) -> None:
    rows = [
        (str(layer), str(len(rows)), ", ".join(f"{n:.3g}" for n in np.linalg.norm(rows, axis=1)))
        for layer, rows in vectors.rows.items()
    ]
    table(("layer", "positions", "norms"), rows, numbers=("layer", "positions"))
    hints = {
        "made on": vectors.model,
        "coefficient": vectors.coefficient,
        "position": vectors.position,
    }
    said = ", ".join(f"{key} {value}" for key, value in hints.items() if value not in ("", None))
    print(f"{path}: {said}")
    if vectors.rounded:
        print("its numbers are of more digits than float32 keeps; each was rounded to the nearest")


def show_entry(path: Path, format: str | None) -> None:
    """How the vector is named in a config."""
    entry = {"kind": "file", "file": str(path)}
    if format is not None and path.suffix != FORMATS[format]:
        entry["format"] = format
    print(yaml.safe_dump({"vectors": {"given": entry}}, sort_keys=False), end="")
