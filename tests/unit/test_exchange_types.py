"""Vectors in files of every type of number, exact or refused."""

import base64
import json
import re
from pathlib import Path

import gguf
import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from actadd import SteeringVectors, UserError, load_vectors, save_vectors
from actadd.vectors.formats.steering_vectors import from_steering_vectors
from builders.vectors import IDS, NOISE, logits, pair, same


def wire(values: np.ndarray, layers: list[int], dtype="float32", zstd=False, **options) -> dict:
    numbers = values.view(np.int16) if dtype == "bfloat16" else values
    raw = numbers.tobytes()
    array = {
        "data": base64.b64encode(pa.Codec("zstd").compress(raw, asbytes=True) if zstd else raw),
        "dtype": str(numbers.dtype),
        "original_dtype": f"torch.{dtype}",
        "shape": list(numbers.shape),
    }
    array["data"] = array["data"].decode()
    if zstd:
        array["compression"] = "zstd"
    return {"activations": array, "layer_indices": layers, "scale": 1.0, **options}


def read_wire(tmp_path, item) -> SteeringVectors:
    (tmp_path / "v.json").write_text(json.dumps(item))
    return load_vectors(tmp_path / "v.json")


def test_rows_are_added_to_the_outputs_that_the_json_names(tmp_path, tiny_gpt2):
    save_vectors(tmp_path / "v.json", pair((1, 2)))
    [item] = json.loads((tmp_path / "v.json").read_text())
    array = item["activations"]
    values = np.frombuffer(base64.b64decode(array["data"]), dtype=array["dtype"])
    values = torch.from_numpy(values.reshape(array["shape"]).copy())
    handles = []
    for block, rows in zip(item["layer_indices"], values, strict=True):

        def add(_module, _args, output, rows=rows):
            changed = output[0] if isinstance(output, tuple) else output
            for position, row in zip(item["position_indices"], rows, strict=True):
                changed[:, position] += item["scale"] * row
            return output

        handles.append(tiny_gpt2.transformer.h[block].register_forward_hook(add))
    with torch.inference_mode():
        theirs = tiny_gpt2(IDS).logits
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(
        theirs, logits(tiny_gpt2, pair((1, 2)).addition(1), pair((1, 2)).addition(2))
    )


@pytest.mark.parametrize("zstd", [False, True])
def test_numbers_of_each_type_are_read_exactly(tmp_path, zstd):
    half = NOISE.astype(np.float16)
    brain = torch.from_numpy(NOISE).bfloat16()
    bits = brain.view(torch.int16).numpy()
    for dtype, values, expected in (
        ("float32", NOISE, NOISE),
        ("float16", half, half.astype(np.float32)),
        ("bfloat16", bits, brain.float().numpy()),
        ("float64", NOISE / np.float64(3), (NOISE / np.float64(3)).astype(np.float32)),
    ):
        result = read_wire(tmp_path, [wire(values, [0, 1, 5], dtype, zstd, scale=4.0)])
        assert result.layers == [1, 2, 6] and result.position == "front"
        assert result.coefficient == 4.0
        assert np.stack(list(result.rows.values())).tobytes() == expected.tobytes()


WIDE = np.random.default_rng(1).standard_normal((2, 32)) * np.logspace(-30, 30, 32)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(32,), (1, 32), (2, 32)], ids=str)
def test_safetensors_of_each_type_are_read_as_torch_reads_them(tmp_path, dtype, shape):
    """Types of half the bits are exact in float32, float64 is rounded to it once."""
    wide = WIDE if dtype in (torch.float64, torch.bfloat16) else NOISE[0, :2]
    tensor = torch.from_numpy(wide.copy()).to(dtype)[: shape[0] if len(shape) == 2 else 1]
    save_tensors({"layer.3": tensor.reshape(shape)}, tmp_path / "v.safetensors")
    result = load_vectors(tmp_path / "v.safetensors")
    assert result.rows[3].shape == (shape[0] if len(shape) == 2 else 1, 32)
    assert result.rows[3].tobytes() == tensor.to(torch.float32).numpy().tobytes()
    assert result.rounded == (dtype == torch.float64)
    save_vectors(tmp_path / "again.safetensors", result)
    assert same(result, load_vectors(tmp_path / "again.safetensors"))


