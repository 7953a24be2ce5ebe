"""Vectors that travel: what a format holds comes back bit for bit, what it cannot is refused.

Where another library exists that reads the format, it reads ours and we read its own, and a real
model says the same with it as with ours.
"""

import base64
import json
import pickle
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import safe_open
from safetensors.numpy import save_file

from actadd import Addition, SteeringVectors, UserError, load_vectors, save_vectors
from actadd.vectors.file_formats import FORMATS
from actadd.vectors.vector_files import write_vector
from builders.vectors import CONTRAST, NOISE, logits, pair, same, vectors

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


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
    assert result.layers == [0, 1, 2] and result.model == "" and result.position == "front"
    assert result.contrast == {**CONTRAST, "name": "love"}
    assert result.rows[1].tobytes() == NOISE[1].tobytes()
    assert same(load_vectors(folder / "vector.safetensors"), result)


def test_a_loaded_vector_steers_as_the_one_that_was_saved(tmp_path, tiny_gpt2):
    save_vectors(tmp_path / "v.safetensors", pair())
    result = load_vectors(tmp_path / "v.safetensors").addition(2)
    expected = Addition(torch.from_numpy(pair().rows[2]), 2, 2.5)
    assert torch.equal(logits(tiny_gpt2, result), logits(tiny_gpt2, expected))
    assert not torch.equal(logits(tiny_gpt2, result), logits(tiny_gpt2))
    assert pair().addition(2, 7, position="back").position == "back"


# --- what cannot be said --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "content", "message"),
    [
        ("gguf", pair(), "3 rows that are not zero and gguf holds one row"),
        ("gguf", vectors((0,)), "layer 0 cannot be written as gguf: .* before block 0 there is"),
        ("gguf", vectors((1, 2)), "layer 1 cannot be written as gguf: llama.cpp refuses"),
        ("vllm-lens", pair((0,)), "layer 0 cannot be written as vllm-lens"),
        ("vllm-lens", replace(pair(), position="middle"), "position middle depends on a prompt"),
        ("pickle", vectors(), "format 'pickle' is unknown; write one of safetensors, gguf"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, format, content, message):
    with pytest.raises(UserError, match=message):
        save_vectors(tmp_path / "vector", content, format)
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
def test_invalid_vectors_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        SteeringVectors(**arguments)


def test_a_missing_layer_or_coefficient_is_refused():
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


def test_a_model_is_not_a_control_vector(tmp_path):
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


# --- numbers of other types -----------------------------------------------------------------------


# --- the other libraries themselves ---------------------------------------------------------------


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
    assert "love.gguf: model tiny, coefficient 5.0, position front" in done.output
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
        (("export", "hate", "--model", "tiny", "-o", "x.gguf"), "tiny/hate does not exist"),
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
