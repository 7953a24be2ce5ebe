"""Steered sampling on one NVIDIA GPU: `benchmarks/gpu.sh`, see benchmarks/README.md.

Parts run in order of worth, each within its own time, and write their rows as soon as they have
them, so that a part that fails or takes too long costs no other.
"""

import argparse
import csv
import json
import platform
import signal
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from torch import Tensor
from torch.nn import functional

from actadd.engine.additions import Addition, Gate
from actadd.engine.batching import halving, left_pad
from actadd.engine.decoding import decode_kernel, fixed_sampler, static
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.structure import blocks

STEPS = 40
PAPER = Sampling(temperature=1.0, top_p=0.3, frequency_penalty=1.0)
# Standard deviation of a trained model's logits, about; with random weights it would be too small
# for a nucleus of a few tokens.
LOGITS = 4.5
COLUMNS = ("part", "model", "what", "value", "unit", "goal", "note")


class Report:
    """Rows of results, written anew after each of them."""

    def __init__(self, folder: Path, device: str, tiny: bool) -> None:
        self.folder, self.device, self.tiny = folder, torch.device(device), tiny
        self.rows: list[dict[str, Any]] = []
        self.part = ""
        # Bytes a second of a copy, once it was measured.
        self.bandwidth = float("nan")

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def add(
        self, model: str, what: str, value: Any, unit: str = "", goal: str = "", note: str = ""
    ):
        values = (self.part, model, what, value, unit, goal, note)
        self.rows.append(dict(zip(COLUMNS, values, strict=True)))
        print("  ", *(each for each in values[1:] if each != ""), sep=" | ", flush=True)
        with (self.folder / "results.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any]) -> float:
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def free(self) -> None:
        import gc

        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()


# ---------------------------------------------------------------------------------- models

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
    static.CAPTURES = False
    try:
        yield
    finally:
        static.CAPTURES = True


def graphs(model: Any) -> int:
    return sum(bool(decoder.graphs) for decoder in static._known(model).decoders.values())


def equal_rows(ours: Tensor, theirs: Tensor) -> float:
    """Share of rows with the same tokens."""
    width = min(ours.shape[1], theirs.shape[1])
    same = (ours[:, :width] == theirs[:, :width]).all(dim=1) & (ours.shape[1] == theirs.shape[1])
    return float(same.float().mean())


# ---------------------------------------------------------------------------------- parts


def machine(report: Report) -> None:
    """The machine, and the two ceilings: a copy and matrix products."""
    usable = {
        str(dtype): decode_kernel.is_usable(report.device, dtype)
        for dtype in (torch.bfloat16, torch.float32)
    }
    about = {
        "decode kernel": str(usable),
        "device": torch.cuda.get_device_name() if report.cuda else platform.processor(),
        "torch": torch.__version__,
        "transformers": tf.__version__,
        "python": platform.python_version(),
    }
    (report.folder / "machine.json").write_text(json.dumps(about, indent=2) + "\n")
    for name, value in about.items():
        report.add("", name, value)
    size = 2**20 if report.tiny else 2**32
    source = torch.empty(size, dtype=torch.uint8, device=report.device).random_()
    target = torch.empty_like(source)
    seconds = min(report.seconds(lambda: target.copy_(source)) for _ in range(6))
    report.bandwidth = 2 * size / seconds
    report.add("", "device copy, read and written", round(report.bandwidth / 1e9, 1), "GB/s")
    side = 256 if report.tiny else 8192
    for dtype in (torch.bfloat16, torch.float32):
        left, right = (torch.randn(side, side, device=report.device).to(dtype) for _ in range(2))
        seconds = min(report.seconds(partial(torch.mm, left, right)) for _ in range(5))
        report.add("", f"{dtype} matrix product", round(2 * side**3 / seconds / 1e12, 1), "TFLOP/s")


TEXTS = [
    [0, 5, 17, 33, 2, 64],
    [0, 8, 9],
    [0, 40, 41, 42, 43, 44, 45, 46, 47],
    [0, 71, 3, 90],
]


def families(report: Report) -> None:
    """Small models of 13 families: captured steps against references and ordinary steps."""
    from builders.families import FAMILIES

    for family in list(FAMILIES)[: 3 if report.tiny else None]:
        try:
            checks = family_checks(report, family)
            failed = [name for name, right in checks.items() if right is False]
            how = "captured" if checks["captured"] else "ordinary path"
            note = "; ".join(f"{name}: {right}" for name, right in checks.items())
            failed = [name for name in failed if name != "captured"]
            report.add(family, "all equal", not failed, goal="True", note=f"{how}; {note}")
        except Exception as error:
            report.add(family, "all equal", False, goal="True", note=f"{error!r}"[:300])
            traceback.print_exc()
        report.free()


def family_checks(report: Report, family: str) -> dict[str, bool]:
    from builders import reference
    from builders.families import block_list, tiny

    host, model = tiny(family), tiny(family).to(report.device)
    several = [
        each.double() for each in torch.randn(4, 2, 32, generator=torch.Generator().manual_seed(3))
    ]
    ids, mask = left_pad(TEXTS, pad_id=1)

    def run(
        model_: Any, static_: bool, rows: slice = slice(None), **options: Any
    ) -> list[list[int]]:
        cut, cut_mask = left_pad(TEXTS[rows], pad_id=1)
        options = {"sampling": Sampling(0.8, 0.6, 1.0), "max_new_tokens": 12, **options}
        return generate(model_, cut, cut_mask, static=static_, **options).tolist()

    def same(model_: Any, **options: Any) -> bool:
        return run(model_, True, **options) == run(model_, False, **options)

    greedy = Sampling(temperature=0)
    acting = [
        [Addition(several[0], 1, 3.0, phase="every_step")],
        [Addition(several[1][:1], 0, 2.0, phase="decode", operation="add_preserving_norm")],
        [
            Addition(several[2][:1], 1, phase="decode", operation="ablate"),
            Addition(several[2], 2, 4.0),
        ],
        [Addition(several[3], 1, 6.0, phase="every_step", gate=Gate(several[3][0], 0, 0.0))],
    ]
    prefill = [[Addition(several[0], 1, 4.0)]] * 4
    steered = run(model, True, sampling=greedy, max_new_tokens=8, additions=prefill)
    places = [(1, 0, 4.0 * several[0])]
    plain = [reference.greedy(host, block_list(host, family), text, places, 8) for text in TEXTS]
    checks = {"captured": bool(graphs(model)), "steered greedy = reference": steered == plain}
    checks["sampled"] = same(model, samples=3)
    checks["acting in decode"] = same(model, additions=acting, samples=2)
    checks["reused for other prompts"] = all(
        same(model, rows=rows, additions=acting[rows], samples=4)
        for rows in (slice(2), slice(2, 4))
    )
    checks["stop tokens"] = same(model, stop_ids=range(1, 97, 6), samples=2)
    checks["beyond the kept"] = with_kept(4, lambda: same(model, samples=2))
    contrast_ids = torch.cat([ids, ids.flip(0)]), torch.cat([mask, mask.flip(0)])
    one, other = (
        generate(
            model, *contrast_ids, contrast=-0.7, sampling=PAPER, max_new_tokens=12, static=static_
        ).tolist()
        for static_ in (True, False)
    )
    checks["contrast"] = one == other
    model = model.float()
    static.forget(model)
    checks["float32: captured = ordinary"] = same(model, sampling=greedy, additions=acting)
    batch = run(model, True, sampling=greedy, additions=acting)
    checks["float32: batch = alone"] = batch == [
        run(model, True, slice(row, row + 1), sampling=greedy, additions=acting[row : row + 1])[0]
        for row in range(4)
    ]
    return checks


def with_kept(kept: int, work: Callable[[], bool]) -> bool:
    before, fixed_sampler.KEPT = fixed_sampler.KEPT, kept
    try:
        return work()
    finally:
        fixed_sampler.KEPT = before


def large_correctness(report: Report) -> None:
    """GPT-2-XL: captured, uncaptured and ordinary steps, and the plain hooks of the reference."""

    for dtype in (torch.float32, torch.bfloat16):
        large_correctness_of(report, dtype)
        report.free()


def large_correctness_of(report: Report, dtype: torch.dtype) -> None:
    from builders import reference

    name = "GPT-2-XL"
    greedy = Sampling(temperature=0)
    model = random_model(report, name, dtype)
    rows = 32
    acting = additions(model, rows, rows)
    about = f"{dtype}".removeprefix("torch.")
    captured = drawn(model, rows, additions=acting)
    again = drawn(model, rows, additions=acting)
    with uncaptured():
        eager = drawn(model, rows, additions=acting)
    ordinary = drawn(model, rows, static_=False, additions=acting)
    whole = "1.0"
    report.add(name, f"{about}: captured graphs", graphs(model))
    report.add(
        name,
        f"{about}: captured = captured again",
        equal_rows(captured, again),
        "of rows",
        whole,
    )
    report.add(
        name, f"{about}: captured = uncaptured", equal_rows(captured, eager), "of rows", whole
    )
    goal = whole if dtype == torch.float32 else ""
    report.add(
        name, f"{about}: captured = ordinary", equal_rows(captured, ordinary), "of rows", goal
    )
    if dtype == torch.float32:
        ids, mask = prompts(model, rows)
        ours = drawn(model, rows, 10, additions=acting, sampling=greedy)
        right = []
        torch.set_default_device(report.device)
        for row in range(0, rows, 8):
            addition = acting[row][0]
            text = ids[row][mask[row].bool()].tolist()
            places = [(addition.layer, 0, 4.0 * addition.vector.to(report.device))]
            plain = reference.greedy(model, blocks(model), text, places, 10)
            right.append(plain == ours[row].tolist())
        torch.set_default_device("cpu")
        report.add(
            name,
            f"{about}: steered greedy = reference",
            statistics.mean(right),
            "of 4 rows",
            whole,
        )
        alone = []
        for row in range(0, rows, 8):
            one = generate(
                model,
                ids[row : row + 1],
                mask[row : row + 1],
                additions=[acting[row]],
                max_new_tokens=10,
                static=True,
            )
            alone.append(one[0].tolist() == ours[row].tolist())
        report.add(name, f"{about}: batch = alone", statistics.mean(alone), "of 4 rows", whole)
    report.free()


def step_times(report: Report, model: Any) -> tuple[float, float]:
    """Milliseconds of the two halves of the last captured step."""
    decoder = next(reversed(static._known(model).decoders.values()))
    times = []
    for half in (0, 1):
        # The forward half stays at its column, the other goes on.
        decoder._go_to(1 if half else decoder.steps // 2)
        report.wait()
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        marks[0].record()
        for _ in range(decoder.steps - 2):
            decoder.graphs[half].replay()
        marks[1].record()
        report.wait()
        times.append(marks[0].elapsed_time(marks[1]) / (decoder.steps - 2))
    return times[0], times[1]


def speed(report: Report, name: str, sizes: tuple[int, ...], goals: dict[int, str]) -> None:
    """Tokens a second of whole calls of 40 tokens, prefill and set-up included."""
    model = random_model(report, name, torch.bfloat16)
    with torch.inference_mode():
        weights = sum(each.numel() for each in model.parameters())
        if not model.config.tie_word_embeddings:
            weights -= model.get_input_embeddings().weight.numel()
        for rows in (8, 4) if report.tiny else sizes:
            speed_of_rows(report, name, model, weights, rows, goals.get(rows, ""))
    report.free()


def speed_of_rows(
    report: Report, name: str, model: Any, weights: int, rows: int, goal: str
) -> None:
    if report.cuda:
        torch.cuda.reset_peak_memory_stats()
    one, distinct = additions(model, rows, 1), additions(model, rows, rows)
    arms: dict[str, Callable[[], Any]] = {
        "unsteered": lambda: drawn(model, rows),
        "1 vector": lambda: drawn(model, rows, additions=one),
        f"{rows} vectors": lambda: drawn(model, rows, additions=distinct),
    }
    every = {
        count: additions(model, rows, count, "every_step")
        for count in ((1, rows) if rows == 256 else ())
    }
    for count, acting in every.items():
        arms[f"{count} vectors, every step"] = lambda acting=acting: drawn(
            model, rows, additions=acting
        )
    for arm in arms.values():
        arm()
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    for _ in range(1 if report.tiny else 5):
        for arm, work in arms.items():
            seconds[arm].append(report.seconds(work))
    best = {arm: statistics.median(times) for arm, times in seconds.items()}
    for arm, median in best.items():
        extent = f"{min(seconds[arm]):.4f} to {max(seconds[arm]):.4f} s"
        note = f"{median * 1e3:.1f} ms a call; rounds {extent}"
        report.add(
            name, f"{rows} rows, {arm}", round(rows * STEPS / median), "tokens/s", goal, note
        )
    plain = best["unsteered"]
    report.add(
        name, f"{rows} rows, steered / unsteered", round(plain / best["1 vector"], 4), "", "0.99"
    )
    report.add(
        name,
        f"{rows} rows, {rows} vectors / 1",
        round(best["1 vector"] / best[f"{rows} vectors"], 4),
        "",
        "0.95",
    )
    decoder = next(reversed(static._known(model).decoders.values()), None)
    if report.cuda and decoder is not None and decoder.graphs:
        drawn(model, rows)
        decoder = next(reversed(static._known(model).decoders.values()))
        forward, sampler = step_times(report, model)
        states = sum(
            2 * layer.keys[:, :, : 12 + STEPS // 2].numel() for layer in decoder.cache.layers
        )
        floor = 2 * (weights + states) / report.bandwidth * 1e3
        report.add(
            name,
            f"{rows} rows, captured step",
            round(forward + sampler, 3),
            "ms",
            "",
            f"forward {forward:.3f}, sampler {sampler:.3f}; all read once {floor:.3f}",
        )
        report.add(
            name,
            f"{rows} rows, steps alone",
            round(rows / (forward + sampler) * 1e3),
            "tokens/s",
            goal,
        )
        report.add(
            name,
            f"{rows} rows, share of the bandwidth roofline",
            round(floor / (forward + sampler), 3),
        )
        report.add(name, f"{rows} rows, batches drawn again", decoder.repeats, "steps")
        report.add(
            name,
            f"{rows} rows, peak memory",
            round(torch.cuda.max_memory_allocated() / 2**30, 1),
            "GiB",
        )
    ordinary = report.seconds(lambda: drawn(model, rows, static_=False))
    report.add(
        name, f"{rows} rows, unsteered, ordinary steps", round(rows * STEPS / ordinary), "tokens/s"
    )
    theirs(report, model, rows, 2)
    plain_seconds = report.seconds(lambda: theirs(report, model, rows))
    report.add(
        name, f"{rows} rows, model.generate", round(rows * STEPS / plain_seconds), "tokens/s"
    )
    report.add(
        name,
        f"{rows} rows, 1 vector / model.generate",
        round(plain_seconds / best["1 vector"], 2),
        "",
        "4",
    )
    static.forget(model)
    report.free()


def theirs(report: Report, model: Any, rows: int, steps: int = STEPS, **options: Any) -> Tensor:
    """Transformers' own sampling, unsteered, with the same frequency penalty."""
    from benchmarks.peers.common import FrequencyPenalty

    ids, mask = (each.to(report.device) for each in prompts(model, rows))
    return model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=True,
        top_p=0.3,
        top_k=0,
        logits_processor=tf.LogitsProcessorList([FrequencyPenalty(1.0)]),
        min_new_tokens=steps,
        max_new_tokens=steps,
        **options,
    )


def speed_gpt2(report: Report) -> None:
    speed(report, "GPT-2-XL", (128, 256, 32), {128: "40000", 256: "40000"})


def speed_llama(report: Report) -> None:
    speed(report, "LLaMA-3-8B", (256, 128, 32), {256: "20000"})


def speed_opt(report: Report) -> None:
    speed(report, "OPT-6.7B", (256, 128, 32), {})


def profile(report: Report) -> None:
    """Where the time of a captured step goes, by kernel."""

    for name, rows in (("GPT-2-XL", 128), ("LLaMA-3-8B", 256)):
        profile_of(report, name, rows)
        report.free()


def profile_of(report: Report, name: str, rows: int) -> None:
    from torch import profiler

    model = random_model(report, name, torch.bfloat16)
    rows = 8 if report.tiny else rows
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


def timed_in_graph(report: Report, work: Callable[[], Any], repeats: int = 20) -> float:
    """Microseconds of some kernels, launched as a graph."""
    work()
    report.wait()
    if not report.cuda:
        return report.seconds(work) * 1e6
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    report.wait()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            work()
    graph.replay()
    return min(report.seconds(graph.replay) for _ in range(3)) / repeats * 1e6


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
        groups = wide[:, : size // 64 * 64].view(rows, -1, 64)
        variants: dict[str, Callable[[], Any]] = {
            "whole": lambda: fixed_sampler.fixed_tokens(logits.float(), counts, uniforms, PAPER),
            "float": lambda: logits.float(),
            "penalty": lambda: torch.sub(wide, counts, alpha=1.0),
            "logsumexp": lambda: wide.logsumexp(dim=-1, keepdim=True),
            "log_softmax": lambda: wide.log_softmax(dim=-1),
            "amax of groups": lambda: groups.amax(dim=-1),
            "topk 512": lambda: wide.topk(512),
            "topk 128": lambda: wide.topk(128),
            "topk 16": lambda: wide.topk(16),
            "in groups, 128": lambda: fixed_sampler.largest_scores(wide, 128),
            "in groups, 64": lambda: fixed_sampler.largest_scores(wide, 64),
            "in groups, 16": lambda: fixed_sampler.largest_scores(wide, 16),
            "argmax": lambda: wide.argmax(dim=-1),
        }
        for what, work in variants.items():
            try:
                taken = round(timed_in_graph(report, work), 1)
            except Exception as error:
                taken = f"{error!r}"[:120]
            report.add(f"{rows} x {size}", what, taken, "us")


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
        floor = 2 * keys.numel() * 2 / report.bandwidth * 1e6
        report.add(name, "keys and values read once", round(floor, 1), "us")
        for what, work in variants.items():
            try:
                taken = round(timed_in_graph(report, work), 1)
            except Exception as error:
                taken = f"{error!r}"[:120]
            report.add(name, what, taken, "us")


def out_of_memory(report: Report) -> None:
    """A batch that does not fit is halved, and rows keep their tokens."""
    name = "GPT-2-XL"
    model = random_model(report, name, torch.bfloat16)
    total = 16 if report.tiny else 2048
    if report.cuda:
        held = torch.cuda.memory_allocated() / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, held + 0.2))
    sizes: list[int] = []

    def compute(rows: int, indices: list[int]) -> Iterator[tuple[int, list[int]]]:
        for start in range(0, len(indices), rows):
            some = indices[start : start + rows]
            sizes.append(rows)
            ids, mask = prompts(model, total)
            tokens = generate(
                model,
                ids[some],
                mask[some],
                sampling=PAPER,
                uniforms=noise(total, 8)[some],
                max_new_tokens=8,
                static=True,
            )
            yield from zip(some, tokens.tolist(), strict=True)

    try:
        done = dict(halving(total, range(total), compute))
        report.add(
            name, "rows drawn", len(done), "", str(total), f"batches of {sorted(set(sizes))[::-1]}"
        )
    finally:
        if report.cuda:
            torch.cuda.set_per_process_memory_fraction(1.0)
    static._models.clear()
    report.free()


def compiled(report: Report) -> None:
    """Transformers' own static cache and compiler, at one shape."""
    name, rows = "GPT-2-XL", 8 if report.tiny else 128
    model = random_model(report, name, torch.bfloat16)
    ours = [report.seconds(lambda: drawn(model, rows)) for _ in range(4)][-1]
    static.forget(model)

    def run() -> Any:
        return theirs(report, model, rows, cache_implementation="static")

    first = report.seconds(run)
    report.add(name, f"{rows} rows, model.generate compiled, first call", round(first, 1), "s")
    run()
    best = min(report.seconds(run) for _ in range(3))
    report.add(
        name, f"{rows} rows, model.generate compiled", round(rows * STEPS / best), "tokens/s"
    )
    report.add(name, f"{rows} rows, ours unsteered / compiled", round(best / ours, 2), "", "")


# Part -> seconds that it may take.
PARTS: dict[Callable[[Report], None], int] = {
    machine: 40,
    families: 110,
    large_correctness: 70,
    speed_gpt2: 75,
    speed_llama: 75,
    attention_parts: 30,
    sampler_parts: 30,
    profile: 50,
    speed_opt: 60,
    out_of_memory: 30,
    compiled: 120,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/gpu"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to test the script")
    parser.add_argument("--seconds", type=float, default=450, help="of all parts together")
    names = {part.__name__: part for part in PARTS}
    parser.add_argument("--parts", nargs="+", choices=names, default=list(names))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    report = Report(arguments.output, arguments.device, arguments.tiny)
    began = time.perf_counter()

    def late(*_: Any) -> None:
        raise TimeoutError("the part's time is over")

    signal.signal(signal.SIGALRM, late)
    for part in (names[name] for name in arguments.parts):
        left = arguments.seconds - (time.perf_counter() - began)
        report.part = part.__name__
        if left < 10:
            report.add("", "not run", "no time left")
            continue
        print(f"{part.__name__}: {part.__doc__}", flush=True)
        start = time.perf_counter()
        signal.alarm(int(min(left, PARTS[part])))
        try:
            part(report)
        except BaseException as error:
            signal.alarm(0)
            report.add("", "failed", f"{error!r}"[:300])
            traceback.print_exc()
            torch.set_default_device("cpu")
        finally:
            signal.alarm(0)
            static._models.clear()
            report.free()
        report.add("", "seconds", round(time.perf_counter() - start, 1))


if __name__ == "__main__":
    main()