@pytest.mark.parametrize(
    ("tensor", "pattern"),
    [
        (torch.ones(32, dtype=torch.int64), "layer.3 holds numbers of type I64"),
        (torch.ones(32, dtype=torch.int8), "layer.3 holds numbers of type I8"),
        (torch.ones(32, dtype=torch.bool), "layer.3 holds numbers of type BOOL"),
        (torch.ones(32).to(torch.float8_e4m3fn), "layer.3 holds numbers of type F8_E4M3"),
        (torch.ones(32).to(torch.float8_e5m2), "layer.3 holds numbers of type F8_E5M2"),
        (torch.ones(()), r"layer.3 is of shape \[\]"),
        (torch.ones(1, 1, 32), r"layer.3 is of shape \[1, 1, 32\]"),
        (torch.ones(0, 32), r"one shape \[positions, d_model\]"),
        (torch.full((32,), torch.nan), "layer 3 holds numbers that are not finite"),
        (torch.full((32,), torch.inf, dtype=torch.bfloat16), "not finite"),
        (torch.full((32,), 1e300, dtype=torch.float64), "layer 3 holds numbers beyond float32"),
    ],
)
def test_safetensors_without_vectors_are_refused(tmp_path, tensor, pattern):
    save_tensors({"layer.3": tensor}, tmp_path / "v.safetensors")
    with pytest.raises(UserError, match=rf"v\.safetensors: .*{pattern}"):
        load_vectors(tmp_path / "v.safetensors")


def control_vector(path: Path, tensors: dict, endian: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE):
    """A file of control vectors: name -> array, or (raw bytes, type)."""
    writer = gguf.GGUFWriter(path, "controlvector", endianess=endian)
    for name, values in tensors.items():
        if isinstance(values, tuple):
            writer.add_tensor(name, values[0], raw_dtype=values[1])
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


TYPES = gguf.GGMLQuantizationType


