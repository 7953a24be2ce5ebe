"""Files of vllm-lens: the JSON form of its SteeringVector, as of version 1.2.1.

A request takes a list of them, so the file holds a list of one. Its own files may be compressed,
ours are not. Ours besides: actadd.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import numpy as np

from actadd.base.errors import UserError
from actadd.base.files import write_text
from actadd.vectors.formats import NUMBERS, blocks_before, check, numbers, with_record
from actadd.vectors.steering_vectors import SteeringVectors


def write(path: Path, vectors: SteeringVectors) -> None:
    blocks = blocks_before(vectors, "vllm-lens")
    if vectors.position not in ("front", "all"):
        raise UserError(
            f"position {vectors.position} depends on a prompt's length and vllm-lens counts "
            "positions from the first token; write front, or the format safetensors"
        )
    values = np.stack(list(vectors.rows.values()))
    everywhere = vectors.position == "all"
    if everywhere:
        values = values[:, 0]
    item = {
        "activations": {
            "data": base64.b64encode(values.astype("<f4").tobytes()).decode("ascii"),
            "dtype": "float32",
            "original_dtype": "torch.float32",
            "shape": list(values.shape),
        },
        "layer_indices": list(blocks.values()),
        "scale": 1.0 if vectors.coefficient is None else vectors.coefficient,
        "norm_match": False,
        "position_indices": None if everywhere else list(range(vectors.positions)),
        "actadd": vectors.record(),
    }
    write_text(path, json.dumps([item]) + "\n")


def read(path: Path) -> SteeringVectors:
    items = json.loads(path.read_text(encoding="utf-8"))
    items = items if isinstance(items, list) else [items]
    if len(items) != 1:
        raise UserError(f"it holds {len(items)} vectors; write each of them to its own file")
    [item] = items
    if item.get("norm_match"):
        raise UserError("norm_match scales by each token's norm; write a vector without it")
    values = _array(item["activations"])
    if wrong := [block for block in item["layer_indices"] if type(block) is not int or block < 0]:
        raise UserError(f"layer_indices has {wrong[0]!r}; write blocks, counted from 0")
    layers = [block + 1 for block in item["layer_indices"]]
    if values.ndim not in (2, 3) or len(values) != len(layers) or len(set(layers)) != len(layers):
        raise UserError(
            f"activations of shape {list(values.shape)} do not fit layer_indices of length "
            f"{len(layers)}; get the file anew"
        )
    if values.ndim == 2:
        position, values = "all", values[:, None]
    else:
        position, values = "front", _at_front(values, item.get("position_indices"))
    record = item.get("actadd")
    scale = item.get("scale", 1.0)
    # Without a hint the scale is 1, which the record knows from a hint of 1.
    hint = None if record and record["coefficient"] is None and scale == 1 else scale
    rows = dict(zip(layers, values, strict=True))
    vectors = with_record(rows, record, position=position, coefficient=hint)
    return check(vectors, record["sha256"]) if record else vectors


def _at_front(values: np.ndarray, places: list[int] | None) -> np.ndarray:
    """[layers, positions, d_model] with zero rows at the positions that are not named."""
    places = list(range(values.shape[1])) if places is None else places
    if len(places) != values.shape[1] or len(set(places)) != len(places) or min(places) < 0:
        raise UserError(
            f"position_indices {places} do not name {values.shape[1]} different positions from the "
            "first token on; write them so"
        )
    spread = np.zeros((len(values), max(places) + 1, values.shape[2]), dtype=values.dtype)
    spread[:, places] = values
    return spread


def _array(item: dict[str, Any]) -> np.ndarray:
    """The array that its JSON form holds, exactly."""
    wide = {"float64": "F64", "float32": "F32", "float16": "F16", "int16": "BF16"}
    bfloat16 = item.get("original_dtype") == "torch.bfloat16"
    if item["dtype"] not in wide or bfloat16 != (item["dtype"] == "int16"):
        raise UserError(f"numbers of type {item['dtype']} are not read; write float32")
    dtype = wide[item["dtype"]]
    size = int(np.prod(item["shape"])) * np.dtype(NUMBERS[dtype]).itemsize
    try:
        raw = base64.b64decode(item["data"], validate=True)
    except binascii.Error as error:
        raise UserError(f"its data is not base64 ({error}); get the file anew") from error
    if item.get("compression") == "zstd":
        import pyarrow as pa

        raw = pa.Codec("zstd").decompress(raw, decompressed_size=size, asbytes=True)
    if len(raw) != size:
        raise UserError(f"its data is of {len(raw)} bytes and not {size}; get the file anew")
    return numbers("activations", dtype, raw).reshape(item["shape"])
