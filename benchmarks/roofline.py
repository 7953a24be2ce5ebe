"""The share of what the machine can do that decoding gets, and what eats the rest."""

from collections.abc import Callable

from benchmarks.common import PROMPTS, Result, Setup, in_turn, timed

ITEM = "hardware limit"
ROWS = (32, 128, 256)
SHORT, LONG = 4, 16


def limits(setup: Setup) -> tuple[float, float]:
    """(FLOP/s of a square matrix product, bytes/s of a memory copy), the best of several."""
    import torch

    device = setup.device
    dtype = getattr(torch, setup.dtype)
    size = 1024 if device == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    block = torch.empty(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)

    def best(work: Callable[[], object]) -> float:
        work()
        return min(timed(work, device) for _ in range(7))

    return (
        2 * size**3 / best(lambda: left @ right),
        2 * block.numel() / best(lambda: target.copy_(block)),
    )


def run(setup: Setup) -> list[Result]:
    """A decode step, sampling included, over the time that its arithmetic or its reading needs.

    A step's FLOPs: two for each weight that a token meets and each row, and attention's; its bytes:
    all weights and the keys and values so far. The steps' time is the difference of a long and a
    short run, so the prefill is not in it.
    """
    model = setup.load()
    prompt = setup.tokens().encode(PROMPTS[0])
    config = model.config.get_text_config()
    # Tied weights are one parameter and are read once, as the output layer.
    weights = sum(parameter.numel() for parameter in model.parameters())
    if not config.tie_word_embeddings:
        weights -= model.get_input_embeddings().weight.numel()
    size = next(model.parameters()).element_size()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads

    def decode(rows: int, steps: int) -> None:
        setup.draw([prompt], rows, steps)

    flops, bandwidth = limits(setup)
    results = [
        Result(ITEM, "matrix product", flops / 1e9, "GFLOP/s"),
        Result(ITEM, "memory copy", bandwidth / 1e9, "GB/s"),
    ]
    context = len(prompt) + (SHORT + LONG) / 2
    shares = {}
    for rows in ROWS:
        decode(rows, 2)
        arms = {
            f"{rows} rows, {steps} steps": lambda rows=rows, steps=steps: decode(rows, steps)
            for steps in (SHORT, LONG)
        }
        short, long = in_turn(arms, 2, setup.device).values()
        step = (min(long) - min(short)) / (LONG - SHORT)
        width = config.num_attention_heads * head
        arithmetic = rows * (2 * weights + 4 * config.num_hidden_layers * context * width)
        read = size * (weights + 2 * rows * context * config.num_hidden_layers * heads * head)
        shares[rows] = max(arithmetic / flops, read / bandwidth) / step
        results.append(
            Result(
                ITEM, f"decode steps of {rows} rows", rows / step, "tokens/s", note=f"{step:.3f} s"
            )
        )
    best = max(shares, key=shares.__getitem__)
    said = ", ".join(f"{rows} rows {share:.0%}" for rows, share in shares.items())
    results.append(
        Result(
            ITEM,
            f"share of the roofline at {best} rows",
            100 * shares[best],
            "%",
            60.0,
            "at least",
            f"{said}; {profile(decode, best, setup.device)}",
        )
    )
    return results


# What an operator of torch's profile counts as.
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("attention",),
    "sampling": ("topk", "logsumexp", "sort", "exp", "cumsum", "amax", "sub", "scatter", "max"),
    "copies": ("copy_", "cat", "clone", "index", "fill_"),
}


def profile(decode: Callable[[int, int], None], rows: int, device: str) -> str:
    """Shares of the operators' own time in a few decode steps."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profiled(activities=kinds) as found:
        decode(rows, 6)
    spent = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in found.key_averages():
        own = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        name = next(
            (k for k, parts in KINDS.items() if any(p in event.key for p in parts)), "other"
        )
        spent[name] += own
    whole = sum(spent.values())
    return "profile: " + ", ".join(f"{name} {own / whole:.0%}" for name, own in spent.items())
