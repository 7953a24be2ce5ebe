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
    from actadd.engine.packed_products import packed
    from actadd.engine.token_trees import continuation_logprobs
    from actadd.engine.tokens import Tokens
    from actadd.models.batch_rows import ROWS_PER_TEXT
    from actadd.models.loading import load

    # Generated text may spell out a special token; to the judge it is text like any other.
    tokens = Tokens(job.path, literal=True)
    pairs = [
        tokens.split(prompt, completion)
        for prompt, completion in zip(table["prompt"], table["completion"], strict=True)
    ]
    lengths = [len(prompt) + len(completion) for prompt, completion in pairs]
    if tokens.context and max(lengths) > tokens.context:
        raise CellError(
            f"{job.key}: a prompt and its completion are {max(lengths)} tokens to the "
            f"judge, and {tokens.model} reads at most {tokens.context}; take another model, or a "
            "smaller max_new_tokens"
        )
    model = packed(load(job.path, dtype=job.dtype, **job.compute))
    means = np.full(len(pairs), np.nan)
    size = max(1, job.batch_rows // ROWS_PER_TEXT)
    for index, logprobs in continuation_logprobs(model, pairs, size):
        if not bool(logprobs.isfinite().all()):
            raise CellError(
                f"{job.key}: the judge's logits are not numbers; take another "
                f"dtype for models.{options.model}"
            )
        means[index] = float(logprobs.mean())
        count_tokens(lengths[index])
    return pd.DataFrame({"perplexity": np.exp(-means), "mean_logprob": means}, index=table.index)
