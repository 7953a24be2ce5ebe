"""Models of true shapes with random weights, their prompts, and what is drawn from them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers as tf
from torch import Tensor

from actadd.engine.additions import Addition
from actadd.engine.batching import left_pad
from actadd.engine.decoding import decoder, static
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.structure import blocks
from benchmarks.gpu.report import Report

STEPS = 40
PAPER = Sampling(temperature=1.0, top_p=0.3, frequency_penalty=1.0)
# Standard deviation of a trained model's logits, about; with random weights it would be too small
# for a nucleus of a few tokens.
LOGITS = 4.5

SHAPES: dict[str, Callable[[], Any]] = {
    "GPT-2-XL": lambda: tf.GPT2Config(n_embd=1600, n_layer=48, n_head=25),
    "OPT-6.7B": lambda: tf.OPTConfig(
        hidden_size=4096,
        num_hidden_layers=32,
        ffn_dim=16384,
        num_attention_heads=32,
        word_embed_proj_dim=4096,
    ),
    "LLaMA-3-8B": lambda: tf.LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    ),
}
SMALL: dict[str, dict[str, int]] = {
    "GPT-2-XL": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "OPT-6.7B": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "ffn_dim": 64,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
    },
    "LLaMA-3-8B": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
LAST_NORMS = ("transformer.ln_f", "model.norm", "model.decoder.final_layer_norm")


def random_model(report: Report, name: str, dtype: torch.dtype) -> Any:
    """A model of true shape, made on the device, whose logits spread like a trained one's."""
    config = SHAPES[name]()
    if report.tiny:
        for key, value in SMALL[name].items():
            setattr(config, key, value)
    config.vocab_size = min(config.vocab_size, 2000) if report.tiny else config.vocab_size
    torch.manual_seed(0)
    start = time.perf_counter()
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(report.device):
            model = tf.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    finally:
        torch.set_default_dtype(before)
    with torch.inference_mode():
        ids, mask = prompts(model, 16)
        logits = model(ids.to(report.device), attention_mask=mask.to(report.device)).logits
        spread = float(logits[:, -1].float().std(dim=-1).mean())
    modules = dict(model.named_modules())
    norm = next(modules[each] for each in LAST_NORMS if each in modules)
    with torch.no_grad():
        norm.weight.mul_(LOGITS / spread)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 1
    report.wait()
    print(
        f"   {name}: {time.perf_counter() - start:.1f} s to make it, logits x {LOGITS / spread:.1f}"
    )
    return model


def vocabulary(model: Any) -> int:
    return int(model.config.get_text_config().vocab_size)


def prompts(model: Any, rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Prompts of 6 to 11 random tokens in 12 columns."""
    generator = torch.Generator().manual_seed(seed)
    texts = [
        torch.randint(5, vocabulary(model), (6 + row % 6,), generator=generator).tolist()
        for row in range(rows)
    ]
    return left_pad(texts, pad_id=1, width=12)


def noise(rows: int, steps: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(rows, steps, dtype=torch.float64, generator=generator)


def vectors(model: Any, count: int, positions: int = 3) -> list[Tensor]:
    width = int(model.config.get_text_config().hidden_size)
    generator = torch.Generator().manual_seed(2)
    return list(torch.randn(count, positions, width, generator=generator))


def additions(model: Any, rows: int, distinct: int, phase: Any = "prefill") -> list[list[Addition]]:
    """Of each row one, at the middle layer, of so many vectors."""
    layer = len(blocks(model)) // 2
    several = [Addition(each, layer, 4.0, phase=phase) for each in vectors(model, distinct)]
    return [[several[row % distinct]] for row in range(rows)]


def drawn(
    model: Any, rows: int, steps: int = STEPS, static_: bool = True, **options: Any
) -> Tensor:
    ids, mask = prompts(model, rows)
    samples = options.get("samples", 1)
    options = {"sampling": PAPER, "uniforms": noise(rows * samples, steps), **options}
    return generate(model, ids, mask, max_new_tokens=steps, static=static_, **options)


@contextmanager
def uncaptured() -> Iterator[None]:
    """Static steps run as they are, also on a GPU."""
    decoder.CAPTURES = False
    try:
        yield
    finally:
        decoder.CAPTURES = True


def graphs(model: Any) -> int:
    return sum(bool(decoder.graphs) for decoder in static._known(model).decoders.values())


def starts(model: Any) -> int:
    """Passes over prompts that were captured."""
    kept = static._known(model).decoders.values()
    return sum(bool(start and start.graph) for each in kept for start in each.starts.values())
