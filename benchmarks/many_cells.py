"""Dry runs and plans of a config with 10,000 cells: an arm of `scale`.

No cell is computed: planning reads records, sums and keys, which files of any content have.
"""

import contextlib
import copy
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.common import ROOT, Result

EXPERIMENTS = 200
MODELS = ("tiny", "tiny-2")
# Cells of an experiment on a model: unsteered, and two layers with 2 or 12 coefficients each.
FEW, MANY = 5, 25
# The most seconds.
DRY_RUN, PLAN = 10.0, 20.0
RUNS = 3


def many_cells(tiny, folder: Path) -> list[Result]:
    """200 experiments on two models, with 2,000 cells and with 10,000."""
    few, many = (measured(tiny, folder / f"cells-{each}", each) for each in (FEW, MANY))
    results = []
    for what, (seconds, of_processor, peak) in many.items():
        most = DRY_RUN if "snakemake" in what else PLAN
        before = few[what][2]
        note = f"{of_processor:.1f} s of the processor's time"
        results += [
            Result("scale", f"{what}: 10,000 cells", seconds, "s", most, "at most", note),
            Result(
                "scale",
                f"{what}: peak memory for 10,000 cells over that for 2,000",
                peak / before,
                "times",
                1.2,
                "at most",
                f"{before:.0f}, {peak:.0f} MB",
            ),
        ]
    return results


def config(tiny, cells: int) -> dict:
    """The tiny config with 200 experiments of so many cells on each of two models."""
    settings = tiny.config()
    sweep = settings["experiments"]["sweep"] | {"models": list(MODELS)}
    sweep["conditions"]["actadd"]["additions"][0] |= {
        "layer": [0, 1],
        "coefficient": [step / 10 for step in range(1, (cells + 1) // 2)],
    }
    settings["models"]["tiny-2"] = settings["models"]["tiny"]
    # No two experiments share a cell; written as often as a user would, without YAML's aliases.
    settings["experiments"] = {
        f"sweep-{number}": copy.deepcopy(sweep) | {"samples": 1 + number}
        for number in range(EXPERIMENTS)
    }
    return settings | {"figures": {}, "tables": {}}


def measured(tiny, folder: Path, cells: int) -> dict[str, tuple[float, ...]]:
    """What was run -> what `watched` returns of it."""
    shutil.rmtree(folder, ignore_errors=True)
    settings = config(tiny, cells)
    space = tiny.Workspace.create(folder, folder.parent / "tiny-model", settings)
    dry_run = space.command("-n")
    plan = [sys.executable, "-m", "actadd", "plan"]
    vectors = [f"results/vectors/{model}/love-hate/vector.safetensors" for model in MODELS]
    total = cells * len(MODELS) * EXPERIMENTS
    points = {
        "snakemake -n, nothing made": watched(space, dry_run, "total"),
        "actadd plan, nothing made": watched(space, plan, f"at most {total} to compute"),
    }
    space.run("results/datasets/prompts.parquet", *vectors)
    points["actadd plan, vectors made"] = watched(space, plan, f", {total} to compute")
    write_all_outputs(settings, space.folder)
    points["snakemake -n, all made"] = watched(space, dry_run, "othing to be done")
    return points


def watched(space, command: list[str], expected: str) -> tuple[float, ...]:
    """Seconds, seconds of the processor and peak megabytes of a command: medians of some runs.

    expected: what it prints.
    """
    environment = {**space.environment(), "PYTHONPATH": f"workflow:{ROOT}"}
    watch = [sys.executable, "-m", "benchmarks.watch", *command]
    runs = []
    for _ in range(RUNS):
        done = subprocess.run(
            watch, cwd=space.folder, env=environment, capture_output=True, text=True
        )
        assert not done.returncode and expected in done.stdout + done.stderr, done
        runs.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"  {command[2]}: {runs[-1]}", flush=True)
    return tuple(statistics.median(values) for values in zip(*runs, strict=True))


def write_all_outputs(settings: dict, folder: Path) -> None:
    """Files of a kilobyte in place of what is not made yet, and the records of its jobs."""
    from actadd.config.checks import checked
    from actadd.pipeline.graph import Graph

    with contextlib.chdir(folder):
        for job in Graph(checked(settings)).everything():
            if not Path(job.record).exists():
                write_outputs(job)


def write_outputs(job) -> None:
    """Files of a kilobyte in place of what a job makes, and its record."""
    from actadd.pipeline import layout
    from actadd.store import provenance, sums

    folders = layout.STAGES[job.stage].folders
    outputs = {
        Path(path): Path(path, "file") if output in folders else Path(path)
        for output, paths in job.outputs.items()
        for path in paths
        if output != layout.RECORD
    }
    for file in outputs.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(file) * 20)
    read = [Path(file.path) for files in job.inputs.values() for file in files if file.job]
    request = {name: value for name, value in job.request.items() if name != "inputs"}
    provenance.write(
        Path(job.record),
        stage=job.stage,
        facts={},
        outputs=outputs,
        inputs={path: sums.sha256(path) for path in read if path.is_file()},
        **request,
    )
