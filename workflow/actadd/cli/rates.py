"""How fast this machine draws and reads tokens, measured once and kept for estimates."""

import os
import platform
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from actadd.base.files import canonical_json, read_json, write_json
from actadd.pipeline import layout

FILE = Path(layout.RATES)
# What a rate holds for; another number of rows, threads or GPUs has another one.
CONDITIONS = ("model", "dtype", "compute", "batch_rows")
PROMPT = "I went up to my friend and said that the weather was"
WARMUP, STEPS, LENGTH = 2, 12, 64


def machine() -> dict[str, Any]:
    """What a rate was measured on: the processor's name and its cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return {"processor": processor, "cores": os.cpu_count()}


def measure(model_dir: Path, *, dtype: str, compute: dict[str, Any], rows: int) -> dict[str, Any]:
    """Tokens that a prepared model draws, and reads, in a second, in batches of so many rows.

    compute: where it runs, as a job's spec has it: device, threads and what a large model needs.
    Some seconds of work for a model of 135 million parameters.
    """
    import torch

    from actadd.engine.batching import left_pad, padded_width
    from actadd.engine.drawing.generation import generate
    from actadd.engine.drawing.sampling import Sampling
    from actadd.engine.logprobs import token_logprobs
    from actadd.engine.tokens import Tokens
    from actadd.models.batch_rows import ROWS_PER_TEXT
    from actadd.models.loading import load

    with redirect_stdout(sys.stderr):
        model = load(model_dir, dtype=dtype, **compute)
    ids = Tokens(model_dir).encode(PROMPT)
    # About as long as the texts whose log-probabilities are measured.
    text = (ids * LENGTH)[:LENGTH]

    def draw(steps: int) -> float:
        start = time.perf_counter()
        generate(
            model,
            *left_pad([ids], width=padded_width(len(ids))),
            sampling=Sampling(),
            uniforms=torch.full((rows, steps), 0.5, dtype=torch.float64),
            max_new_tokens=steps,
            samples=rows,
        )
        return time.perf_counter() - start

    def read(texts: int) -> float:
        start = time.perf_counter()
        token_logprobs(model, [text] * texts)
        return time.perf_counter() - start

    draw(WARMUP)
    drawing = draw(STEPS)
    texts = max(1, rows // ROWS_PER_TEXT)
    read(1)
    return {
        "model": model_dir.name,
        "dtype": dtype,
        "compute": compute,
        "batch_rows": rows,
        "drawn": rows * STEPS / drawing,
        "read": texts * len(text) / read(texts),
    }


def keep(rates: list[dict[str, Any]], file: Path = FILE) -> None:
    """Adds rates to those that were measured on this machine; the same conditions are replaced."""
    found = {_conditions(rate): rate for rate in (*known(file), *rates)}
    write_json(file, {"machine": machine(), "rates": list(found.values())})


def known(file: Path = FILE) -> list[dict[str, Any]]:
    """The rates measured on this machine; none if the file is another's or not there."""
    if not file.is_file():
        return []
    found = read_json(file)
    return found["rates"] if found["machine"] == machine() else []


def rate_for(rates: list[dict[str, Any]], **conditions: Any) -> dict[str, Any] | None:
    """The rate measured under exactly these conditions."""
    return next((rate for rate in rates if _conditions(rate) == _conditions(conditions)), None)


def _conditions(rate: dict[str, Any]) -> str:
    return canonical_json([rate[name] for name in CONDITIONS])
