"""Disfluency of completions: texts of a prompt as one tree of tokens, or each text a row."""

import numpy as np
import pandas as pd

from benchmarks.common import ROOT, Result, Setup, in_turn, ratio

ITEM = "judge"
# As in the experiment `topic`, for some of its prompts.
PROMPTS, SAMPLES, STEPS, BATCH_ROWS = 16, 6, 24, 128


def run(setup: Setup) -> list[Result]:
    """Both score the same steered completions under the same model; the numbers are compared."""
    from actadd.engine.batching import by_length
    from actadd.engine.logprobs import token_logprobs
    from actadd.engine.tokens import Tokens
    from actadd.models.batch_rows import ROWS_PER_TEXT
    from actadd.scorers.models.perplexity import perplexity

    model, tokens = setup.load(), Tokens(setup.model, literal=True)
    openings = pd.read_csv(ROOT / "workflow/data/openings.csv")["text"][:PROMPTS]
    prompts = [tokens.encode(text) for text in openings]
    drawn = setup.draw(prompts, SAMPLES, STEPS).tolist()
    completions = pd.DataFrame({"prompt": openings.repeat(SAMPLES).to_numpy()})
    completions["completion"] = [
        tokens.continuation(prompts[number // SAMPLES], ids) for number, ids in enumerate(drawn)
    ]
    spec = {
        "model": setup.model.name,
        "dtype": setup.dtype,
        "batch_rows": BATCH_ROWS,
        "compute": {"device": setup.device, "threads": setup.threads},
    }
    pairs = [tokens.split(*texts) for texts in completions.itertuples(index=False)]
    texts = [prompt + completion for prompt, completion in pairs]
    numbers: dict[str, np.ndarray] = {}

    def trees() -> None:
        scores = perplexity.score(completions, spec, setup.model)
        numbers["trees"] = scores["mean_logprob"].to_numpy()

    def rows() -> None:
        means = np.full(len(texts), np.nan)
        for batch in by_length([len(text) for text in texts], BATCH_ROWS // ROWS_PER_TEXT):
            results = token_logprobs(model, [texts[i] for i in batch])
            for i, (logprob, _) in zip(batch, results, strict=True):
                means[i] = float(logprob[len(pairs[i][0]) - 1 :].mean())
        numbers["rows"] = means

    # Whether the model takes trees is tried once for each job, before it is timed here.
    trees()
    by_tree, by_row = in_turn({"trees": trees, "rows": rows}, 3, setup.device).values()
    return [
        ratio(
            ITEM,
            "disfluency of completions, over each text a row of its own",
            by_row,
            by_tree,
            target=1.5,
            bound="at least",
        ),
        Result(ITEM, "a completion", 1000 * min(by_tree) / len(texts), "ms"),
        Result(
            ITEM,
            "largest difference of a mean log-probability",
            float(np.nanmax(np.abs(numbers["trees"] - numbers["rows"]))),
            "nats",
            1e-5,
            "at most",
        ),
    ]
