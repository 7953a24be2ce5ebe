"""GGUF and llama2.c files: whole, or refused with a reason."""

import shutil
import struct

import numpy as np
import pytest
import torch
import transformers as tf

from builders.checkpoints import POINTER, cut, deeper, llama_model, only, put, refused, write_gguf


def gguf_written(folder, name="x.gguf", arch="llama", tensors=True, **metadata):
    import gguf

    folder.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(folder / name, arch)
    for key, value in metadata.items():
        key = key.replace("__", ".")
        add = writer.add_uint16 if isinstance(value, int) else writer.add_string
        add(key, value)
    if tensors:
        writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / name


@pytest.fixture
def whole_gguf(tmp_path):
    gguf = pytest.importorskip("gguf")
    torch.manual_seed(0)
    model = tf.LlamaForCausalLM(llama_model(vocabulary=3 + 256 + 1))
    write_gguf(gguf, model, tmp_path / "source")
    return tmp_path / "source"


GGUF = {"format": "gguf", "layers": 2, "parameters": None, "bos": "<|endoftext|>", "pad": "a"}
GGUF |= {"stop": ["<|im_end|>"]}
OTHER_GGUF = {
    "unknown": ({"arch": "zzz"}, ["zzz", "format: transformers"]),
    "encoder": ({"arch": "bert"}, ["bert", "format: transformers"]),
    "rwkv": ({"arch": "rwkv7"}, ["rwkv7", "format: transformers"]),
    "split": ({"name": "x-00001-of-00003.gguf", "split__count": 3}, ["of 3", "--merge"]),
    "split-by-name": ({"name": "x-00001-of-00003.gguf"}, ["--merge"]),
    "lora": ({"general__type": "adapter"}, ["adapter"]),
    "mmproj": ({"arch": "clip"}, ["vision projector"]),
    "mmproj-type": ({"general__type": "mmproj"}, ["vision projector"]),
    "imatrix": ({"general__type": "imatrix"}, ["imatrix"]),
    "vocabulary": ({"tensors": False}, ["vocabulary", "no weights"]),
}


@pytest.mark.parametrize("kind", OTHER_GGUF)
def test_a_gguf_file_that_is_not_a_whole_model_is_named(tmp_path, kind):
    settings, parts = OTHER_GGUF[kind]
    gguf_written(tmp_path / "source", **settings)
    refused(tmp_path / "source", *parts, **GGUF)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_gguf_file_that_is_cut_short_is_reported(whole_gguf, share):
    cut("tiny.gguf", share)(whole_gguf)
    refused(whole_gguf, "tiny.gguf", "get it anew", **GGUF)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (put("other.gguf"), ["there are 2", "other.gguf", "source's path"]),
        (put("tiny.gguf", POINTER), ["git lfs pull"]),
        (put("tiny.gguf", b"<html>"), ["tiny.gguf", "get it anew"]),
        (only("config.json"), ["format: transformers"]),
        (only(), ["no .gguf file"]),
        (deeper("gguf"), ["source/gguf", "name it"]),
    ],
)
def test_a_folder_without_one_gguf_file_is_named(whole_gguf, change, parts):
    change(whole_gguf)
    refused(whole_gguf, *parts, **GGUF)


def test_a_gguf_file_with_missing_tensors_is_refused(whole_gguf, monkeypatch):
    gguf = pytest.importorskip("gguf")
    add = gguf.GGUFWriter.add_tensor

    def without(writer, name, *rest):
        if name != "blk.1.ffn_up.weight":
            add(writer, name, *rest)

    def with_more(writer, name, *rest):
        add(writer, name, *rest)
        if name == "output_norm.weight":
            add(writer, "rope_freqs.weight", np.ones(4, np.float32))

    for change, parts in ((without, ["lacks", "up_proj"]), (with_more, ["rope_freqs"])):
        shutil.rmtree(whole_gguf)
        monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", change)
        model = tf.LlamaForCausalLM(llama_model(vocabulary=3 + 256 + 1))
        write_gguf(gguf, model, whole_gguf)
        refused(whole_gguf, *parts, **GGUF)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "too short"),
        (b"ak42" + bytes(300), "llama2.c model"),
        (struct.pack("<7i", 32, 48, 2, 4, 2, -270, 64), "output head"),
        (struct.pack("<7i", 32, 48, 2, 0, 2, 270, 64), "llama2.c model"),
        (struct.pack("<7i", 32, 48, 2, 5, 2, 270, 64), "llama2.c model"),
        (struct.pack("<7i", 32, 48, 2, 4, 2, 270, 64) + bytes(4000), "cut short"),
        (struct.pack("<7i", 32, 48, 2, 4, 2, 270, 64) + bytes(98_688) + bytes(9), "tokenizer.bin"),
        (POINTER, "git lfs pull"),
    ],
)
def test_a_file_that_is_not_llama2c_is_reported(tmp_path, content, text):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/x.bin").write_bytes(content)
    refused(tmp_path / "source", "x.bin", text, format="llama2c")
