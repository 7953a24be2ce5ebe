"""The overhead of a sweep of small cells in the workflow, besides its arithmetic."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from actadd.models.preparation import parameters_of
from benchmarks.common import PAIR, PROMPTS, ROOT, Result, Setup

ITEM = "warm work"
COEFFICIENTS = [-8, -4, -2, -1, 1, 2, 4, 8]


def experiment(layers: list[int]) -> dict:
    """32 cells of 16 completions of 30 tokens each."""
    addition = {"vector": "love-hate", "layer": layers, "coefficient": COEFFICIENTS}
    return {
        "title": "a sweep",
        "measure": "completions",
        "models": ["subject"],
        "prompts": {"dataset": "prompts", "split": "all"},
        "samples": 16,
        "max_new_tokens": 30,
        "conditions": {"actadd": {"method": "actadd", "additions": [addition]}},
    }


def run(setup: Setup) -> list[Result]:
    """The workflow from cached activations and vectors to the table of completions, twice."""
    folder = setup.scratch / "warm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokens = setup.tokens()
    compute = {"device": setup.device, "threads": setup.threads, "batch_rows": 128}
    settings = {
        "seed": 0,
        "scorers": {},
        "figures": {},
        "compute": compute,
        "sources": {"subject": {"type": "path", "path": str(setup.model.absolute())}},
        "models": {
            "subject": {
                "source": "subject",
                "format": "transformers",
                "layers": len(setup.vectors()),
                "parameters": parameters_of(setup.model),
                "bos": tokens.token(tokens.bos_id),
                "stop": [],
                "pad": " ",
                "dtype": setup.dtype,
                "licence": "see the model",
            }
        },
        "datasets": {"prompts": {"title": "one prompt", "texts": PROMPTS[:1]}},
        "vectors": {"love-hate": {k: v for k, v in PAIR.items() if k != "name"}},
        "experiments": {
            "first": experiment([6, 12, 18, 24]),
            "second": experiment([5, 11, 17, 23]),
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    workflow(
        folder, "results/vectors/subject/love-hate/norms.csv", "results/datasets/prompts.parquet"
    )
    results, loads = [], []
    for name in ("first", "second"):
        start = time.perf_counter()
        workflow(folder, f"results/completions/subject/{name}.parquet")
        wall = time.perf_counter() - start
        logs = list((folder / "results/logs/completions").rglob(f"{name}*.log"))
        text = "".join(path.read_text() for path in logs)
        generating = sum(map(float, re.findall(r"of which ([\d.]+) s generating", text)))
        loads.append(len(re.findall(r"^loaded ", text, flags=re.MULTILINE)))
        print(f"  {name}: {wall:.1f} s, generating {generating:.1f} s", flush=True)
        results.append(
            Result(
                ITEM,
                f"{name} sweep of 32 cells: time outside arithmetic and sampling",
                100 * (1 - generating / wall),
                "%",
                15.0,
                "at most",
                f"{wall:.1f} s in all, {generating:.1f} s generating",
            )
        )
    results.append(
        Result(
            ITEM, "times the model is loaded for an experiment", max(loads), "loads", 1, "at most"
        )
    )
    return results


def workflow(folder: Path, *targets: str) -> None:
    """Run Snakemake in `folder` on one core, so that nothing disturbs the timing."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    process = subprocess.run(
        [*command, "--directory", folder, *targets], capture_output=True, text=True
    )
    if process.returncode:
        raise RuntimeError(process.stdout + process.stderr)
