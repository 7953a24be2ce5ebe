"""Vectors that travel: what a format holds comes back bit for bit, what it cannot is refused.

Where another library exists that reads the format, it reads ours and we read its own, and a real
model says the same with it as with ours.
"""

import base64
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from transformers import GPT2LMHeadModel

from actadd import Addition, SteeringVectors, UserError, load_vectors, save_vectors, steer
from actadd.vectors.file_formats import FORMATS
from actadd.vectors.formats.steering_vectors import from_steering_vectors, to_steering_vectors
from actadd.vectors.vector_files import write_vector
from builders.packages import install

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
TOOLS = Path(__file__).parents[1] / "tools"
IDS = torch.tensor([[0, 40, 41, 42, 43]])
CONTRAST = {"kind": "pair", "positive": "Love", "negative": "Hate"}
NOISE = np.random.default_rng(0).standard_normal((3, 4, 32)).astype(np.float32)


def vectors(layers=(2,), rows=1, position="all", **options) -> SteeringVectors:
    return SteeringVectors(
        {layer: NOISE[index, :rows] for index, layer in enumerate(layers)},
        position=position,
        **{"model": "gpt2", "coefficient": 2.5, "contrast": CONTRAST, **options},
    )


def pair(layers=(2,)) -> SteeringVectors:
    """Four rows, the first zero, as every pair's vector has it."""
    made = vectors(layers, rows=4, position="front")
    return replace(made, rows={n: np.concatenate([0 * v[:1], v[1:]]) for n, v in made.rows.items()})


def same(one: SteeringVectors, other: SteeringVectors) -> bool:
    rows = one.layers == other.layers and all(
        one.rows[n].tobytes() == other.rows[n].tobytes() for n in one.layers
    )
    return rows and one.record() == other.record()


@pytest.fixture(scope="module")
def model(tiny_model):
    return GPT2LMHeadModel.from_pretrained(tiny_model).eval()


@pytest.fixture(scope="session")
def repeng(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repeng")
    return install(folder, "repeng==0.4.0", "numpy==1.26.4")


@pytest.fixture
def steering_vectors(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "steering-vectors"
    if not folder.exists():
        install(folder, "steering-vectors==0.12.2")
    monkeypatch.syspath_prepend(folder)
    return pytest.importorskip("steering_vectors")


def everywhere(row: np.ndarray, layer: int, coefficient: float) -> Addition:
    """A row at each token of IDS, BOS included, as the other programs add it."""
    repeated = torch.from_numpy(row).reshape(1, -1).repeat(IDS.shape[1], 1)
    return Addition(repeated, layer, coefficient)


def logits(model, *additions: Addition) -> torch.Tensor:
    with torch.inference_mode(), steer(model, additions, torch.ones_like(IDS)):
        return model(IDS).logits


# --- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "given"),
    [
        ("safetensors", pair((0, 1, 2))),
        ("safetensors", vectors((0, 2), coefficient=None)),
        ("safetensors", replace(pair(), position="back")),
        ("gguf", vectors((2, 3, 4))),
        ("gguf", vectors((3,), coefficient=None, model="")),
        ("vllm-lens", pair((1, 2))),
        ("vllm-lens", vectors((1,))),
        ("vllm-lens", vectors((2,), coefficient=None)),
        ("vllm-lens", vectors((2,), coefficient=1)),
    ],
)
def test_a_round_trip_is_exact(tmp_path, format, given):
    path = tmp_path / f"vector{FORMATS[format]}"
    save_vectors(path, given)
    assert same(load_vectors(path), given)
    first = path.read_bytes()
    save_vectors(path, load_vectors(path))
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(list(FORMATS)),
    st.sets(st.integers(2, 60), min_size=1, max_size=3),
    arrays(np.float32, st.tuples(st.just(1), st.integers(1, 9)), elements=finite),
    st.none() | st.floats(-1e6, 1e6),
)
def test_any_row_comes_back_bit_for_bit(format, layers, row, coefficient):
    """Also a zero with a sign, numbers next to zero and the largest."""
    rows = dict.fromkeys(layers, row)
    vector = SteeringVectors(rows, position="all", model="ü", coefficient=coefficient)
    with tempfile.TemporaryDirectory() as folder:
        save_vectors(Path(folder) / "vector", vector, format)
        assert same(load_vectors(Path(folder) / "vector", format), vector)


def test_a_format_may_be_named(tmp_path):
    save_vectors(tmp_path / "vector", vectors(), "gguf")
    assert same(load_vectors(tmp_path / "vector", "gguf"), vectors())


