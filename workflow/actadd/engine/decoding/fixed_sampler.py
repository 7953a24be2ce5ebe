"""The sampler without a shape or a step that depends on the numbers, for captured graphs."""

import torch
from torch import Tensor

from actadd.engine.decoding.sampler import draw
from actadd.engine.decoding.sampling import Sampling

# Tokens among which the mass of top_p is looked for; it nearly always lies in the first few.
KEPT = 128
# Columns of the vocabulary whose greatest score stands for them all in a first search.
GROUP = 64


def fixed_tokens(
    logits: Tensor, counts: Tensor, uniforms: Tensor, sampling: Sampling
) -> tuple[Tensor, Tensor, Tensor]:
    """The next token of each row, as `sampler.next_tokens` draws it, up to ties in the order.

    logits: of any float dtype [rows, vocabulary]; counts: at least float32, of the same shape.

    Returns tokens, int64 [rows]; whether the logits are numbers, bool [rows]; and whether the
    token is right, bool [rows]: not if the mass of top_p reaches beyond `KEPT` tokens.
    """
    if sampling.temperature == 0:
        largest, tokens = logits.max(dim=-1)
        return tokens, largest.isfinite(), torch.ones_like(tokens, dtype=torch.bool)
    scores = penalised(logits, counts, sampling)
    if sampling.top_p == 0:
        largest, tokens = scores.max(dim=-1)
        return tokens, largest.isfinite(), torch.ones_like(tokens, dtype=torch.bool)
    # A mass of 1 takes all tokens.
    vocabulary = logits.shape[-1]
    kept = min(KEPT, vocabulary) if sampling.top_p < 1 else vocabulary
    ordered, tokens = largest_scores(scores, kept)
    # The greatest score less its logarithm: torch's logsumexp takes twice the time.
    normaliser = ordered[:, :1] - scores.log_softmax(dim=-1).gather(1, tokens[:, :1])
    drawn, reached = draw(ordered, tokens, normaliser, uniforms, sampling.top_p)
    if kept == vocabulary:
        reached = torch.ones_like(reached)
    return drawn, ordered[:, 0].isfinite(), reached


def penalised(logits: Tensor, counts: Tensor, sampling: Sampling) -> Tensor:
    """Scores of the dtype of counts, in whole groups of columns: [rows, columns].

    Columns beyond the vocabulary are -inf. Each pass over the vocabulary costs as much as reading
    it, so the dtype and the width change in the one that has to be.
    """
    rows, vocabulary = logits.shape
    scores = counts.new_empty(rows, -(-vocabulary // GROUP) * GROUP)
    scores[:, vocabulary:].fill_(-torch.inf)
    if sampling.temperature != 1:
        logits = logits.to(counts.dtype) / sampling.temperature
    torch.sub(logits, counts, alpha=sampling.frequency_penalty, out=scores[:, :vocabulary])
    return scores


def largest_scores(scores: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """The `kept` largest scores of each row, in order, and their columns; both [rows, kept].

    scores: [rows, columns], in whole groups. Each of the largest lies in one of the `kept` groups
    that have the largest maxima, so only these are searched.
    """
    rows, columns = scores.shape
    groups = columns // GROUP
    if groups < 2 * kept:
        ordered, tokens = scores.sort(descending=True)
        return ordered[:, :kept], tokens[:, :kept]
    by_group = scores.view(rows, groups, GROUP)
    best = by_group.amax(dim=-1).topk(kept, sorted=False).indices
    candidates = by_group.gather(1, best[:, :, None].expand(-1, -1, GROUP)).view(rows, -1)
    ordered, index = candidates.topk(kept)
    tokens = best.gather(1, index // GROUP) * GROUP + index % GROUP
    return ordered, tokens
