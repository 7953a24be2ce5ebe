"""Checkpoints in the formats of others."""

import json
import shutil

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from actadd.base.errors import UserError
from actadd.models import preparation
from builders import tiny


def llama_model(vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
    )


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Half-split rotary rows (transformers) as neighbouring pairs (llama.cpp, llama2.c)."""
    rows, columns = weight.shape
    half = rows // heads // 2
    return weight.view(heads, 2, half, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(gguf, model: LlamaForCausalLM, folder) -> None:
    folder.mkdir()
    config, state = model.config, model.state_dict()
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_freq_base(10000.0)
    from tokenizers.pre_tokenizers import ByteLevel

    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(names)
    writer.add_token_types([3] * 3 + [1] * 257)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    kinds = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.down_proj": "ffn_down",
        "mlp.up_proj": "ffn_up",
    }
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", state["model.norm.weight"].numpy())
    for layer in range(config.num_hidden_layers):
        for theirs, name in kinds.items():
            weight = state[f"model.layers.{layer}.{theirs}.weight"]
            if theirs[-6:] in heads:
                weight = _interleaved(weight, heads[theirs[-6:]])
            writer.add_tensor(f"blk.{layer}.{name}.weight", weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


ENTRY = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def add_tokenizer(tiny_model, folder):
    """The tiny tokenizer for a model of any family: some have a class that would rebuild it."""
    shutil.copy(tiny_model / "tokenizer.json", folder)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def prepared_from(folder, **changes):
    target = folder.parent / "out"
    shutil.rmtree(target, ignore_errors=True)
    return preparation.prepare({**ENTRY, **changes}, folder, target)


def refused(folder, *parts, **changes):
    """What is said of a folder that is refused: at most five lines, with these parts."""
    with pytest.raises(UserError) as caught:
        prepared_from(folder, **changes)
    message = str(caught.value)
    assert message.startswith("models.tiny") and len(message.splitlines()) <= 5, message
    for part in parts:
        assert part in message, message
    assert not (folder.parent / "out").exists()
    return message


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def saved(model, tiny_model, folder):
    model.save_pretrained(folder)
    add_tokenizer(tiny_model, folder)
    return folder


def put(name, content=b"x"):
    def change(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return change


def only(*names, content=b"{}"):
    def change(folder):
        shutil.rmtree(folder)
        folder.mkdir()
        for name in names:
            put(name, content)(folder)

    return change


def deeper(name):
    def change(folder):
        folder.rename(folder.parent / "moved")
        (folder / name).parent.mkdir(parents=True)
        (folder.parent / "moved").rename(folder / name)

    return change


def cut(name, share):
    def change(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return change


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 400}
SMALL |= {"intermediate_size": 16}
