"""Tiny random models of every supported family, in float64 so that greedy ties cannot decide."""

import torch
import transformers as tf

_softmax = torch.nn.functional.softmax


def _softmax_in_float64(scores, dim=None, dtype=None, **options):
    """Eager attention casts scores to float32, where float64's mask value becomes -inf and a fully
    masked (padding) row NaN. Nothing of this happens in float32 or bfloat16, but these tests need
    float64, so float64 scores stay what they are.
    """
    return _softmax(scores, dim=dim, dtype=None if scores.dtype == torch.float64 else dtype)


torch.nn.functional.softmax = _softmax_in_float64

VOCABULARY = 97
LAYERS = 3
_COMMON = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
_LLAMA = {
    **_COMMON,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
_NEOX = {key: value for key, value in _LLAMA.items() if key != "num_key_value_heads"}
_GEMMA = {**_LLAMA, "head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8}

# family -> (config, where its blocks are, written out by hand)
FAMILIES = {
    "gpt2": (
        lambda: tf.GPT2Config(**_COMMON, n_embd=32, n_layer=LAYERS, n_head=4, n_positions=64),
        "transformer.h",
    ),
    "gptj": (
        lambda: tf.GPTJConfig(
            **_COMMON, n_embd=32, n_layer=LAYERS, n_head=4, n_positions=64, rotary_dim=4
        ),
        "transformer.h",
    ),
    "gpt_neox": (lambda: tf.GPTNeoXConfig(**_NEOX), "gpt_neox.layers"),
    "opt": (
        lambda: tf.OPTConfig(
            **_COMMON,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=64,
            word_embed_proj_dim=16,
        ),
        "model.decoder.layers",
    ),
    "llama": (lambda: tf.LlamaConfig(**_LLAMA), "model.layers"),
    "mistral": (lambda: tf.MistralConfig(**_LLAMA, sliding_window=8), "model.layers"),
    "qwen2": (lambda: tf.Qwen2Config(**_LLAMA), "model.layers"),
    "qwen3": (lambda: tf.Qwen3Config(**_LLAMA, head_dim=8), "model.layers"),
    "gemma2": (lambda: tf.Gemma2Config(**_GEMMA), "model.layers"),
    "gemma3": (lambda: tf.Gemma3TextConfig(**_GEMMA), "model.layers"),
    "phi": (lambda: tf.PhiConfig(**_LLAMA, partial_rotary_factor=0.5), "model.layers"),
    "bloom": (
        lambda: tf.BloomConfig(**_COMMON, hidden_size=32, n_layer=LAYERS, n_head=4),
        "transformer.h",
    ),
    "falcon": (
        lambda: tf.FalconConfig(
            **_COMMON, hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4
        ),
        "transformer.h",
    ),
}


def tiny(family: str) -> torch.nn.Module:
    """A random model with weights large enough that steering changes what it says."""
    torch.manual_seed(0)
    config = FAMILIES[family][0]()
    model = tf.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                # Near 1/sqrt(fan in), so that every block changes the stream noticeably.
                parameter.normal_(0.0, 0.3)
            elif "norm" not in name and "ln_" not in name:
                parameter.normal_(0.0, 0.1)
    return model.double().eval()


def block_list(model: torch.nn.Module, family: str):
    """The blocks by their written-out path, independent of the library's search."""
    return model.get_submodule(FAMILIES[family][1])
