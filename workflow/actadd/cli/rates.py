"""Tokens per second that this machine draws and reads, measured once for estimates."""

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
# The conditions of a rate; it differs with the number of rows, threads and GPUs.
CONDITIONS = ("model", "dtype", "compute", "batch_rows")
PROMPT = "I went up to my friend and said that the weather was"
WARMUP, STEPS, LENGTH = 2, 12, 64


def machine() -> dict[str, Any]:
    """The machine of a rate: the processor's name and its number of cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return {"processor": processor, "cores": os.cpu_count()}


def measure(model_dir: Path, *, dtype: str, compute: dict[str, Any], rows: int) -> dict[str, Any]:
    """Tokens per second that a prepared model draws, and reads, in batches of `rows`.

    compute: device, threads and what a large model needs, as in a job's settings. Takes some
    seconds for a model of 135 million parameters.
    """
    import torch

    from actadd.engine.batching import left_pad, padded_width
    from actadd.engine.decoding.generation import generate
    from actadd.engine.decoding.sampling import Sampling
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
    """Add rates to those of this machine; replaces rates of the same conditions."""
    by_conditions = {_conditions(rate): rate for rate in (*known(file), *rates)}
    write_json(file, {"machine": machine(), "rates": list(by_conditions.values())})


def known(file: Path = FILE) -> list[dict[str, Any]]:
    """The rates of this machine; none if the file is another machine's or does not exist."""
    if not file.is_file():
        return []
    record = read_json(file)
    return record["rates"] if record["machine"] == machine() else []


def rate_for(rates: list[dict[str, Any]], **conditions: Any) -> dict[str, Any] | None:
    """The rate measured under exactly these conditions."""
    return next((rate for rate in rates if _conditions(rate) == _conditions(conditions)), None)


def _conditions(rate: dict[str, Any]) -> str:
    return canonical_json([rate[name] for name in CONDITIONS])