def test_the_row_that_is_not_zero_travels_alone(tmp_path):
    """A pair of one token each is BOS, which is zero, and one row."""
    one = replace(pair(), rows={2: pair().rows[2][:2]})
    save_vectors(tmp_path / "one.gguf", one)
    result = load_vectors(tmp_path / "one.gguf")
    assert result.rows[2].tobytes() == one.rows[2][1:].tobytes()
    assert result.position == "all" and result.contrast == CONTRAST


def test_the_metadata_is_as_documented(tmp_path):
    save_vectors(tmp_path / "v.safetensors", pair((1, 2)))
    with safe_open(tmp_path / "v.safetensors", "numpy") as opened:
        record = json.loads(opened.metadata()["actadd"])
        assert sorted(opened.keys()) == ["layer.1", "layer.2"]
    digests = record.pop("sha256")
    assert sorted(digests) == ["1", "2"] and all(len(value) == 64 for value in digests.values())
    assert record == {
        "model": "gpt2",
        "layers": [1, 2],
        "position": "front",
        "coefficient": 2.5,
        "contrast": CONTRAST,
    }


def test_bare_tensors_are_read(tmp_path):
    save_file({"layer.3": NOISE[0, 0], "layer.12": NOISE[1, 0]}, tmp_path / "v.safetensors")
    result = load_vectors(tmp_path / "v.safetensors")
    assert result.layers == [3, 12] and result.rows[3].tobytes() == NOISE[0, :1].tobytes()


def test_the_workflows_own_files_are_read(tmp_path):
    folder = tmp_path / "vectors" / "tiny" / "love"
    rows = dict(enumerate(NOISE[:3]))
    write_vector(folder / "vector.safetensors", rows, vector={**CONTRAST, "name": "love"})
    result = load_vectors(folder)
    assert result.layers == [0, 1, 2] and result.model == "tiny" and result.position == "front"
    assert result.contrast == {**CONTRAST, "name": "love"}
    assert result.rows[1].tobytes() == NOISE[1].tobytes()
    assert same(load_vectors(folder / "vector.safetensors"), result)


def test_a_loaded_vector_steers_as_the_one_that_was_saved(tmp_path, model):
    save_vectors(tmp_path / "v.safetensors", pair())
    result = load_vectors(tmp_path / "v.safetensors").addition(2)
    expected = Addition(torch.from_numpy(pair().rows[2]), 2, 2.5)
    assert torch.equal(logits(model, result), logits(model, expected))
    assert not torch.equal(logits(model, result), logits(model))
    assert pair().addition(2, 7, position="back").position == "back"


# --- what cannot be said --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "given", "message"),
    [
        ("gguf", pair(), "3 rows that are not zero and gguf holds one row"),
        ("gguf", vectors((0,)), "layer 0 cannot be written as gguf: .* before block 0 there is"),
        ("gguf", vectors((1, 2)), "layer 1 cannot be written as gguf: llama.cpp refuses"),
        ("vllm-lens", pair((0,)), "layer 0 cannot be written as vllm-lens"),
        ("vllm-lens", replace(pair(), position="middle"), "position middle depends on a prompt"),
        ("pickle", vectors(), "format 'pickle' is unknown; write one of safetensors, gguf"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, format, given, message):
    with pytest.raises(UserError, match=message):
        save_vectors(tmp_path / "vector", given, format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": {}}, "there are: none"),
        ({"rows": {1: NOISE[0, 0]}}, r"\[positions, d_model\]; there are: \(32,\)"),
        ({"rows": {1: NOISE[0], 2: NOISE[0, :2]}}, r"\(2, 32\), \(4, 32\)"),
        ({"rows": {1: NOISE[0, :0]}}, "one shape"),
        ({"rows": {-1: NOISE[0]}}, "layer -1 does not exist"),
        ({"rows": {1: NOISE[0] * np.nan}}, "layer 1 holds numbers that are not finite"),
        ({"rows": {1: NOISE[0]}, "position": "all"}, "position all needs one row, there are 4"),
        ({"rows": {1: NOISE[0]}, "position": "end"}, "'end' is unknown; write front"),
        ({"rows": {1: NOISE[0]}, "coefficient": float("inf")}, "coefficient inf is not finite"),
    ],
)
def test_what_is_no_vector_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        SteeringVectors(**arguments)


def test_a_layer_or_coefficient_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="layer 5 is not there; layers are 1, 2"):
        pair((1, 2)).only([1, 5])
    with pytest.raises(UserError, match="carries no coefficient"):
        vectors(coefficient=None).addition(2)


