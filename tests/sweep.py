"""Every causal family of transformers, small: is it steered right, or refused?

    python tests/sweep.py [--only FAMILY ...] [--results results/families.json] [--table FILE.md]

Each family runs in a process of its own with a time limit, and its result is kept at once, so a
sweep that was stopped goes on where it was. `--table` writes the results as docs/reference/
families.md. The reference shares no code with the library: one unpadded row, a hook by hand, no
cache (tests/reference.py).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "workflow"), str(Path(__file__).parent)]

LAYERS, VOCABULARY, WIDTH = 3, 97, 32
LIMIT = 120
# What is small in every config that has it. A family that needs something else is in SPECIAL.
SMALL = {
    "vocab_size": VOCABULARY,
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size"), WIDTH),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), LAYERS),
    **dict.fromkeys(("decoder_layers", "encoder_layers", "num_decoder_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_decoder_attention_heads", "num_encoder_attention_heads"), 4),
    "num_encoder_layers": LAYERS,
    "num_key_value_heads": 2,
    "head_dim": 8,
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_inner", "n_inner", "dim_ff"), 48),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "ffn_hidden_size"), 48),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 24),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k"), 2),
    "n_shared_experts": 1,
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 64),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    "rotary_dim": 4,
    "rotary_ndims": 4,
    "sliding_window": 6,
    "query_pre_attn_scalar": 8,
    "state_size": 8,
    "mamba_d_state": 8,
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_expand": 2,
    "index_n_heads": 2,
    "index_head_dim": 8,
    "index_topk": 4,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "word_embed_proj_dim": WIDTH,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "dropout": 0.0,
}
# family -> settings on top, for those that SMALL alone does not build.
SPECIAL: dict[str, dict] = {}


def families() -> list[str]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def small_config(family: str):
    import inspect

    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[family]

    def settings(kind, special: dict) -> dict:
        names = set(inspect.signature(kind.__init__).parameters) | set(
            getattr(kind, "__dataclass_fields__", {})
        )
        names |= {
            name for parent in kind.__mro__ for name in getattr(parent, "__annotations__", {})
        }
        chosen = {name: value for name, value in SMALL.items() if name in names}
        for name, part in (getattr(kind, "sub_configs", None) or {}).items():
            if name in ("text_config", "decoder", "text", "decoder_config") and isinstance(part, type):
                own = special.pop(name, {})
                chosen[name] = (
                    settings(part, own) if hasattr(part, "sub_configs") else dict(SMALL) | own
                )
        return chosen | special

    special = dict(SPECIAL.get(family, {}))
    if "is_decoder" in str(inspect.signature(kind.__init__)) or hasattr(kind, "is_decoder"):
        special.setdefault("is_decoder", True)
    return kind(**settings(kind, special))


def small_model(family: str):
    """A random model in float64 whose blocks change the stream noticeably."""
    import torch
    import transformers

    config = small_config(family)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.3)
            elif "norm" not in name and "ln_" not in name and "bias" in name:
                parameter.normal_(0.0, 0.1)
    return model.double().eval()


def outcome(family: str) -> dict:
    """{"outcome": right, refused, wrong or not built, "why": a sentence}."""
    try:
        model = small_model(family)
    except Exception as error:
        return {"outcome": "not built", "why": f"{type(error).__name__}: {str(error)[:300]}"}
    size = sum(parameter.numel() for parameter in model.parameters())
    facts = {"class": type(model).__name__, "parameters": size}
    from actadd.errors import UserError
    from actadd.verification import verify

    try:
        verify(model)
    except UserError as error:
        return {"outcome": "refused", "why": str(error), **facts}
    return {"outcome": "right", "why": "", **facts}


def swept(family: str) -> dict:
    command = [sys.executable, __file__, "--run", family]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {"outcome": "not built", "why": f"more than {LIMIT} s"}
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines:
        return {"outcome": "not built", "why": run.stderr.strip()[-300:]}
    return json.loads(lines[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--run")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--results", type=Path, default=Path("results/families.json"))
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.run:
        import torch

        torch.set_num_threads(1)
        print(json.dumps(outcome(arguments.run)))
        sys.exit()
