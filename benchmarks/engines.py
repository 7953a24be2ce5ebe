"""Steered sampling against other inference engines without steering: llama.cpp and vLLM."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import against_peers, llama_cpp
from benchmarks.against_peers import SCRIPTS
from benchmarks.common import PROMPTS, Result, Setup, in_turn, ratio, timed
from benchmarks.engine_process import Engine, NotRun

ITEM = "engines"
SAMPLES, STEPS, ROUNDS = 16, 40, 2
WORK = {"samples": SAMPLES, "tokens": STEPS}
SLOTS = (32, 64)
GOALS = {"float32": 2.0, "bfloat16": 3.0}
LLAMA = "llama.cpp, Q4_1"


def run(setup: Setup) -> list[Result]:
    """128 rows x 40 tokens by every engine, then a grid of settings, a run each for llama.cpp."""
    if (setup.device, setup.dtype) != ("cpu", "float32"):
        print("  left out: it compares dtypes and quantisations of a CPU by itself", flush=True)
        return []
    installed = _installed(setup)
    with one_core(setup.threads):
        return [*_throughput(setup, installed), *_grid(setup, installed)]


def _installed(setup: Setup) -> dict[str, Path | Exception]:
    """Each engine's environment, or why there is none; before the cores are limited."""
    llama_cpp.built(setup.scratch)
    environments: dict[str, Path | Exception] = {}
    for script in ("llama_cpp", "vllm"):
        try:
            environments[script] = against_peers.environment(script, setup.scratch)
        except (subprocess.SubprocessError, OSError) as error:
            environments[script] = error
    return environments


def _throughput(setup: Setup, installed: dict[str, Path | Exception]) -> list[Result]:
    """Tokens per second of each arm, and ours over each of the others at its best."""
    ours = _ours(setup)
    results, others = [], {}
    with ExitStack() as stack:
        for name, start in _starts(setup, installed).items():
            try:
                engine = stack.enter_context(start())
            except (NotRun, subprocess.SubprocessError, OSError) as error:
                results.append(_missing(f"{name}: tokens per second", "tokens/s", error))
            else:
                build = engine.about.get("build")
                others[f"{name}, {build}" if build else name] = engine.draw
        seconds = in_turn({**ours, **others}, ROUNDS, setup.device)
    tokens = len(PROMPTS) * SAMPLES * STEPS
    for name, rounds in seconds.items():
        speed = tokens / min(rounds)
        results.append(Result(ITEM, f"{name}: tokens per second", speed, "tokens/s"))
    for dtype in _dtypes():
        mine = seconds[f"ours, steered, {dtype}"]
        for engine in ("llama.cpp", "vLLM"):
            arms = {name: seconds[name] for name in others if name.startswith(engine)}
            if arms:
                best = min(arms, key=lambda name: min(arms[name]))
                goal = {"target": GOALS[dtype], "bound": "at least"} if "llama" in engine else {}
                what = f"steered in {dtype}, over {best}"
                results.append(ratio(ITEM, what, arms[best], mine, **goal))
    return results


def _ours(setup: Setup) -> dict[str, Callable[[], None]]:
    """An arm for each dtype, warmed up; both models stay loaded."""
    from actadd.engine.batching import padded_width

    encoded = [setup.tokens().encode(prompt) for prompt in PROMPTS]
    width = padded_width(max(map(len, encoded)))

    def draw(setup: Setup, model: Any, steps: int = STEPS) -> None:
        written = setup.draw(encoded, SAMPLES, steps, width, model)
        assert written.shape == (len(encoded) * SAMPLES, steps)

    arms = {}
    for dtype in _dtypes():
        one = replace(setup, dtype=dtype)
        model = one.load()
        draw(one, model, 2)
        arms[f"ours, steered, {dtype}"] = partial(draw, one, model)
    return arms


def _dtypes() -> list[str]:
    """Bfloat16 only where the processor multiplies it."""
    import torch

    return ["float32", *(["bfloat16"] if torch.cpu._is_avx512_bf16_supported() else [])]


