"""A batch that does not fit is halved."""

from collections.abc import Iterator

import torch

from actadd.engine.batching import halving
from actadd.engine.decoding import static
from actadd.engine.decoding.generation import generate
from benchmarks.gpu.models import PAPER, noise, prompts, random_model
from benchmarks.gpu.report import Report


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
