"""The share of the hardware limit that decoding reaches, and a profile of the rest."""

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
    """The least time of a decode step, by arithmetic or memory, over its time with sampling.

    FLOPs of a step: two for each weight and row, and those of attention. Bytes of a step: all
    weights, and the keys and values so far. The time of steps is the difference of a long and a
    short run, so it excludes the prefill.
    """
    model = setup.load()
    prompt = setup.tokens().encode(PROMPTS[0])
    config = model.config.get_text_config()
    # Tied weights are one parameter, which is read once, in the output layer.
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
    note = ", ".join(f"{rows} rows {share:.0%}" for rows, share in shares.items())
    results.append(
        Result(
            ITEM,
            f"share of the roofline at {best} rows",
            100 * shares[best],
            "%",
            60.0,
            "at least",
            f"{note}; {profile(decode, best, setup.device)}",
        )
    )
    return results


# Kind -> parts of the names of its operators in torch's profile.
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("attention",),
    "sampling": ("topk", "logsumexp", "sort", "exp", "cumsum", "amax", "sub", "scatter", "max"),
    "copies": ("copy_", "cat", "clone", "index", "fill_"),
}


def profile(decode: Callable[[int, int], None], rows: int, device: str) -> str:
    """Shares of the operators' self time in a few decode steps."""
    from torch import profiler

    activity = profiler.ProfilerActivity
    activities = [activity.CPU, *([activity.CUDA] if device == "cuda" else [])]
    with profiler.profile(activities=activities) as record:
        decode(rows, 6)
    times = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in record.key_averages():
        time = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        name = next(
            (k for k, parts in KINDS.items() if any(p in event.key for p in parts)), "other"
        )
        times[name] += time
    total = sum(times.values())
    return "profile: " + ", ".join(f"{name} {time / total:.0%}" for name, time in times.items())
