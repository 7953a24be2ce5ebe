"""GGUF control vectors, as repeng and llama.cpp write and read them.

Architecture controlvector; tensors direction.N, float32 [d_model], added to the output of block N;
controlvector.model_hint and controlvector.layer_count. Ours besides: actadd.record.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from actadd.base.errors import UserError
from actadd.base.files import canonical_json, whole_file
from actadd.vectors.formats import blocks_before, check, one_row, with_record
from actadd.vectors.steering_vectors import SteeringVectors

# llama.cpp refuses a whole file for a direction.0, which would be the input of block 1.
FIRST_LAYER = 2


def write(path: Path, vectors: SteeringVectors) -> None:
    from gguf import GGUFWriter

    blocks = blocks_before(vectors, "gguf", FIRST_LAYER)
    rows = one_row(vectors, "gguf")
    with whole_file(path) as temporary:
        writer = GGUFWriter(temporary, "controlvector")
        writer.add_string("controlvector.model_hint", vectors.model)
        writer.add_uint32("controlvector.layer_count", len(rows))
        single = replace(vectors, rows={layer: row[None] for layer, row in rows.items()})
        writer.add_string("actadd.record", canonical_json(single.record()))
        for layer, row in rows.items():
            writer.add_tensor(f"direction.{blocks[layer]}", row)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def read(path: Path) -> SteeringVectors:
    from gguf import GGUFReader

    reader = GGUFReader(path)

    def text(key: str) -> str | None:
        field = reader.get_field(key)
        return None if field is None else str(field.contents())

    if text("general.architecture") != "controlvector":
        raise UserError(
            f"its architecture is {text('general.architecture')}, not controlvector; name a file "
            "of control vectors, not of a model"
        )
    rows = {}
    for tensor in reader.tensors:
        prefix, _, number = tensor.name.partition(".")
        if prefix != "direction" or not number.isdecimal() or number != str(int(number)):
            continue
        if math.prod(tensor.shape) != max(tensor.shape):
            raise UserError(
                f"{tensor.name} has the axes {tensor.shape.tolist()}, and a direction is one row; "
                "write it so"
            )
        rows[int(number) + 1] = _row(tensor, reader.byte_order == "S")
    if not rows:
        raise UserError("it holds no tensor direction.N; name another file")
    record = json.loads(text("actadd.record") or "null")
    hint = text("controlvector.model_hint") or ""
    vectors = with_record(rows, record, model=hint, position="all")
    return check(vectors, record["sha256"]) if record else vectors


def _row(tensor: Any, swapped: bool) -> np.ndarray:
    """[1, d_model] of a tensor, as gguf's own code says; swapped: of a big-endian file."""
    from gguf.quants import dequantize

    name = tensor.tensor_type.name
    # Numbers that the reader hands out as such, in whatever order of bytes.
    if name in ("F64", "F32", "F16"):
        return np.array(tensor.data).reshape(1, -1)
    if name.startswith("I") and name[1:].isdecimal():
        raise UserError(f"{tensor.name} holds whole numbers ({name}); write them as F32")
    if swapped:
        raise UserError(
            f"{tensor.name} is of type {name} in a file of big-endian numbers; write it as F32, or "
            "little-endian"
        )
    try:
        return dequantize(tensor.data, tensor.tensor_type).reshape(1, -1)
    except NotImplementedError as error:
        raise UserError(f"{tensor.name} is of type {name}; write it as F32") from error
