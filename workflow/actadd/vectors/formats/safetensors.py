"""Files of safetensors, this library's own form.

Tensors layer.N, float32 [positions, d_model]. The metadata's one entry `actadd` is JSON: model,
layers, position, coefficient, contrast, and sha256 of each layer, see `vector_files`.
"""

import json
from pathlib import Path

import numpy as np
from safetensors import deserialize, safe_open
from safetensors.numpy import save_file

from actadd.base.errors import UserError
from actadd.base.files import canonical_json, whole_file
from actadd.store.provenance import record_of
from actadd.vectors.formats import check, numbers, with_record
from actadd.vectors.steering_vectors import SteeringVectors
from actadd.vectors.vector_files import about_vector, read_vector


def write(path: Path, vectors: SteeringVectors) -> None:
    tensors = {f"layer.{layer}": rows for layer, rows in vectors.rows.items()}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, {"actadd": canonical_json(vectors.record())})


def read(path: Path) -> SteeringVectors:
    """Also a vector file of the workflow, and one of bare tensors layer.N of one or two axes."""
    with safe_open(path, "numpy") as opened:
        # numpy has no bfloat16, so tensors are read as bytes.
        record = json.loads((opened.metadata() or {}).get("actadd", "null"))
        names = list(opened.keys())
        if record and "vector" in record:
            return read_result(path)
        layers = [name.removeprefix("layer.") for name in names]
        if not names or not all(
            name.startswith("layer.") and layer.isdecimal() and layer == str(int(layer))
            for name, layer in zip(names, layers, strict=True)
        ):
            raise UserError(
                f"the tensors {', '.join(sorted(names)[:5]) or '(none)'} are not vectors; name "
                "them layer.N, N being the block whose input is changed"
            )
    rows = {}
    for name, tensor in deserialize(path.read_bytes()):
        if len(tensor["shape"]) not in (1, 2):
            raise UserError(
                f"{name} is of shape {tensor['shape']}; write [d_model] or [positions, d_model]"
            )
        values = numbers(name, tensor["dtype"], tensor["data"])
        rows[int(name.removeprefix("layer."))] = np.atleast_2d(values.reshape(tensor["shape"]))
    vectors = with_record(rows, record)
    return check(vectors, record["sha256"]) if record else vectors


def read_result(path: Path) -> SteeringVectors:
    """A vector file of the workflow, with the model that the record beside it names.

    Raises UserError if it holds several draws.
    """
    rows = read_vector(path)
    values = next(iter(rows.values()))
    if values.ndim == 3:
        raise UserError(
            f"it holds {len(values)} draws of a random vector, and a file that travels holds one; "
            "write draws: 1 for the vector, or take another"
        )
    spec = record_of(path).get("spec", {})
    return SteeringVectors(
        rows,
        position="all" if len(values) == 1 else "front",
        model=spec.get("model", ""),
        contrast=about_vector(path)["vector"],
    )
