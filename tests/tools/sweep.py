"""Every causal family of transformers, small: is it steered right, or refused?

    python tests/tools/sweep.py [--only FAMILY ...] [--results FILE.json] [--table FILE.md]

Each family runs in a process of its own with a time limit, and its result is kept at once, so a
sweep that was stopped goes on where it was. `--table` writes the results as docs/reference/
families.md. The reference shares no code with the library: one unpadded row, a hook by hand, no
cache (tests/builders/reference.py).
"""

import argparse
import contextlib
import json
import multiprocessing
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]

LAYERS, VOCABULARY, WIDTH = 3, 97, 32
LIMIT = 150
# What configs of several towers call the one of text.
TEXT = ("text_config", "decoder", "text", "decoder_config")
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
}
# Blocks of which not all are recurrent, as in every real model of these families.
MIXED = {"layer_types": ["linear_attention", "full_attention", "linear_attention"]}
# family -> settings on top, for those that SMALL alone does not build.
SPECIAL: dict[str, dict] = {
    "bailing_hybrid": {"layer_group_size": 2},
    "big_bird": {"attention_type": "original_full"},
    "bigbird_pegasus": {"attention_type": "original_full"},
    "dots3_note": {"num_key_value_heads": 4},
    "dots3_note_text": {"num_key_value_heads": 4},
    "falcon_h1": {"mamba_d_ssm": 64},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba"]},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "jamba": {
        "attn_layer_offset": 1,
        "attn_layer_period": 2,
        "expert_layer_offset": 1,
        "expert_layer_period": 2,
    },
    "mamba2": {"num_heads": 8, "head_dim": 8},
    **dict.fromkeys(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"), MIXED),
    "qwen3_5": {"text_config": MIXED},
    "qwen3_5_moe": {"text_config": MIXED},
    "reformer": {
        "axial_pos_embds_dim": (16, 16),
        "axial_pos_shape": (8, 8),
        "attn_layers": ["local", "lsh", "local"],
    },
    "bamba": {"attn_layer_indices": [1]},
    "xmod": {"default_language": "en_XX"},
    "zaya": {"num_experts_per_tok": 1},
    "zamba2": {"layers_block_type": ["mamba", "hybrid", "mamba"]},
    "zamba": {"layers_block_type": ["mamba", "hybrid", "mamba"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    "gemma4_assistant": {"hidden_size_per_layer_input": 0},
}


def all_families() -> list[str]:
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
        if "qk_rope_head_dim" in names:
            # Their heads' width follows from its parts.
            chosen.pop("head_dim", None)
            chosen["num_key_value_heads"] = 4
        for name, part in (getattr(kind, "sub_configs", None) or {}).items():
            if name in TEXT and isinstance(part, type):
                values = special.pop(name, {})
                chosen[name] = (
                    settings(part, values) if hasattr(part, "sub_configs") else dict(SMALL) | values
                )
        return chosen | special

    special = dict(SPECIAL.get(family, {}))
    if "is_decoder" in str(inspect.signature(kind.__init__)) or hasattr(kind, "is_decoder"):
        special.setdefault("is_decoder", True)
    return kind(**settings(kind, special))


def small_model(family: str, dtype: str = "float64"):
    """A random model whose blocks change the stream noticeably."""
    import torch
    import transformers

    config = small_config(family)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with contextlib.suppress(ValueError, AttributeError):
        # The other ways know no float64.
        model.set_experts_implementation("eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.3)
            elif "norm" not in name and "ln_" not in name and "bias" in name:
                parameter.normal_(0.0, 0.1)
    return model.to(getattr(torch, dtype)).eval()


PROMPTS = [[0, 5, 17, 33, 12, 64], [0, 8, 9], [0, 71, 13, 90]]
STEPS = 4


class Tries:
    """What is compared with the plain reference for a model that passed its verification."""

    def __init__(self, model):
        import torch

        from actadd.engine.additions import Addition
        from actadd.engine.batching import left_pad
        from actadd.engine.structure import blocks
        from builders import reference

        self.model = model
        self.ids, self.mask = left_pad(PROMPTS, 1)
        generator = torch.Generator().manual_seed(1)
        listed = blocks(model)
        stream = reference.stream_at(model, listed, PROMPTS[0], 1)
        vector = torch.randn(2, stream.shape[-1], generator=generator).double()
        vector *= stream.norm(dim=-1).mean() / stream.shape[-1] ** 0.5
        self.additions = [[Addition(vector, 1, 1.0)], [], [Addition(vector, 0, -1.0, "back")]]
        places = [[(1, 0, vector)], [], [(0, len(PROMPTS[2]) - 2, -vector)]]
        self.expected, self.plain = (
            [
                reference.greedy(model, listed, prompt, position, STEPS)
                for prompt, position in zip(PROMPTS, where, strict=True)
            ]
            for where in (places, [[]] * len(PROMPTS))
        )

    def draws(self) -> bool:
        from actadd import generate

        options = {"additions": self.additions, "max_new_tokens": STEPS, "verify": False}
        return generate(self.model, self.ids, self.mask, **options).tolist() == self.expected

    def wrapper(self) -> bool:
        import torch

        from actadd import record_activations

        class Wrapper(torch.nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

            def forward(self, *args, **kwargs):
                return self.inner(*args, **kwargs)

        bare, wrapped = (
            record_activations(model, self.ids, self.mask, verify=False)
            for model in (self.model, Wrapper(self.model))
        )
        return torch.equal(bare, wrapped)

    def dynamic(self) -> bool:
        return self._own()

    def static(self) -> bool:
        """The second time after a reset."""
        import transformers

        width = self.ids.shape[1] + STEPS
        cache = transformers.StaticCache(config=self.model.config, max_cache_len=width)
        first = self._own(past_key_values=cache)
        cache.reset()
        return first and self._own(past_key_values=cache)

    def chunks(self) -> bool:
        return self._own(prefill_chunk_size=4)

    def _own(self, **options) -> bool:
        """The model's own `generate` in `steer`; or it is refused, or draws other tokens anyway."""
        from actadd import steer

        options |= {"do_sample": False, "max_new_tokens": STEPS, "pad_token_id": 1}
        options |= {"eos_token_id": None, "attention_mask": self.mask}
        with steer(self.model, self.additions, self.mask, verify=False):
            written = self.model.generate(self.ids, **options)[:, self.ids.shape[1] :].tolist()
        if written == self.expected:
            return True
        if "past_key_values" in options:
            options["past_key_values"].reset()
        written = self.model.generate(self.ids, **options)[:, self.ids.shape[1] :].tolist()
        if written != self.plain:
            raise ValueError("unsteered it draws other tokens than without that cache, too")
        return False


TRIES = ("draws", "wrapper", "dynamic", "static", "chunks")


def outcome(family: str) -> dict:
    """{"outcome": right, refused, wrong or not built; "why", and what each of TRIES gave}."""
    from actadd.base.errors import UserError
    from actadd.models.verification.verify import verify

    why = ""
    for dtype in ("float64", "float32"):
        try:
            model = small_model(family, dtype)
        except Exception as error:
            message = " ".join(str(error).split())[:200]
            return {"outcome": "not built", "why": f"{type(error).__name__}: {message}"}
        facts = {"class": type(model).__name__, "dtype": dtype}
        try:
            verify(model)
        except UserError as error:
            why = str(error)
            continue
        tried = {}
        tries = Tries(model)
        for name in TRIES:
            try:
                tried[name] = "right" if getattr(tries, name)() else "wrong"
            except Exception as error:
                message = " ".join(str(error).split())[:120]
                tried[name] = f"stops: {type(error).__name__}: {message}"
        wrong = [name for name, result in tried.items() if result == "wrong"]
        return {"outcome": "wrong" if wrong else "right", "why": "", "tries": tried, **facts}
    return {"outcome": "refused", "why": why, **facts}


def swept(family: str) -> dict:
    """The outcome, from a process of its own that has everything imported already."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(outcome(family)))
    process.start()
    sending.close()
    try:
        if not receiving.poll(LIMIT):
            return {"outcome": "not built", "why": f"takes more than {LIMIT} s"}
        return receiving.recv()
    except EOFError:
        process.join()
        return {"outcome": "not built", "why": f"its process ends with {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def table(results: dict[str, dict]) -> str:
    """The results as a page of the documentation."""
    import transformers

    counts = Counter(result["outcome"] for result in results.values())
    lines = [
        "# Families",
        "",
        f"Every causal family of transformers {transformers.__version__}, small and random:",
        ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) + ".",
        "",
        "*Right* passed its verification and gave the tokens of a plain one-row reference; in",
        "float32 where a part of the model knows no float64. *Stops*: the model's own `generate`",
        "has no such cache, or `steer` refuses it. *Not built*: not from a small config alone.",
        "Made by `python tests/tools/sweep.py --table docs/reference/families.md`.",
        "",
        f"| family | outcome | dtype | {' | '.join(TRIES)} | why |",
        f"|{'---|' * (4 + len(TRIES))}",
    ]
    for family, result in results.items():
        tries = [result.get("tries", {}).get(name, "").split(":")[0] for name in TRIES]
        why = result["why"].split(" cannot be steered right: ")[-1].replace("|", "/")
        why = why.replace("<", "&lt;").replace("`", "'")
        cells = (family, result["outcome"], result.get("dtype", ""), *tries, why)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", metavar="FAMILY", help="these, again")
    parser.add_argument("--results", type=Path, default=Path("results/families.json"))
    parser.add_argument("--table", type=Path, help="where the page is written")
    arguments = parser.parse_args()
    import torch
    import transformers

    from builders import families  # noqa: F401  (its softmax knows float64)

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    # So that what it imports is there for all others.
    outcome("llama")
    kept = arguments.results
    result = json.loads(kept.read_text()) if kept.exists() else {}
    for family in arguments.only or [name for name in all_families() if name not in result]:
        result[family] = swept(family)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(result, indent=1, sort_keys=True))
        print(family, result[family]["outcome"], result[family]["why"], flush=True)
    if arguments.table:
        arguments.table.write_text(table(dict(sorted(result.items()))))


if __name__ == "__main__":
    main()
