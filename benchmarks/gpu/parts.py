"""What the parts of a step take, and where the time of whole calls goes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from actadd.engine.decoding import decode_kernel, fixed_sampler, rotary_kernel, static
from benchmarks.gpu.models import LOGITS, PAPER, drawn, random_model
from benchmarks.gpu.report import Report, timed_in_graph


def add_times(report: Report, name: str, variants: dict[str, Callable[[], Any]]) -> None:
    """Microseconds of each variant in a graph, or why it cannot be captured."""
    for variant, work in variants.items():
        try:
            time: Any = round(timed_in_graph(report, work), 1)
        except Exception as error:
            time = f"{error!r}"[:120]
        report.add(name, variant, time, "us")


def sampler_parts(report: Report) -> None:
    """What the sampler's parts take."""
    for rows, size in ((128, 50257), (256, 50257), (256, 128256)):
        sampler_parts_of(report, rows, size)
        report.free()


def sampler_parts_of(report: Report, rows: int, size: int) -> None:
    rows, size = (8, 2000) if report.tiny else (rows, size)
    with torch.inference_mode():
        logits = (LOGITS * torch.randn(rows, size, device=report.device)).bfloat16()
        counts = torch.zeros(rows, size, device=report.device)
        uniforms = torch.rand(rows, dtype=torch.float64, device=report.device)
        wide = logits.float()
        scores = fixed_sampler.penalised(logits, counts, PAPER)
        groups = scores.view(rows, -1, fixed_sampler.GROUP)
        variants: dict[str, Callable[[], Any]] = {
            "whole": lambda: fixed_sampler.fixed_tokens(logits, counts, uniforms, PAPER),
            "float": lambda: logits.float(),
            "penalty": lambda: torch.sub(wide, counts, alpha=1.0),
            "penalty, dtype and width at once": lambda: fixed_sampler.penalised(
                logits, counts, PAPER
            ),
            "logsumexp": lambda: wide.logsumexp(dim=-1, keepdim=True),
            "log_softmax": lambda: wide.log_softmax(dim=-1),
            "amax of groups": lambda: groups.amax(dim=-1),
            "topk 512": lambda: wide.topk(512),
            "topk 128": lambda: wide.topk(128),
            "topk 16": lambda: wide.topk(16),
            "in groups, 128": lambda: fixed_sampler.largest_scores(scores, 128),
            "in groups, 64": lambda: fixed_sampler.largest_scores(scores, 64),
            "in groups, 16": lambda: fixed_sampler.largest_scores(scores, 16),
            "argmax": lambda: wide.argmax(dim=-1),
        }
        add_times(report, f"{rows} x {size}", variants)


def attention_parts(report: Report) -> None:
    """What attention of one token over the cache takes, by kernel."""

    for name, rows, heads, shared, width in (
        ("GPT-2-XL", 128, 25, 25, 64),
        ("LLaMA-3-8B", 256, 32, 8, 128),
    ):
        attention_parts_of(report, name, rows, heads, shared, width)
        report.free()


def attention_parts_of(
    report: Report, name: str, rows: int, heads: int, shared: int, width: int
) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    rows = 4 if report.tiny else rows
    with torch.inference_mode():
        options = {"device": report.device, "dtype": torch.bfloat16}
        keys, values = (torch.randn(rows, shared, 64, width, **options) for _ in range(2))
        query = torch.randn(rows, shared, heads // shared, width, **options)
        allowed = torch.ones(rows, 1, 1, 64, dtype=torch.bool, device=report.device)
        allowed[:, :, :, 40:] = False
        added = torch.zeros(rows, 1, 1, 64, **options).masked_fill_(~allowed, -torch.inf)
        column = torch.full((), 40, dtype=torch.long, device=report.device)
        new = torch.randn(rows, shared, 1, width, **options)

        def sdpa(mask: Tensor | None) -> Tensor:
            return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)

        def by_hand() -> Tensor:
            scores = (query @ keys.transpose(-1, -2)) * width**-0.5 + added
            return scores.softmax(dim=-1) @ values

        joined = query.reshape(rows, heads, 1, width)
        variants: dict[str, Callable[[], Any]] = {
            "our kernel, new states written too": lambda: decode_kernel.attend(
                joined, new, new, keys, values, added, column, width**-0.5
            ),
            "default, numbers": lambda: sdpa(added),
            "default, booleans": lambda: sdpa(allowed),
            "no mask": lambda: sdpa(None),
            "by hand": by_hand,
            "index_copy_ of both": lambda: (
                keys.index_copy_(2, column, new),
                values.index_copy_(2, column, new),
            ),
        }
        for backend in ("EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH"):

            def by_backend(backend: str = backend) -> Tensor:
                with sdpa_kernel([getattr(SDPBackend, backend)]):
                    return sdpa(added)

            variants[backend] = by_backend
        if heads > shared and report.cuda:
            variants["our kernel, each head by itself"] = lambda: apart(
                lambda: variants["our kernel, new states written too"]()
            )
        floor = 2 * keys.numel() * 2 / report.bandwidth * 1e6
        report.add(name, "keys and values read once", round(floor, 1), "us")
        add_times(report, name, variants)


