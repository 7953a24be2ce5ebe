"""Steered sampling, log-probabilities and judging in float32, mixed and bfloat16."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import PROMPTS, ROOT, Result, Setup, in_turn, ratio, uniforms

ITEM = "dtype"
DTYPES = ("float32", "mixed", "bfloat16")
SAMPLES, STEPS = 16, 40
TEXTS, COEFFICIENTS = 32, [0.5, 1.0, 2.0, 4.0]
JUDGED, COMPLETIONS, BATCH_ROWS = 16, 6, 128


def run(setup: Setup) -> list[Result]:
    """The same work in each dtype, in turns; log-probabilities are also compared."""
    from actadd.models.loading import _load, load

    if setup.device != "cpu":
        raise SystemExit("item dtype: `mixed` is for a CPU; leave out --device cuda")
    models = {}
    # From the vectors of one dtype, so that all arms add the same.
    additions = [setup.addition(6, coefficient) for coefficient in COEFFICIENTS]
    for dtype in DTYPES:
        # Otherwise a model is freed when the next one is loaded.
        _load.cache_clear()
        models[dtype] = load(setup.model, dtype=dtype, device="cpu", threads=setup.threads)
    numbers: dict[str, dict[str, np.ndarray]] = {}
    results = []
    for what, work in {
        f"steered sampling, {SAMPLES * len(PROMPTS)} rows": sampling(setup, additions[-1]),
        "log-probabilities under 4 coefficients": sweep(setup, additions),
        "disfluency of completions": judging(setup),
    }.items():
        arms = {dtype: partial(work, model) for dtype, model in models.items()}
        numbers[what] = {dtype: arm() for dtype, arm in arms.items()}
        seconds = in_turn(arms, 4, setup.device)
        for dtype in DTYPES[1:]:
            results.append(
                ratio(ITEM, f"{what}: {dtype} over float32", seconds["float32"], seconds[dtype])
            )
        results.append(
            Result(ITEM, f"{what}: float32", min(seconds["float32"]), "s", note="the fastest round")
        )
    for what, values in list(numbers.items())[1:]:
        for dtype in DTYPES[1:]:
            off = np.abs(values[dtype] - values["float32"])
            about = "a token" if "coefficients" in what else "a completion, in the mean"
            results.append(
                Result(ITEM, f"log-probability of {about}: {dtype} off by", off.mean(), "nats")
            )
    return results


def sampling(setup: Setup, addition: Any) -> Any:
    """Draws steered samples of each prompt with a model; no numbers."""
    from actadd.engine.batching import left_pad, padded_width
    from actadd.engine.decoding.generation import generate
    from actadd.engine.decoding.sampling import Sampling

    rows = [setup.tokens().encode(prompt) for prompt in PROMPTS]
    ids, mask = left_pad(rows, width=padded_width(max(map(len, rows))))

    def work(model: Any) -> np.ndarray:
        return generate(
            model,
            ids,
            mask,
            additions=[[addition]] * len(rows),
            sampling=Sampling(top_p=0.3, frequency_penalty=1.0),
            uniforms=uniforms(SAMPLES * len(rows), STEPS),
            max_new_tokens=STEPS,
            samples=SAMPLES,
        ).numpy()

    return work


def sweep(setup: Setup, additions: list[Any]) -> Any:
    """Measures texts under each addition; the log-probabilities of all tokens."""
    from actadd.engine.batching import by_length
    from actadd.engine.logprobs import swept_logprobs
    from actadd.models.batch_rows import ROWS_PER_TEXT

    tokens = setup.tokens()
    texts = pd.read_csv(ROOT / "workflow/data/essays.csv")["text"].sample(TEXTS, random_state=0)
    rows = [tokens.encode(text) for text in texts]
    batches = list(by_length([len(row) for row in rows], BATCH_ROWS // ROWS_PER_TEXT))

    def work(model: Any) -> np.ndarray:
        measured = [
            logprob.numpy()
            for batch in batches
            for cell in swept_logprobs(
                model, [rows[i] for i in batch], [[[each]] * len(batch) for each in additions]
            )
            for logprob, _ in cell
        ]
        return np.concatenate(measured)

    return work


def judging(setup: Setup) -> Any:
    """Judges completions, as the scorer `perplexity` does; the mean log-probability of each."""
    from actadd.engine.packed_products import packed
    from actadd.engine.token_trees import continuation_logprobs
    from actadd.engine.tokens import Tokens
    from actadd.models.batch_rows import ROWS_PER_TEXT

    tokens = Tokens(setup.model, literal=True)
    openings = pd.read_csv(ROOT / "workflow/data/openings.csv")["text"][:JUDGED]
    prompts = [tokens.encode(text) for text in openings]
    drawn = setup.draw(prompts, COMPLETIONS, 24).tolist()
    pairs = []
    for number, ids in enumerate(drawn):
        prompt = number // COMPLETIONS
        pairs.append(tokens.split(openings[prompt], tokens.continuation(prompts[prompt], ids)))

    def work(model: Any) -> np.ndarray:
        means = np.full(len(pairs), np.nan)
        for i, logprobs in continuation_logprobs(packed(model), pairs, BATCH_ROWS // ROWS_PER_TEXT):
            means[i] = float(logprobs.mean())
        return means

    return work
