"""Disfluency: the perplexity of a completion, given its prompt, under a named language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.errors import CellError
from actadd.base.kinds import option
from actadd.scorers.kinds import Job, Options, scorer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class PerplexityOptions(Options):
    model: str = option("Model under which perplexity is measured.", section="models")


@scorer(PerplexityOptions, metrics={"perplexity": False, "mean_logprob": False}, reads="model")
def perplexity(table: pd.DataFrame, options: PerplexityOptions, job: Job) -> pd.DataFrame:
    """Disfluency. perplexity: exp of the mean negative log-probability of the completion's tokens
    given the prompt; mean_logprob: that mean (natural logarithm).

    Both are NaN for a completion without tokens. The judge reads text, not the generator's token
    ids: it may have another tokenizer. Raises CellError if a text is too long for the judge, or its
    logits are not finite.
    """
    import numpy as np
    import pandas as pd

    from actadd.base.progress import count_tokens
    from actadd.engine.batching import by_length
    from actadd.engine.logprobs import token_logprobs
    from actadd.engine.tokens import Tokens
    from actadd.models.batch_rows import ROWS_PER_TEXT
    from actadd.models.loading import load

    # Generated text may spell out a special token; to the judge it is text like any other.
    tokens = Tokens(job.path, literal=True)
    pairs = [
        tokens.split(prompt, completion)
        for prompt, completion in zip(table["prompt"], table["completion"], strict=True)
    ]
    rows = [prompt + completion for prompt, completion in pairs]
    longest = max(map(len, rows))
    if tokens.context and longest > tokens.context:
        raise CellError(
            f"{job.key}: a prompt and its completion are {longest} tokens to the "
            f"judge, and {tokens.model} reads at most {tokens.context}; take another model, or a "
            "smaller max_new_tokens"
        )
    model = load(job.path, dtype=job.dtype, **job.compute)
    means = np.full(len(rows), np.nan)
    size = max(1, job.batch_rows // ROWS_PER_TEXT)
    for batch in by_length([len(row) for row in rows], size):
        for index, (logprob, _) in zip(
            batch, token_logprobs(model, [rows[i] for i in batch]), strict=True
        ):
            prompt, completion = pairs[index]
            if not bool(logprob.isfinite().all()):
                raise CellError(
                    f"{job.key}: the judge's logits are not numbers; take another "
                    f"dtype for models.{options.model}"
                )
            if completion:
                means[index] = float(logprob[len(prompt) - 1 :].mean())
        count_tokens(sum(len(rows[i]) for i in batch))
    return pd.DataFrame({"perplexity": np.exp(-means), "mean_logprob": means}, index=table.index)