def apart(work: Callable[[], Any]) -> Any:
    """Attention by the kernel that takes each head by itself."""
    before = dict(decode_kernel._together)
    decode_kernel._together.update(dict.fromkeys(before, False))
    try:
        return work()
    finally:
        decode_kernel._together.update(before)


def fused_parts(report: Report) -> None:
    """Norm and rotary embedding of LLaMA-3-8B, transformers' own and fused."""
    from transformers.models.llama import modeling_llama

    rows = 4 if report.tiny else 256
    options: Any = {"device": report.device, "dtype": torch.bfloat16}
    norm = modeling_llama.LlamaRMSNorm(4096).to(**options)
    stream = torch.randn(rows, 1, 4096, **options)
    query = torch.randn(rows, 1, 32, 128, **options).transpose(1, 2)
    key = torch.randn(rows, 1, 8, 128, **options).transpose(1, 2)
    cos, sin = (torch.randn(rows, 1, 128, **options) for _ in range(2))
    variants: dict[str, Callable[[], Any]] = {
        "norm, transformers": lambda: norm(stream),
        "norm, torch": lambda: functional.rms_norm(stream, (4096,), norm.weight, 1e-6),
        "rotary, transformers": lambda: modeling_llama.apply_rotary_pos_emb(query, key, cos, sin),
        "rotary, ours": lambda: rotary_kernel.rotated(query, key, cos, sin),
    }
    with torch.inference_mode():
        add_times(report, "LLaMA-3-8B", variants)


def profile(report: Report) -> None:
    """Where the time of a captured step goes, by kernel."""

    for name, rows in (("GPT-2-XL", 128), ("LLaMA-3-8B", 256)):
        profile_of(report, name, rows)
        report.free()


def profile_of(report: Report, name: str, rows: int) -> None:
    from torch import profiler

    model = random_model(report, name, torch.bfloat16)
    rows = 8 if report.tiny else rows
    for _ in range(2):
        drawn(model, rows)
    kinds = [profiler.ProfilerActivity.CPU]
    kinds += [profiler.ProfilerActivity.CUDA] if report.cuda else []
    with profiler.profile(activities=kinds) as record:
        drawn(model, rows)
    key = "self_device_time_total" if report.cuda else "self_cpu_time_total"
    events = sorted(record.key_averages(), key=lambda each: -getattr(each, key))
    with (report.folder / "profile.txt").open("a") as file:
        for event in events[:45]:
            line = f"{name} {getattr(event, key) / 1e3:9.2f} ms {event.count:7d} {event.key[:150]}"
            file.write(line + "\n")
        file.write("\n")
    for event in events[:14]:
        report.add(
            name,
            event.key[:90],
            round(getattr(event, key) / 1e3, 2),
            "ms",
            "",
            f"{event.count} calls",
        )
    calls = record.key_averages()
    host = sorted(calls, key=lambda each: -each.self_cpu_time_total)[:6]
    note = "; ".join(f"{each.key[:40]} {each.self_cpu_time_total / 1e3:.1f} ms" for each in host)
    report.add(
        name,
        "host time",
        round(sum(each.self_cpu_time_total for each in calls) / 1e3),
        "ms",
        "",
        note,
    )
    static._models.clear()
    report.free()
