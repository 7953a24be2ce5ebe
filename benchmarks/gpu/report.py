"""Rows of results, each written as soon as it is there."""

import csv
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

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
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()


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
