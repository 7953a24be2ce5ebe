"""Steered sampling on one NVIDIA GPU: `benchmarks/gpu.sh`, see benchmarks/README.md.

Parts run in order of worth, each within its own time, and write their rows as soon as they have
them, so that a part that fails or takes too long costs no other.
"""

import argparse
import json
import platform
import signal
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers as tf

from actadd.engine.decoding import decode_kernel, gate_kernel, rotary_kernel, static
from benchmarks.gpu.correctness import families, large_correctness
from benchmarks.gpu.memory import out_of_memory
from benchmarks.gpu.parts import attention_parts, fused_parts, profile, sampler_parts
from benchmarks.gpu.report import Report
from benchmarks.gpu.speed import compiled, speed_gpt2, speed_llama, speed_opt


def machine(report: Report) -> None:
    """The machine, and the two ceilings: a copy and matrix products."""
    usable = {
        str(dtype): decode_kernel.is_usable(report.device, dtype)
        for dtype in (torch.bfloat16, torch.float32)
    }
    about = {
        "decode kernel": str(usable),
        "heads that share a key together": str(
            decode_kernel.by_group(report.device, torch.bfloat16) if report.cuda else False
        ),
        "gate kernel": str(gate_kernel.is_usable(report.device, torch.bfloat16)),
        "rotary kernel": str(rotary_kernel.is_usable(report.device, torch.bfloat16)),
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


# Part -> seconds that it may take.
PARTS: dict[Callable[[Report], None], int] = {
    machine: 40,
    families: 70,
    large_correctness: 50,
    speed_gpt2: 90,
    speed_llama: 110,
    speed_opt: 70,
    fused_parts: 20,
    attention_parts: 30,
    sampler_parts: 20,
    profile: 40,
    out_of_memory: 30,
    compiled: 100,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/gpu"))
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
