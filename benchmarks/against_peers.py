"""A grid of settings against other steering libraries, each in a separate environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from benchmarks.common import PAIR, PROMPTS, Result, Setup, timed

ITEM = "peers"
LAYERS = [6, 12, 18, 24]
COEFFICIENTS = [-8, -4, -2, -1, 1, 2, 4, 8]
SAMPLES, STEPS = 16, 30
# Every setting costs the same. The others are timed on 8 of the 32, two at every layer, and
# compared with ours on the same 8, which fill one batch, as all 32 fill four.
SUBSET = [(layer, coefficient) for layer in LAYERS for coefficient in (-4, 4)]
SCRIPTS = Path(__file__).parent / "peers"
PEERS = {
    "the authors' way": "plain",
    "repeng": "repeng",
    "steering-vectors": "steering_vectors",
    "pyvene": "pyvene",
    "nnsight": "nnsight",
}


def run(setup: Setup) -> list[Result]:
    """Timings in batches of a setting, one completion a call, and all settings as one batch."""
    if (setup.device, setup.dtype) != ("cpu", "float32"):
        print("  left out: the other libraries' scripts run in float32 on a CPU", flush=True)
        return []
    setup.load()
    grid = [(layer, coefficient) for layer in LAYERS for coefficient in COEFFICIENTS]
    whole = timed(lambda: ours(setup, grid, "grid"), setup.device)
    completions = len(grid) * SAMPLES
    results = [
        Result(
            ITEM,
            "the whole grid, 512 completions, by the pipeline",
            completions / whole,
            "completions/s",
            note=f"{whole:.1f} s, writing included",
        )
    ]
    for name, script in PEERS.items():
        try:
            results += against(setup, name, script)
        except (subprocess.SubprocessError, OSError) as error:
            message = getattr(error, "stderr", None) or str(error)
            message = message.decode() if isinstance(message, bytes) else message
            reason = message.strip() or str(error)
            print(f"  {name}: {reason[-2000:]}", flush=True)
            results.append(
                Result(
                    ITEM,
                    f"over {name}, 16 samples batched",
                    float("nan"),
                    "times",
                    3.0,
                    "at least",
                    "could not be run: " + reason.splitlines()[-1][:200],
                )
            )
    return results


def against(setup: Setup, name: str, script: str) -> list[Result]:
    """One peer, compared with ours on the same settings immediately before and after it."""
    python = environment(script, setup.scratch)
    before = timed(lambda: ours(setup, SUBSET, script), setup.device)
    batched = peer(setup, python, script, "batched", SUBSET, SAMPLES)
    after = timed(lambda: ours(setup, SUBSET, script), setup.device)
    single = peer(setup, python, script, "single", SUBSET[::4], 2)
    best = peer(setup, python, script, "best", SUBSET, SAMPLES)
    seconds = (before + after) / 2 / (len(SUBSET) * SAMPLES)
    label = f"{name} {batched['version']}" if name != "the authors' way" else name
    version = f"transformers {batched['transformers']}"
    results = [
        Result(
            ITEM,
            f"over {label}, 16 samples batched",
            per_completion(batched) / seconds,
            "times",
            3.0,
            "at least",
            f"8 of 32 settings; {1 / per_completion(batched):.1f} completions/s; {version}",
        ),
        Result(
            ITEM,
            f"over {label}, one completion a call",
            per_completion(single) / seconds,
            "times",
            10.0,
            "at least",
            f"{single['completions']} completions, scaled; {1 / per_completion(single):.2f} "
            "completions/s",
        ),
    ]
    for mode in (batched, single, best):
        if mode.get("supported", True) and not mode["steered"]:
            raise subprocess.SubprocessError(f"{name} did not steer in mode {mode['mode']}")
    if best.get("supported", True):
        results.append(
            Result(
                ITEM,
                f"over {label} at its best, settings batched too",
                per_completion(best) / seconds,
                "times",
                note=f"{1 / per_completion(best):.1f} completions/s",
            )
        )
    return results


def per_completion(result: dict) -> float:
    return sum(result["seconds"]) / result["completions"]


def ours(setup: Setup, settings: list[tuple[int, float]], name: str) -> None:
    """The grid as an experiment of the pipeline, from its vectors to the written table."""
    from actadd.data.datasets import prepare
    from actadd.measure.measurement import measure
    from actadd.vectors.vector_files import write_vector

    folder = setup.scratch / "grid"
    prompts = folder / "prompts.parquet"
    prepare({"name": "prompts", "title": "prompts", "texts": PROMPTS[:1]}, None, prompts)
    file = folder / "love-hate" / "vector.safetensors"
    write_vector(file, dict(enumerate(setup.vectors())))
    conditions = {
        f"layer-{layer}-coefficient-{coefficient:g}": {
            "method": "actadd",
            "additions": [{"vector": "love-hate", "layer": layer, "coefficient": coefficient}],
        }
        for layer, coefficient in settings
    }
    spec = {
        "name": name,
        "measure": "completions",
        "model": setup.model.name,
        "prompts": {"split": "all"},
        "samples": SAMPLES,
        "max_new_tokens": STEPS,
        "seed": 0,
        "sampling": {"temperature": 1, "top_p": 0.3, "frequency_penalty": 1},
        "batch_rows": 128,
        "dtype": setup.dtype,
        "compute": {"device": setup.device, "threads": setup.threads},
        "conditions": conditions,
    }
    # A new store for each call, so that every cell is computed.
    store = folder / f"store-{pd.Timestamp.now().value}"
    measure(
        spec,
        model_dir=setup.model,
        texts_file=prompts,
        vector_files={"love-hate": file},
        choice=None,
        store=store,
        output=folder / "completions.parquet",
    )
    assert len(pd.read_parquet(folder / "completions.parquet")) == len(settings) * SAMPLES


def environment(script: str, scratch: Path) -> Path:
    """The Python of a peer's environment, which is installed if it does not exist."""
    requirements = SCRIPTS / "requirements" / f"{script.replace('_', '-')}.txt"
    if not requirements.exists():
        return Path(sys.executable)
    folder = scratch / "environments" / script
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists() or done.read_text() != requirements.read_text():
        print(f"  making the environment of {script}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--requirement", requirements]
        # A whole list of pins, without what its engine asks for and does not use.
        install += ["--no-deps"] if "--no-deps" in requirements.read_text() else []
        subprocess.run(install, check=True, capture_output=True, text=True)
        done.write_text(requirements.read_text())
    return python.absolute()


def peer(
    setup: Setup,
    python: Path,
    script: str,
    mode: str,
    settings: list[tuple[int, float]],
    samples: int,
) -> dict:
    """The result of a peer's script, which loads and warms up before it measures time."""
    task = {
        "model": str(setup.model.absolute()),
        "scratch": str((setup.scratch / "peers").absolute()),
        "positive": PAIR["positive"],
        "negative": PAIR["negative"],
        "prompt": PROMPTS[0],
        "bos": setup.tokens().token(setup.tokens().bos_id),
        "settings": settings,
        "samples": samples,
        "tokens": STEPS,
        "sampling": {"temperature": 1, "top_p": 0.3, "frequency_penalty": 1},
        "threads": setup.threads,
    }
    path = setup.scratch / "peers" / f"{script}-{mode}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(task))
    command = [python, SCRIPTS / f"run_{script}.py", "--task", path, "--mode", mode]
    environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=900, env=environment
    )
    result = json.loads(printed.stdout.strip().splitlines()[-1])
    print(f"  {script}, {mode}: {result.get('seconds') or result.get('why')}", flush=True)
    return result
