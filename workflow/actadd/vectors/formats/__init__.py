"""Files and objects of other programs, one module for each: written and read.

A module of a file format has write(path, vectors) and read(path). What they share is here.
"""

from typing import Any

import numpy as np

from actadd.base.errors import UserError
from actadd.vectors.steering_vectors import SteeringVectors, listed
from actadd.vectors.vector_files import tensor_digest

# How each type of numbers that is read is called in a safetensors file, and what it is in bytes;
# bfloat16 is the upper half of float32.
NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def one_row(vectors: SteeringVectors, format: str) -> dict[int, np.ndarray]:
    """Layer -> float32 [d_model]: the row that is not zero, of a vector that has but one."""
    filled = np.flatnonzero(sum(np.abs(rows).sum(axis=1) for rows in vectors.rows.values()))
    if len(filled) > 1:
        raise UserError(
            f"the vector has {len(filled)} rows that are not zero and {format} holds one row for "
            "each layer, which is added to every token; take a pair of prompts that differ in one "
            "token, a vector of many pairs, or the format safetensors or vllm-lens"
        )
    row = int(filled[0]) if len(filled) else 0
    return {layer: rows[row] for layer, rows in vectors.rows.items()}


def blocks_before(vectors: SteeringVectors, format: str, first: int = 1) -> dict[int, int]:
    """Layer -> the block whose output it is."""
    if min(vectors.rows) < first:
        reason = (
            "it changes the output of a block, and before block 0 there is none"
            if min(vectors.rows) == 0
            else "llama.cpp refuses files with an addition behind block 0"
        )
        raise UserError(
            f"layer {min(vectors.rows)} cannot be written as {format}: {reason}; take layers from "
            f"{first} on, or the format safetensors"
        )
    return {layer: layer - 1 for layer in vectors.rows}


def with_record(
    rows: dict[int, np.ndarray], record: dict[str, Any] | None, **known: Any
) -> SteeringVectors:
    """What was read; `known` is what the format itself says, which goes before the record."""
    if record is None:
        return SteeringVectors(rows, **known)
    recorded = {key: record[key] for key in ("model", "position", "coefficient", "contrast")}
    return SteeringVectors(rows, **{**recorded, **known})


def check(vectors: SteeringVectors, sums: dict[str, str]) -> SteeringVectors:
    """Raises UserError if what was read is not what was written."""
    if sums.keys() != {str(layer) for layer in vectors.rows}:
        raise UserError(f"it was written with the layers {listed(sums)}; get the file anew")
    for layer, rows in vectors.rows.items():
        if sums[str(layer)] != tensor_digest(rows):
            raise UserError(f"layer {layer} was changed since it was written; get the file anew")
    return vectors


def numbers(name: str, dtype: str, raw: bytes) -> np.ndarray:
    """The numbers of a tensor, in float64, float32 or float16 as they are, bfloat16 in float32."""
    if dtype not in NUMBERS:
        raise UserError(
            f"{name} holds numbers of type {dtype}; write them as float32, float16, bfloat16 or "
            "float64"
        )
    values = np.frombuffer(raw, dtype=NUMBERS[dtype])
    return (values.astype("<u4") << 16).view("<f4") if dtype == "BF16" else values
