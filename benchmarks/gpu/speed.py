"""Tokens a second, and what a captured step and its parts take."""

import statistics
from typing import Any

import torch
import transformers as tf
from torch import Tensor

from actadd.engine.decoding import static
from benchmarks.gpu.models import STEPS, additions, drawn, prompts, random_model
from benchmarks.gpu.report import Report

# Tokens of a longer text, of which the prompts are a smaller part.
LONG = 128


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
    best = arms_of_rows(report, name, model, rows, goal)
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
    if report.cuda:
        step_of_rows(report, name, model, weights, rows, goal)
    static.forget(model)
    report.free()
    longer = 12 if report.tiny else LONG
    if goal:
        for arm in ("unsteered", "1 vector"):
            acting = {} if arm == "unsteered" else {"additions": additions(model, rows, 1)}
            for _ in range(2):
                drawn(model, rows, longer, **acting)
            times = [
                report.seconds(lambda acting=acting: drawn(model, rows, longer, **acting))
                for _ in range(3)
            ]
            rate = round(rows * longer / statistics.median(times))
            report.add(name, f"{rows} rows, {arm}, {longer} tokens", rate, "tokens/s", goal)
        static.forget(model)
        report.free()
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
    report.free()


def arms_of_rows(report: Report, name: str, model: Any, rows: int, goal: str) -> dict[str, float]:
    """Seconds of a call by what it adds, the median of rounds in which all take turns."""
    one, distinct = additions(model, rows, 1), additions(model, rows, rows)
    arms: dict[str, dict[str, Any]] = {
        "unsteered": {},
        "1 vector": {"additions": one},
        f"{rows} vectors": {"additions": distinct},
    }
    if rows == 256:
        for count in (1, rows):
            acting = additions(model, rows, count, "every_step")
            arms[f"{count} vectors, every step"] = {"additions": acting}
    # Steps are captured at the first batch of a kind, the pass over prompts at the second.
    for options in (*arms.values(), *arms.values()):
        drawn(model, rows, **options)
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    rounds = 1 if report.tiny else 7
    for number in range(rounds):
        for arm in list(arms)[:: 1 if number % 2 else -1]:
            seconds[arm].append(report.seconds(lambda arm=arm: drawn(model, rows, **arms[arm])))
    best = {arm: statistics.median(times) for arm, times in seconds.items()}
    for arm, median in best.items():
        extent = f"{min(seconds[arm]):.4f} to {max(seconds[arm]):.4f} s"
        note = f"{median * 1e3:.1f} ms a call; rounds {extent}"
        report.add(
            name, f"{rows} rows, {arm}", round(rows * STEPS / median), "tokens/s", goal, note
        )
    return best


def step_of_rows(report: Report, name: str, model: Any, weights: int, rows: int, goal: str) -> None:
    """What a call's parts take on the device: the pass over prompts, and a step."""
    drawn(model, rows)
    decoder = next(reversed(static._known(model).decoders.values()), None)
    for each in static._known(model).decoders.values():
        if each.difference == each.difference:
            noted = f"{each.difference:.1e}"
            report.add(name, f"{rows} rows, a step's logits, relative difference", noted)
    if decoder is None or not decoder.graphs:
        report.add(name, f"{rows} rows, captured step", "not captured")
        return
    start = next(reversed(decoder.starts.values()))
    if start is None or start.graph is None:
        report.add(name, f"{rows} rows, pass over the prompts", "not captured")
    else:
        taken = min(report.seconds(start.graph.replay) for _ in range(3))
        report.add(name, f"{rows} rows, pass over the prompts", round(taken * 1e3, 2), "ms")
    forward, sampler = step_times(report, model)
    states = sum(2 * layer.keys[:, :, : 12 + STEPS // 2].numel() for layer in decoder.cache.layers)
    floor = 2 * (weights + states) / report.bandwidth * 1e3
    whole = forward + sampler
    note = f"forward {forward:.3f}, sampler {sampler:.3f}; all read once {floor:.3f}"
    for what, value, unit, aim in (
        ("captured step", round(whole, 3), "ms", ""),
        ("steps alone", round(rows / whole * 1e3), "tokens/s", goal),
        ("share of the bandwidth roofline", round(floor / whole, 3), "", ""),
        ("batches drawn again", decoder.repeats, "steps", ""),
        ("peak memory", round(torch.cuda.max_memory_allocated() / 2**30, 1), "GiB", ""),
    ):
        report.add(name, f"{rows} rows, {what}", value, unit, aim, note if not aim else "")
        note = ""


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