@pytest.mark.parametrize("kind", ["F64", "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_gguf_of_each_type_is_read_as_gguf_reads_it(tmp_path, kind):
    row = NOISE[0, 0]
    arrays = {
        "F64": np.float64(row) / 3,
        "F32": row,
        "F16": row.astype(np.float16),
    }
    if kind in arrays:
        held = arrays[kind]
        expected = held.astype(np.float32)
    else:
        raw = gguf.quants.quantize(row[None], TYPES[kind])[0]
        held, expected = (raw, TYPES[kind]), gguf.quants.dequantize(raw, TYPES[kind])
    result = load_vectors(control_vector(tmp_path / "v.gguf", {"direction.2": held}))
    assert result.rows[3].tobytes() == expected.tobytes() and result.rows[3].shape == (1, 32)
    assert result.rounded == (kind == "F64") and result.position == "all"
    if kind == "BF16":
        exact = torch.from_numpy(row).bfloat16().float().numpy()
        assert result.rows[3].tobytes() == exact.tobytes()
    save_vectors(tmp_path / "again.gguf", result)
    assert load_vectors(tmp_path / "again.gguf").rows[3].tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_big_endian_gguf_is_read_as_what_it_says(tmp_path, dtype):
    row = NOISE[0, 0].astype(dtype)
    path = tmp_path / "v.gguf"
    control_vector(path, {"direction.2": row}, gguf.GGUFEndian.BIG)
    assert load_vectors(path).rows[3].tobytes() == row.astype(np.float32).tobytes()


@pytest.mark.parametrize(
    ("held", "pattern"),
    [
        (np.ones(32, np.int32), r"direction\.2 holds whole numbers .I32"),
        (np.ones(32, np.int8), r"direction\.2 holds whole numbers .I8"),
        (np.ones((2, 32), np.float32), r"direction\.2 has the axes \[32, 2\]"),
        (np.full(32, np.nan, np.float32), "layer 3 holds numbers that are not finite"),
        (np.full(32, 1e300), "layer 3 holds numbers beyond float32"),
    ],
)
def test_gguf_of_invalid_rows_is_refused(tmp_path, held, pattern):
    control_vector(tmp_path / "v.gguf", {"direction.2": held})
    with pytest.raises(UserError, match=rf"v\.gguf: .*{pattern}"):
        load_vectors(tmp_path / "v.gguf")


def test_big_endian_blocks_are_refused_not_turned_round(tmp_path):
    raw = gguf.quants.quantize(NOISE[0, :1], TYPES.Q8_0)[0]
    path = tmp_path / "v.gguf"
    control_vector(path, {"direction.2": (raw, TYPES.Q8_0)}, gguf.GGUFEndian.BIG)
    with pytest.raises(UserError, match=r"direction\.2 is of type Q8_0 .*big-endian.*F32"):
        load_vectors(path)


@pytest.mark.parametrize("ending", [".pt", ".bin", ".pth", ".npy"])
def test_a_torch_file_is_refused_unread_and_the_remedy_works(tmp_path, ending):
    torch.save({"layer.6": torch.ones(1, 8)}, path := tmp_path / f"v{ending}")
    with pytest.raises(UserError, match=r"v\.\w+: .*neither is read") as caught:
        load_vectors(path)
    call = re.search(r"safetensors\.torch\.save_file\(.*?\)", str(caught.value))[0]
    done = tmp_path / "vector.safetensors"
    program = call.replace('"vector.safetensors"', repr(str(done)))
    exec(f"import safetensors.torch; {program}", {"tensor": torch.ones(1, 8)})
    assert load_vectors(done).layers == [6]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_steering_vectors_of_each_type_are_taken_exactly(dtype):
    from types import SimpleNamespace

    row = torch.from_numpy(WIDE[0] if dtype == torch.bfloat16 else NOISE[0, 0]).to(dtype)
    theirs = SimpleNamespace(layer_type="decoder_block", layer_activations={2: row})
    assert from_steering_vectors(theirs).rows[3].tobytes() == row.float().numpy().tobytes()
    theirs.layer_activations[2] = row.repeat(2, 1)
    with pytest.raises(UserError, match=r"block 2 holds \[2, 32\]"):
        from_steering_vectors(theirs)


def test_named_positions_leave_zero_rows_before_them(tmp_path):
    result = read_wire(tmp_path, wire(NOISE[:1, :2], [3], position_indices=[4, 1]))
    assert result.positions == 5 and not result.rows[4][[0, 2, 3]].any()
    assert np.array_equal(result.rows[4][[4, 1]], NOISE[0, :2])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (wire(NOISE, [1, 2, 3], norm_match=True), "norm_match scales"),
        ([wire(NOISE, [1, 2, 3])] * 2, "it holds 2 vectors"),
        (wire(NOISE, [1, 2]), "do not fit layer_indices of length 2"),
        (wire(NOISE[0, 0], [1] * 32), "do not fit layer_indices"),
        (wire(NOISE, [1, 2, 3], position_indices=[0, 1]), "do not name 4 different positions"),
        (wire(NOISE, [1, 2, 3], position_indices=[0, 1, 1, 2]), "do not name 4 different"),
        (wire(NOISE, [1, 2, 3], position_indices=[-1, 0, 1, 2]), "do not name 4 different"),
        (wire(NOISE.astype(np.int64), [1, 2, 3], "int64"), "numbers of type int64"),
        (wire(NOISE * np.inf, [1, 2, 3]), "not finite"),
        (wire(NOISE, [1, 2, -1]), "layer_indices has -1; write blocks, counted from 0"),
        (wire(NOISE, [1, 2, "3"]), "layer_indices has '3'"),
        ({"layer_indices": [1]}, "cannot be read as vllm-lens .KeyError"),
        ([], "it holds 0 vectors"),
    ],
)
def test_json_with_unsupported_content_is_refused(tmp_path, item, message):
    with pytest.raises(UserError, match=rf"v\.json.*{message}"):
        read_wire(tmp_path, item)


def test_a_bare_tensor_does_not_say_its_layer(tmp_path):
    save_file({"vector": np.ones((1, 4), np.float32)}, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match=r"bare\.safetensors: the tensors vector are not vectors"):
        load_vectors(tmp_path / "bare.safetensors")
    with pytest.raises(TypeError, match=r"vectors is a ndarray; write SteeringVectors"):
        save_vectors(tmp_path / "x.gguf", np.ones((1, 4), np.float32))


def test_a_layer_that_is_listed_twice_is_refused(tmp_path):
    rows = np.ones((1, 4), np.float32)
    save_file({"layer.1": rows, "layer.01": 2 * rows}, tmp_path / "twice.safetensors")
    with pytest.raises(UserError, match=r"layer\.01.* are not vectors"):
        load_vectors(tmp_path / "twice.safetensors")
