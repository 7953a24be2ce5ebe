"""Time and memory by the number of cells, prompts and samples, on a tiny model."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.common import ROOT, Result, Setup
from benchmarks.many_cells import many_cells

ITEM = "scale"
AXES = {
    "cells": [10, 100, 1000],
    "prompts": [100, 1000, 10_000],
    "samples": [100, 1000, 10_000],
}
STEPS = 8


def run(setup: Setup) -> list[Result]:
    """Each point in a separate process; then the workflow on 1,000 cells, and without changes."""
    sys.path.insert(0, str(ROOT / "tests"))
    from actadd.models.preparation import prepare
    from builders import tiny

    folder = setup.scratch / "scale"
    shutil.rmtree(folder, ignore_errors=True)
    source = tiny.make_model(folder / "tiny-model")
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    prepare(entry, source, folder / "tiny")
    results = []
    for axis, counts in AXES.items():
        points = []
        for count in counts:
            command = [sys.executable, "-m", "benchmarks.scale", str(folder), axis, str(count)]
            process = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
            points.append(json.loads(process.stdout.splitlines()[-1]))
            print(f"  {count} {axis}: {points[-1]}", flush=True)
        _, middle, largest = points
        growth = counts[-1] / counts[-2]
        results += [
            Result(
                ITEM,
                f"time for {counts[-1]} {axis} over {growth:g} times that for {counts[-2]}",
                largest["seconds"] / middle["seconds"] / growth,
                "times",
                1.2,
                "at most",
                ", ".join(f"{point['seconds']:.1f} s" for point in points),
            ),
            Result(
                ITEM,
                f"peak memory for {counts[-1]} {axis} over that for {counts[-2]}",
                largest["megabytes"] / middle["megabytes"],
                "times",
                1.2,
                "at most",
                ", ".join(f"{point['megabytes']:.0f}" for point in points)
                + " MB, of which on top of the loaded model "
                + ", ".join(f"{point['work']:.0f}" for point in points),
            ),
        ]
    return [*results, *no_op(tiny, folder), *many_cells(tiny, folder)]


def no_op(tiny, folder: Path) -> list[Result]:
    """The time of a dry run with 1,000 finished cells."""
    settings = tiny.config()
    sweep = settings["experiments"]["sweep"]
    coefficients = [round(0.01 * number, 2) for number in range(1, 500)]
    sweep["conditions"]["actadd"]["additions"][0] |= {
        "layer": [0, 1],
        "coefficient": [*coefficients, 5],
    }
    settings["experiments"] = {"sweep": sweep}
    settings |= {"figures": {}, "tables": {}, "lenses": {}, "overheads": {}}
    settings.pop("comparison", None)
    space = tiny.Workspace.create(folder / "space", folder / "tiny-model", settings)
    start = time.perf_counter()
    space.run()
    first = time.perf_counter() - start
    return [
        Result(
            ITEM,
            "snakemake -n with 1,001 finished cells",
            dry_run_seconds(space),
            "s",
            5.0,
            "at most",
            f"the run itself: {first:.0f} s",
        )
    ]


def dry_run_seconds(space) -> float:
    """The median of three dry runs of a workspace in which nothing is to be done."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        printed = space.run("-n")
        seconds.append(time.perf_counter() - start)
        assert re.search("nothing to be done", printed, flags=re.IGNORECASE), printed
    return sorted(seconds)[1]


def measure_point(folder: Path, axis: str, count: int) -> dict[str, float]:
    """Seconds and peak megabytes of an experiment with `count` cells, prompts or samples."""
    import numpy as np

    from actadd.data.datasets import prepare
    from actadd.measure.measurement import measure
    from actadd.models.loading import load
    from actadd.vectors.vector_files import write_vector

    here = folder / f"{axis}-{count}"
    number = {name: count if name == axis else 1 for name in AXES}
    texts = [f"I went up to my friend {i} and said" for i in range(number["prompts"])]
    prepare({"name": "p", "title": "p", "texts": texts}, None, here / "p.parquet")
    vector = np.random.default_rng(0).standard_normal((3, 32), dtype=np.float32)
    file = here / "v" / "vector.safetensors"
    write_vector(file, {1: vector})
    sweep = [0.01 * (1 + cell) for cell in range(number["cells"])]
    addition = {"vector": "v", "layer": 1, "coefficient": sweep}
    spec = {
        "name": "e",
        "measure": "completions",
        "model": "tiny",
        "prompts": {"split": "all"},
        "samples": 16 if axis == "cells" else number["samples"],
        "max_new_tokens": STEPS,
        "seed": 0,
        "sampling": {"temperature": 1, "top_p": 0.3, "frequency_penalty": 1},
        "batch_rows": 128,
        "dtype": "float32",
        "compute": {"device": "cpu", "threads": 1},
        "conditions": {"actadd": {"method": "actadd", "additions": [addition]}},
    }
    load(folder / "tiny", dtype="float32", device="cpu", threads=1)
    before = peak_megabytes()
    start = time.perf_counter()
    measure(
        spec,
        model_dir=folder / "tiny",
        texts_file=here / "p.parquet",
        vector_files={"v": file},
        choice=None,
        store=here / "store",
        output=here / "o.parquet",
    )
    seconds = time.perf_counter() - start
    peak = peak_megabytes()
    return {"seconds": seconds, "megabytes": peak, "work": peak - before}


def peak_megabytes() -> float:
    """The peak memory of this process. (That of `resource` includes its parent's.)"""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024


if __name__ == "__main__":
    print(json.dumps(measure_point(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
