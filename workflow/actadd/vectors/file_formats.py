"""Steering vectors that travel: the files and objects of other programs, written and read.

Layers. Here a layer is a block's input (`resid_pre`, 0-indexed). The other programs name the block
whose *output* is changed, which is the next block's input: their N is our N + 1. So what is added
to the embeddings, our layer 0, cannot be said there and is refused; and what they add behind the
last block has no place here: it is read, but no model has a layer of that number.

Positions. A vector here has one row for each of its positions, added where the prompt is read.

    format        holds                           what its programs do with it
    safetensors   everything                      this library: as `position` says, in the prefill
    gguf          one row for each layer          llama.cpp, repeng: every token, at every step
    vllm-lens     one row, or a row for each of   one row: every token, at every step; several:
                  the first positions             their positions, so in the prefill, as the paper
    steering-     one row for each layer          every token, at every step
    vectors       (an object, no file)

Nothing here reads a pickle. A file that was changed or cut off is refused, as far as it carries a
digest; files of other programs carry none.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from safetensors import deserialize, safe_open
from safetensors.numpy import save_file

from actadd.base.errors import UserError
from actadd.base.files import canonical_json, whole_file, write_text
from actadd.engine.placement import Position
from actadd.vectors.derivation import read_vector, tensor_digest

if TYPE_CHECKING:
    from actadd.engine.additions import Addition

# How each type of numbers that is read is called in a safetensors file, and what it is in bytes;
# bfloat16 is the upper half of float32.
NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# Endings of files that run code when they are read, or that have no names for layers.
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npy", ".npz")
UNREAD = (
    "; a pickle runs what stands in it and an array says no layer, so neither is read: where you "
    'trust the file, write its tensors with safetensors.torch.save_file({"layer.6": tensor}, '
    '"vector.safetensors"), 6 being the block whose input is changed'
)
# Format -> how its files' names end.
FORMATS = {"safetensors": ".safetensors", "gguf": ".gguf", "vllm-lens": ".json"}
# llama.cpp refuses a whole file for a direction.0, which would be the input of block 1.
FIRST_GGUF_LAYER = 2
POSITIONS = get_args(Position)


@dataclass(frozen=True, eq=False)
class SteeringVectors:
    """A steering vector at one or more layers, and what one has to know to add it.

    rows: layer -> float32 [positions, d_model], of one shape; a layer is a block's input.
    position: where the rows are aligned in a prompt, see `alignment.aligned`.
    model: what the vector was made on, as a hint; formats with a hint carry it.
    coefficient: a factor that is known to work, as a hint; it is not multiplied in.
    contrast: how the vector was made, such as its prompts.
    rounded: whether some number was of more digits than float32 keeps and was rounded to it, once.

    Raises UserError if there is no layer, shapes differ, numbers are no real ones or not finite, or
    position is "all" and there are several rows.

    >>> import numpy as np
    >>> vectors = SteeringVectors({6: np.ones((2, 8))}, model="gpt2", coefficient=5)
    >>> vectors.addition(6).coefficient
    5
    """

    rows: dict[int, np.ndarray]
    position: Position = "front"
    model: str = ""
    coefficient: float | None = None
    contrast: dict[str, Any] = field(default_factory=dict)
    rounded: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        rows = {}
        for layer, given in sorted(self.rows.items()):
            values = np.asarray(given)
            if values.dtype.kind != "f":
                raise UserError(
                    f"layer {layer} holds numbers of type {values.dtype}, which no residual stream "
                    "has; write them as float32"
                )
            with np.errstate(over="ignore"):
                rows[int(layer)] = np.ascontiguousarray(values, dtype=np.float32)
            object.__setattr__(self, "rounded", self.rounded or bool((rows[layer] != values).any()))
            if np.isfinite(values).all() and not np.isfinite(rows[layer]).all():
                raise UserError(
                    f"layer {layer} holds numbers beyond float32's range; write a smaller vector "
                    "and a larger coefficient"
                )
        object.__setattr__(self, "rows", rows)
        shapes = {values.shape for values in rows.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2 or 0 in next(iter(shapes)):
            found = ", ".join(map(str, sorted(shapes))) or "none"
            raise UserError(f"a vector needs one shape [positions, d_model]; there are: {found}")
        if min(rows) < 0:
            raise UserError(f"layer {min(rows)} does not exist; layers are counted from 0")
        for layer, values in rows.items():
            if not np.isfinite(values).all():
                raise UserError(f"layer {layer} holds numbers that are not finite; make it anew")
        if self.position not in POSITIONS:
            raise UserError(f"position {self.position!r} is unknown; write {_listed(POSITIONS)}")
        if self.coefficient is not None and not math.isfinite(self.coefficient):
            raise UserError(f"coefficient {self.coefficient} is not finite; write a number")
        if self.position == "all" and self.positions != 1:
            raise UserError(f"position all needs one row, there are {self.positions}; write front")

    @property
    def layers(self) -> list[int]:
        return list(self.rows)

    @property
    def positions(self) -> int:
        return len(next(iter(self.rows.values())))

    def only(self, layers: Iterable[int]) -> "SteeringVectors":
        """The same at some layers; raises UserError if one of them is not there."""
        missing = sorted(set(layers) - self.rows.keys())
        if missing:
            raise UserError(f"layer {missing[0]} is not there; layers are {_listed(self.rows)}")
        return replace(self, rows={layer: self.rows[layer] for layer in layers})

    def addition(self, layer: int, coefficient: float | None = None, **options: Any) -> "Addition":
        """The vector at a layer as `actadd.steer` takes it; options: of `actadd.Addition`.

        Raises UserError if the layer is not there, or neither here nor by hint a coefficient is
        given.
        """
        import torch

        from actadd.engine.additions import Addition

        coefficient = self.coefficient if coefficient is None else coefficient
        if coefficient is None:
            raise UserError("the vector carries no coefficient; write one")
        values = torch.from_numpy(self.only([layer]).rows[layer].copy())
        return Addition(values, layer, coefficient, **{"position": self.position, **options})

    def record(self) -> dict[str, Any]:
        """What the files say beside the numbers: the keys of the safetensors metadata."""
        return {
            "model": self.model,
            "layers": self.layers,
            "position": self.position,
            "coefficient": self.coefficient,
            "contrast": self.contrast,
            "sha256": {str(layer): tensor_digest(rows) for layer, rows in self.rows.items()},
        }


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))


def save_vectors(path: Path | str, vectors: SteeringVectors, format: str | None = None) -> None:
    """Writes a vector's file, whole or not at all.

    format: safetensors, gguf or vllm-lens; the default is what the path's ending says.
    Raises UserError if the format cannot hold the vector, with what to do instead, and TypeError
    for a bare array or tensor.

    >>> import numpy as np, pathlib, tempfile
    >>> mean = SteeringVectors({6: np.ones((1, 8))}, position="all", model="llama")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "mean.gguf"
    ...     save_vectors(path, mean)
    ...     load_vectors(path).layers
    [6]
    """
    path = Path(path)
    if not isinstance(vectors, SteeringVectors):
        raise TypeError(
            f"vectors is a {type(vectors).__name__}; write SteeringVectors({{layer: array}}), "
            "which says at which layer its rows are added"
        )
    write = {"safetensors": _to_safetensors, "gguf": _to_gguf, "vllm-lens": _to_vllm_lens}
    write[_format(path, format)](path, vectors)


def load_vectors(path: Path | str, format: str | None = None) -> SteeringVectors:
    """Reads a vector's file; or a folder results/vectors/MODEL/VECTOR of the workflow.

    format: as in `save_vectors`. Raises UserError, which names the file and what to do, if it is
    not there, not of the format, cut off or changed, or says what cannot be said here.
    """
    path = Path(path)
    if path.is_dir():
        return _from_results(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; write the path of a file of vectors")
    read = {"safetensors": _from_safetensors, "gguf": _from_gguf, "vllm-lens": _from_vllm_lens}
    format = _format(path, format)
    try:
        return read[format](path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as {format} ({type(error).__name__}: {error}); get the file "
            "anew, or name its format"
        ) from error


def _format(path: Path, format: str | None) -> str:
    if format is None:
        by_ending = {ending: name for name, ending in FORMATS.items()}
        format = by_ending.get(path.suffix)
        if format is None:
            raise UserError(
                f"{path}: what ends in {path.suffix!r} is no known format; name one of "
                f"{', '.join(FORMATS)}, or let it end in {', '.join(by_ending)}"
                + (UNREAD if path.suffix in PICKLES else "")
            )
    if format not in FORMATS:
        raise UserError(f"format {format!r} is unknown; write one of {', '.join(FORMATS)}")
    return format


def _one_row(vectors: SteeringVectors, format: str) -> dict[int, np.ndarray]:
    """Layer -> float32 [d_model]: the row that is not zero, of a vector that has but one."""
    filled = np.flatnonzero(sum(np.abs(rows).sum(axis=1) for rows in vectors.rows.values()))
    if len(filled) > 1:
        raise UserError(
            f"the vector has {len(filled)} rows that are not zero and {format} holds one row for "
            "each layer, which is added to every token; take a pair of prompts that differ in one "
            "token, a mean_difference, or the format safetensors or vllm-lens"
        )
    row = int(filled[0]) if len(filled) else 0
    return {layer: rows[row] for layer, rows in vectors.rows.items()}


def _blocks_before(vectors: SteeringVectors, format: str, first: int = 1) -> dict[int, int]:
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


def _with_record(
    rows: dict[int, np.ndarray], record: dict[str, Any] | None, **known: Any
) -> SteeringVectors:
    """What was read; `known` is what the format itself says, which goes before the record."""
    if record is None:
        return SteeringVectors(rows, **known)
    said = {key: record[key] for key in ("model", "position", "coefficient", "contrast")}
    return SteeringVectors(rows, **{**said, **known})


def _check(vectors: SteeringVectors, sums: dict[str, str]) -> SteeringVectors:
    """Raises UserError if what was read is not what was written."""
    if sums.keys() != {str(layer) for layer in vectors.rows}:
        raise UserError(f"it was written with the layers {_listed(sums)}; get the file anew")
    for layer, rows in vectors.rows.items():
        if sums[str(layer)] != tensor_digest(rows):
            raise UserError(f"layer {layer} was changed since it was written; get the file anew")
    return vectors


# --- safetensors ----------------------------------------------------------------------------------
# Tensors layer.N, float32 [positions, d_model]. The metadata's one entry `actadd` is JSON: model,
# layers, position, coefficient, contrast, and sha256 of each layer, see `derivation`.


def _to_safetensors(path: Path, vectors: SteeringVectors) -> None:
    tensors = {f"layer.{layer}": rows for layer, rows in vectors.rows.items()}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, {"actadd": canonical_json(vectors.record())})


def _from_safetensors(path: Path) -> SteeringVectors:
    """Also a vector file of the workflow, and one of bare tensors layer.N of one or two axes."""
    with safe_open(path, "numpy") as opened:
        # numpy has no bfloat16, so tensors are read as bytes.
        record = json.loads((opened.metadata() or {}).get("actadd", "null"))
        names = list(opened.keys())
        if names == ["vector"] and record:
            return _from_result(path, record)
        numbers = [name.removeprefix("layer.") for name in names]
        if not names or not all(
            name.startswith("layer.") and number.isdecimal() and number == str(int(number))
            for name, number in zip(names, numbers, strict=True)
        ):
            raise UserError(
                f"the tensors {', '.join(sorted(names)[:5]) or '(none)'} are no vectors; name them "
                "layer.N, N being the block whose input is changed"
            )
    rows = {}
    for name, tensor in deserialize(path.read_bytes()):
        if len(tensor["shape"]) not in (1, 2):
            raise UserError(
                f"{name} is of shape {tensor['shape']}; write [d_model] or [positions, d_model]"
            )
        values = _numbers(name, tensor["dtype"], tensor["data"])
        rows[int(name.removeprefix("layer."))] = np.atleast_2d(values.reshape(tensor["shape"]))
    vectors = _with_record(rows, record)
    return _check(vectors, record["sha256"]) if record else vectors


def _numbers(name: str, dtype: str, raw: bytes) -> np.ndarray:
    """The numbers of a tensor, in float64, float32 or float16 as they are, bfloat16 in float32."""
    if dtype not in NUMBERS:
        raise UserError(
            f"{name} holds numbers of type {dtype}; write them as float32, float16, bfloat16 or "
            "float64"
        )
    values = np.frombuffer(raw, dtype=NUMBERS[dtype])
    return (values.astype("<u4") << 16).view("<f4") if dtype == "BF16" else values


def _from_result(path: Path, record: dict[str, Any]) -> SteeringVectors:
    """One vector file of the workflow."""
    values = read_vector(path)
    if values.ndim == 3:
        raise UserError(
            f"it holds {len(values)} draws of a random vector, and a file that travels holds one; "
            "write draws: 1 for the vector, or take another"
        )
    folder = path.resolve().parent.parent
    return SteeringVectors(
        {record["layer"]: values},
        position="all" if len(values) == 1 else "front",
        model=folder.name if folder.parent.name == "vectors" else "",
        contrast=record["vector"],
    )


def _from_results(folder: Path) -> SteeringVectors:
    """A vector of the workflow, at the layers where it has rows."""
    files = sorted(folder.glob("layer_*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no layer_NN.safetensors; run the workflow for it first")
    # A vector that was itself read from a file has no rows at layers that the file lacks.
    parts = [load_vectors(file) for file in files if len(read_vector(file))]
    rows = {layer: values for part in parts for layer, values in part.rows.items()}
    return replace(parts[0], rows=rows)


# --- GGUF control vectors, as repeng and llama.cpp write and read them ----------------------------
# Architecture controlvector; tensors direction.N, float32 [d_model], added to the output of block
# N; controlvector.model_hint and controlvector.layer_count. Ours besides: actadd.record.


def _to_gguf(path: Path, vectors: SteeringVectors) -> None:
    from gguf import GGUFWriter

    blocks = _blocks_before(vectors, "gguf", FIRST_GGUF_LAYER)
    rows = _one_row(vectors, "gguf")
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


def _from_gguf(path: Path) -> SteeringVectors:
    from gguf import GGUFReader

    reader = GGUFReader(path)

    def text(key: str) -> str | None:
        found = reader.get_field(key)
        return None if found is None else str(found.contents())

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
        rows[int(number) + 1] = _gguf_row(tensor, reader.byte_order == "S")
    if not rows:
        raise UserError("it holds no tensor direction.N; name another file")
    record = json.loads(text("actadd.record") or "null")
    hint = text("controlvector.model_hint") or ""
    vectors = _with_record(rows, record, model=hint, position="all")
    return _check(vectors, record["sha256"]) if record else vectors


def _gguf_row(tensor: Any, swapped: bool) -> np.ndarray:
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


# --- vllm-lens ------------------------------------------------------------------------------------
# The JSON form of its SteeringVector, as of version 1.2.1; a request takes a list of them, so the
# file holds a list of one. Its own files may be compressed, ours are not. Ours besides: actadd.


def _to_vllm_lens(path: Path, vectors: SteeringVectors) -> None:
    blocks = _blocks_before(vectors, "vllm-lens")
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


def _from_vllm_lens(path: Path) -> SteeringVectors:
    items = json.loads(path.read_text(encoding="utf-8"))
    items = items if isinstance(items, list) else [items]
    if len(items) != 1:
        raise UserError(f"it holds {len(items)} vectors; write each of them to its own file")
    [item] = items
    if item.get("norm_match"):
        raise UserError("norm_match scales by each token's norm; write a vector without it")
    values = _vllm_lens_array(item["activations"])
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
    vectors = _with_record(rows, record, position=position, coefficient=hint)
    return _check(vectors, record["sha256"]) if record else vectors


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


def _vllm_lens_array(item: dict[str, Any]) -> np.ndarray:
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
        raise UserError(f"its data is no base64 ({error}); get the file anew") from error
    if item.get("compression") == "zstd":
        import pyarrow as pa

        raw = pa.Codec("zstd").decompress(raw, decompressed_size=size, asbytes=True)
    if len(raw) != size:
        raise UserError(f"its data is of {len(raw)} bytes and not {size}; get the file anew")
    return _numbers("activations", dtype, raw).reshape(item["shape"])


# --- steering-vectors, the package ----------------------------------------------------------------


def to_steering_vectors(vectors: SteeringVectors) -> Any:
    """A `steering_vectors.SteeringVector`, whose `apply` adds its one row to every token.

    Raises UserError if there are several rows that are not zero, or layer 0; ImportError without
    the package.
    """
    import torch
    from steering_vectors import SteeringVector

    blocks = _blocks_before(vectors, "a steering_vectors.SteeringVector")
    rows = _one_row(vectors, "a steering_vectors.SteeringVector")
    activations = {blocks[layer]: torch.from_numpy(row.copy()) for layer, row in rows.items()}
    return SteeringVector(activations, "decoder_block")


def from_steering_vectors(vector: Any, model: str = "") -> SteeringVectors:
    """What a `steering_vectors.SteeringVector` holds. Raises UserError if it is not of blocks."""
    if vector.layer_type != "decoder_block":
        raise UserError(
            f"layer_type {vector.layer_type!r} is no place of the residual stream between blocks; "
            "train the vector with layer_type='decoder_block'"
        )
    rows = {}
    for block, row in vector.layer_activations.items():
        if row.numel() != row.shape[-1]:
            raise UserError(f"block {block} holds {list(row.shape)} numbers; give it one row")
        # numpy has no bfloat16; what is wider stays as it is and is rounded once.
        row = row.detach().cpu().reshape(1, -1)
        wide = row.float() if row.is_floating_point() and row.itemsize < 4 else row
        rows[block + 1] = wide.numpy()
    return SteeringVectors(rows, position="all", model=model)