def _starts(setup: Setup, installed: dict) -> dict[str, Callable[[], Engine]]:
    starts: dict[str, Callable[[], Engine]] = {}
    for slots in SLOTS:
        name, llama = f"{LLAMA}, {slots} slots", partial(_llama, setup, installed["llama_cpp"])
        starts[name] = partial(llama, f"llama-{slots}", slots=slots)
    for dtype in _dtypes():
        starts[f"vLLM, {dtype}"] = partial(_vllm, setup, installed["vllm"], dtype)
    return starts


def _llama(setup: Setup, python: Path | Exception, name: str, **task: Any) -> Engine:
    """llama.cpp's server on the file that the model was prepared from, by a native build."""
    if isinstance(python, Exception):
        raise python
    folder = setup.model.absolute().parents[1] / "sources" / f"{setup.model.name}-gguf"
    files = sorted(folder.glob("*Q4_1.gguf"))
    if not files:
        raise NotRun(f"no file *Q4_1.gguf in {folder}")
    server = llama_cpp.built(setup.scratch)
    task = {
        **WORK,
        "control": None,
        **task,
        "gguf": str(files[0]),
        "server": server and str(server),
    }
    return Engine(setup, name, SCRIPTS / "run_llama_cpp.py", python, **task)


def _vllm(setup: Setup, python: Path | Exception, dtype: str) -> Engine:
    if isinstance(python, Exception):
        raise python
    return Engine(setup, f"vllm-{dtype}", SCRIPTS / "run_vllm.py", python, dtype=dtype, **WORK)


def _grid(setup: Setup, installed: dict) -> list[Result]:
    """8 settings x 16 samples x 30 tokens: by the pipeline; by llama.cpp with a run per setting.

    A control vector of llama.cpp belongs to a context and is added at every token. The wheel cannot
    load one, so its runs are unsteered. Loading is not timed.
    """
    settings, python = against_peers.SUBSET, installed["llama_cpp"]
    ours = partial(against_peers.ours, setup, settings, "engines")
    ours()
    before, theirs, steered = timed(ours, setup.device), 0.0, True
    work = {
        "samples": against_peers.SAMPLES,
        "tokens": against_peers.STEPS,
        "prompts": [setup.tokens().encode(PROMPTS[0])],
        "slots": against_peers.SAMPLES,
    }
    what = f"grid of {len(settings)} settings, over {LLAMA}, a run per setting"
    try:
        with _llama(setup, python, "llama-plain", **work) as engine:
            plain, build = engine.about["greedy"], engine.about["build"]
            steered = engine.task["server"] is not None
        for layer, coefficient in settings:
            control = f"{control_vector(setup, layer)}:{coefficient}" if steered else None
            with _llama(setup, python, "llama-grid", control=control, **work) as engine:
                if steered and engine.about["greedy"] == plain:
                    raise NotRun(f"layer {layer}, coefficient {coefficient} changes no token")
                seconds = timed(engine.draw, setup.device)
            print(f"  llama.cpp, layer {layer}, coefficient {coefficient}: {seconds:.2f} s")
            theirs += seconds
    except (NotRun, subprocess.SubprocessError, OSError) as error:
        return [_missing(what, "times", error)]
    mine = (before + timed(ours, setup.device)) / 2
    note = f"{theirs:.1f} s against {mine:.1f} s; {build}, {'' if steered else 'un'}steered"
    return [Result(ITEM, what, theirs / mine, "times", note=note)]


def control_vector(setup: Setup, layer: int) -> Path:
    """A control vector of llama.cpp: the pair's difference at its last position."""
    from actadd.vectors.formats.gguf import write
    from actadd.vectors.steering_vectors import SteeringVectors

    path = setup.scratch / "engines" / f"layer-{layer}.gguf"
    write(path, SteeringVectors({layer: setup.vectors()[layer][-1:]}, model="llama"))
    return path.absolute()


def _missing(what: str, unit: str, error: Exception) -> Result:
    reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    print(f"  {what}: " + "\n".join(reason[-10:]), flush=True)
    return Result(ITEM, what, float("nan"), unit, note=f"could not be run: {reason[-1][:200]}")


@contextmanager
def one_core(threads: int) -> Iterator[None]:
    """This process, and those that it starts, on as many cores as threads, the same for all."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[-threads:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
