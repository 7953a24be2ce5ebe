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

    Returns tokens, int64 [rows]; whether the logits are numbers, bool [rows]; and whether the
    token is right, bool [rows]: not if the mass of top_p reaches beyond `KEPT` tokens.
    """
    if sampling.temperature == 0:
        largest, tokens = logits.max(dim=-1)
        return tokens, largest.isfinite(), torch.ones_like(tokens, dtype=torch.bool)
    scores = logits / sampling.temperature if sampling.temperature != 1 else logits
    scores = torch.sub(scores, counts, alpha=sampling.frequency_penalty)
    if sampling.top_p == 0:
        largest, tokens = scores.max(dim=-1)
        return tokens, largest.isfinite(), torch.ones_like(tokens, dtype=torch.bool)
    # A mass of 1 takes all tokens.
    kept = min(KEPT, scores.shape[-1]) if sampling.top_p < 1 else scores.shape[-1]
    normaliser = scores.logsumexp(dim=-1, keepdim=True)
    ordered, tokens = largest_scores(scores, kept)
    drawn, reached = draw(ordered, tokens, normaliser, uniforms, sampling.top_p)
    if kept == scores.shape[-1]:
        reached = torch.ones_like(reached)
    return drawn, ordered[:, 0].isfinite(), reached


def largest_scores(scores: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """The `kept` largest scores of each row, in order, and their columns; both [rows, kept].

    Each of them lies in one of the `kept` groups of columns that have the largest maxima, so only
    these are searched.
    """
    rows, vocabulary = scores.shape
    groups = -(-vocabulary // GROUP)
    if groups < 2 * kept:
        return scores.topk(kept) if kept < vocabulary else scores.sort(descending=True)
    padded = scores.new_empty(rows, groups, GROUP)
    flat = padded.view(rows, -1)
    flat[:, :vocabulary] = scores
    flat[:, vocabulary:] = -torch.inf
    best = padded.amax(dim=-1).topk(kept, sorted=False).indices
    candidates = padded.gather(1, best[:, :, None].expand(-1, -1, GROUP)).view(rows, -1)
    ordered, index = candidates.topk(kept)
    columns = best.gather(1, index // GROUP) * GROUP + index % GROUP
    return ordered, columns