# --- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.98])
def test_a_file_cut_off_is_refused(tmp_path, format, kept):
    path = tmp_path / f"vector{FORMATS[format]}"
    save_vectors(path, vectors((2, 3)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match=f"{path.name}.*(get the file anew|name another file)"):
        load_vectors(path)


@pytest.mark.parametrize("format", FORMATS)
def test_changed_numbers_are_refused(tmp_path, format):
    path = tmp_path / f"vector{FORMATS[format]}"
    save_vectors(path, vectors((2,)))
    number = NOISE[0, 0, 5:6].tobytes()
    if format == "vllm-lens":
        [item] = json.loads(path.read_text())
        raw = base64.b64decode(item["activations"]["data"]).replace(number, b"\0\0\0\0")
        item["activations"]["data"] = base64.b64encode(raw).decode()
        path.write_text(json.dumps([item]))
    else:
        path.write_bytes(path.read_bytes().replace(number, b"\0\0\0\0"))
    with pytest.raises(UserError, match="layer 2 was changed since it was written"):
        load_vectors(path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_pickle_is_never_loaded(tmp_path, format):
    class Opened:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / f"vector{FORMATS[format]}"
    path.write_bytes(pickle.dumps(Opened()))
    with pytest.raises(UserError, match="cannot be read"):
        load_vectors(path)
    torch.save({"layer.1": Opened()}, path)
    with pytest.raises(UserError, match="cannot be read"):
        load_vectors(path)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_something_else_are_named(tmp_path, tiny_model):
    with pytest.raises(UserError, match=r"none\.gguf does not exist"):
        load_vectors(tmp_path / "none.gguf")
    with pytest.raises(UserError, match=r"holds no vector\.safetensors"):
        load_vectors(tmp_path)
    with pytest.raises(UserError, match=r"'\.pt' is not a known format; name one of safetensors"):
        (tmp_path / "vector.pt").touch()
        load_vectors(tmp_path / "vector.pt")
    with pytest.raises(UserError, match=r"model\.safetensors: the tensors .* are not vectors"):
        load_vectors(tiny_model / "model.safetensors")


def test_a_model_is_no_control_vector(tmp_path):
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("direction.1", NOISE[0, 0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match="its architecture is llama, not controlvector"):
        load_vectors(tmp_path / "model.gguf")


# --- vllm-lens, which runs on GPUs only: its form, written out by hand ----------------------------


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


def test_rows_are_added_to_the_outputs_that_the_json_names(tmp_path, model):
    save_vectors(tmp_path / "v.json", pair((1, 2)))
    [item] = json.loads((tmp_path / "v.json").read_text())
    array = item["activations"]
    values = np.frombuffer(base64.b64decode(array["data"]), dtype=array["dtype"])
    values = torch.from_numpy(values.reshape(array["shape"]).copy())
    handles = []
    for block, rows in zip(item["layer_indices"], values, strict=True):

        def add(_module, _args, output, rows=rows):
            changed = output[0] if isinstance(output, tuple) else output
            for place, row in zip(item["position_indices"], rows, strict=True):
                changed[:, place] += item["scale"] * row
            return output

        handles.append(model.transformer.h[block].register_forward_hook(add))
    with torch.inference_mode():
        theirs = model(IDS).logits
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(
        theirs, logits(model, pair((1, 2)).addition(1), pair((1, 2)).addition(2))
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


# --- numbers of other types -----------------------------------------------------------------------


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
def test_safetensors_of_what_is_no_vector_are_refused(tmp_path, tensor, pattern):
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
def test_gguf_of_what_is_no_row_is_refused(tmp_path, held, pattern):
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
def test_json_that_cannot_be_said_here_is_refused(tmp_path, item, message):
    with pytest.raises(UserError, match=rf"v\.json.*{message}"):
        read_wire(tmp_path, item)


# --- the other libraries themselves ---------------------------------------------------------------


@pytest.mark.network
def test_repeng_controls_as_we_steer(tmp_path, model, tiny_model, repeng):
    """Its direction.1 is added behind block 1, which is the input of block 2: our layer 2."""
    ours = vectors((2,))
    save_vectors(tmp_path / "ours.gguf", ours)
    np.save(tmp_path / "ids.npy", IDS.numpy())
    program = TOOLS / "other_programs" / "run_repeng.py"
    done = subprocess.run(
        [sys.executable, program, tiny_model, tmp_path],
        env={**os.environ, "PYTHONPATH": str(repeng), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    read = np.load(tmp_path / "ours.npz")
    assert read.files == ["1"] and read["1"].tobytes() == ours.rows[2].tobytes()
    assert (tmp_path / "hint.txt").read_text() == "gpt2"
    theirs = torch.from_numpy(np.load(tmp_path / "logits.npy"))
    torch.testing.assert_close(theirs, logits(model, everywhere(ours.rows[2], 2, 2.0)))
    assert (theirs - logits(model)).abs().max() > 0.1
    one_off = logits(model, everywhere(ours.rows[2], 1, 2.0))
    assert (theirs - one_off).abs().max() > 0.1

    result = load_vectors(tmp_path / "theirs.gguf")
    written = np.load(tmp_path / "theirs.npz")
    assert result.layers == [1, 2, 3] and result.model == "gpt2" and result.position == "all"
    assert all(result.rows[int(n) + 1].tobytes() == written[n].tobytes() for n in written.files)


@pytest.mark.network
def test_steering_vectors_applies_as_we_steer(model, steering_vectors):
    ours = vectors((1, 2))
    theirs = to_steering_vectors(ours)
    assert isinstance(theirs, steering_vectors.SteeringVector)
    with torch.inference_mode(), theirs.apply(model, multiplier=2.0):
        steered = model(IDS).logits
    expected = logits(model, *(everywhere(ours.rows[layer], layer, 2.0) for layer in (1, 2)))
    torch.testing.assert_close(steered, expected)
    assert (steered - logits(model)).abs().max() > 0.1
    back = from_steering_vectors(theirs, "gpt2")
    assert back.layers == [1, 2] and back.position == "all" and back.model == "gpt2"
    assert all(back.rows[n].tobytes() == ours.rows[n].tobytes() for n in (1, 2))
    with pytest.raises(UserError, match="layer 0 cannot be written as a steering_vectors"):
        to_steering_vectors(vectors((0, 1)))
    with pytest.raises(UserError, match="3 rows that are not zero"):
        to_steering_vectors(pair())
    with pytest.raises(UserError, match="layer_type 'mlp'"):
        from_steering_vectors(steering_vectors.SteeringVector({0: torch.ones(32)}, "mlp"))


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs `actadd ...` in a folder with results/vectors/tiny/love."""
    from typer.testing import CliRunner

    from actadd.cli import app

    monkeypatch.chdir(tmp_path)
    bos = np.zeros((1, 32), np.float32)
    rows = {layer: np.concatenate([bos, NOISE[layer, :1]]) for layer in range(3)}
    about = {"vector": {**CONTRAST, "name": "love"}}
    write_vector(Path("results/vectors/tiny/love/vector.safetensors"), rows, **about)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_export_and_import(command):
    done = command(
        *("export", "love", "--model", "tiny", "--layer", 2, "--coefficient", 5, "-o", "love.gguf")
    )
    assert done.exit_code == 0, done.output
    assert "love.gguf: made on tiny, coefficient 5.0, position front" in done.output
    result = load_vectors("love.gguf")
    assert result.rows[2].tobytes() == NOISE[2, :1].tobytes() and result.coefficient == 5

    done = command("import", "love.gguf", "-o", "kept/love.safetensors")
    assert done.exit_code == 0, done.output
    assert same(load_vectors("kept/love.safetensors"), result)
    assert done.output.endswith(
        "vectors:\n  given:\n    kind: file\n    file: kept/love.safetensors\n"
    )

    done = command("export", "love", "--model", "tiny", "-o", "all", "--format", "safetensors")
    assert load_vectors("all", "safetensors").layers == [0, 1, 2]
    done = command("import", "all", "--format", "safetensors")
    assert done.output.endswith("file: all\n    format: safetensors\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "hate", "--model", "tiny", "-o", "x.gguf"), "tiny/hate is not there"),
        (("export", "love", "--model", "tiny", "-o", "x.gguf"), "layer 0 cannot be written"),
        (("export", "love", "--model", "tiny", "--layer", 3, "-o", "x.gguf"), "layers are 0, 1, 2"),
        (("export", "love", "--model", "tiny", "-o", "x.bin"), "'.bin' is not a known format"),
        (("import", "x.gguf"), "x.gguf does not exist"),
    ],
)
def test_commands_say_what_to_do(command, arguments, message):
    done = command(*arguments)
    assert done.exit_code == 1 and done.output.startswith("error: ") and message in done.output
    assert not list(Path().glob("x.*"))


def test_a_bare_tensor_does_not_say_its_layer(tmp_path):
    save_file({"vector": np.ones((1, 4), np.float32)}, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match=r"bare\.safetensors: the tensors vector are not vectors"):
        load_vectors(tmp_path / "bare.safetensors")
    with pytest.raises(TypeError, match=r"vectors is a ndarray; write SteeringVectors"):
        save_vectors(tmp_path / "x.gguf", np.ones((1, 4), np.float32))


def test_a_layer_that_stands_twice_is_refused(tmp_path):
    rows = np.ones((1, 4), np.float32)
    save_file({"layer.1": rows, "layer.01": 2 * rows}, tmp_path / "twice.safetensors")
    with pytest.raises(UserError, match=r"layer\.01.* are not vectors"):
        load_vectors(tmp_path / "twice.safetensors")
