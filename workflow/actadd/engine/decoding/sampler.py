"""The authors' sampler, exactly."""

import torch
from torch import Tensor

from actadd.engine.decoding.sampling import Sampling

# The mass of top_p nearly always lies in the first few tokens, and finding those costs a fiftieth
# of a full sort. Rows whose mass reaches further are searched again, at last in full.
PARTIAL = (16, 512)


def next_tokens(logits: Tensor, counts: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """The next token of each row.

    logits: float [rows, vocabulary]; counts: [rows, vocabulary], how often each token stands in
    the row's text so far; uniforms: float64 [rows] in [0, 1). Returns int64 [rows].

    Temperature, then frequency penalty, then top-p, then a draw by inversion of the cumulative
    distribution over the kept tokens, likeliest first.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    scores = logits / sampling.temperature if sampling.temperature != 1 else logits
    scores = torch.sub(scores, counts, alpha=sampling.frequency_penalty)
    if sampling.top_p == 0:
        return scores.argmax(dim=-1)
    normaliser = scores.logsumexp(dim=-1, keepdim=True)
    vocabulary = scores.shape[-1]
    partial = [size for size in PARTIAL if size < vocabulary]
    chosen = torch.empty(len(scores), dtype=torch.int64, device=scores.device)
    left = torch.arange(len(scores), device=scores.device)
    for size in (*partial, vocabulary):
        # On a GPU the order of equal scores may depend on how many rows are searched, so all are.
        here = scores[left] if len(left) < len(scores) and not scores.is_cuda else scores
        # A sort, since the largest of all by topk would take longer than that.
        ordered, tokens = here.topk(size) if size < vocabulary else here.sort(descending=True)
        if len(here) > len(left):
            ordered, tokens = ordered[left], tokens[left]
        drawn, reached = draw(ordered, tokens, normaliser[left], uniforms[left], sampling.top_p)
        chosen[left] = drawn
        left = left[~reached]
        if len(left) == 0:
            break
    return chosen


def draw(
    ordered: Tensor, tokens: Tensor, normaliser: Tensor, uniforms: Tensor, top_p: float
) -> tuple[Tensor, Tensor]:
    """The drawn tokens, and whether each row's kept mass lies within the columns given."""
    probabilities = (ordered - normaliser).double().exp()
    mass = probabilities.cumsum(dim=-1)
    nucleus = torch.where(mass - probabilities > top_p, 0.0, probabilities)
    cumulative = nucleus.cumsum(dim=-1)
    target = (uniforms.to(cumulative) * cumulative[:, -1]).unsqueeze(-1)
    index = torch.searchsorted(cumulative, target, right=True)
    last_kept = (nucleus > 0).sum(dim=-1, keepdim=True) - 1
    # Of a row that is not numbers nothing is kept; its token means nothing either.
    index = torch.minimum(index, last_kept).clamp(min=0)
    return tokens.gather(-1, index).squeeze(-1), mass[:, -1] > top_p
