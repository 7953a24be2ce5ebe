"""Captured steps against references, uncaptured and ordinary steps."""

import statistics
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from actadd.engine.additions import Addition, Gate
from actadd.engine.batching import left_pad
from actadd.engine.decoding import fixed_sampler, static
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.structure import blocks
from benchmarks.gpu.models import (
    PAPER,
    additions,
    drawn,
    graphs,
    prompts,
    random_model,
    starts,
    uncaptured,
)
from benchmarks.gpu.report import Report

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
            failed = [name for name in failed if name not in ("captured", "prompts captured")]
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
    sums = [
        [Addition(each, 1, 3.0, phase="every_step"), Addition(each, 2, 2.0)] for each in several
    ]
    checks["prompts read by a graph"] = all(
        same(model, additions=each, samples=2) for each in (sums, sums[::-1], sums)
    )
    checks["prompts captured"] = starts(model) > 0
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
    # Of the first batch, which is compared with an ordinary step before it is captured.
    kept = static._known(model).decoders.values()
    difference = next((each.difference for each in kept), float("nan"))
    # The first of the two reads its prompts by launches, the second by a graph.
    again = drawn(model, rows, additions=acting)
    with uncaptured():
        eager = drawn(model, rows, additions=acting)
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
    report.add(
        name,
        f"{about}: a step's logits, static against ordinary",
        f"{difference:.1e}",
        "relative difference",
        "",
        "1e-3 at most in float32, 0.2 in bfloat16",
    )
    if dtype == torch.float32:
        ordinary = drawn(model, rows, static_=False, additions=acting)
        share = equal_rows(captured, ordinary)
        report.add(name, f"{about}: captured = ordinary", share, "of rows", whole)
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


def equal_rows(ours: Tensor, theirs: Tensor) -> float:
    """Share of rows with the same tokens."""
    width = min(ours.shape[1], theirs.shape[1])
    same = (ours[:, :width] == theirs[:, :width]).all(dim=1) & (ours.shape[1] == theirs.shape[1])
    return float(same.float().mean())
