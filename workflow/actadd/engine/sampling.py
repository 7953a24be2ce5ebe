"""The authors' sampler, exactly, and noise that is the same for every condition."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# The mass of top_p nearly always lies in the first few tokens, and finding those costs a fiftieth
# of a full sort. Rows whose mass reaches further are searched again, at last in full.
PARTIAL = (16, 512)


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn (paper, section 4 and the authors' `sample_logits`).

    temperature: 0 takes the likeliest token and ignores the other two.
    top_p: a token is dropped if the mass of the likelier ones already exceeds this.
    frequency_penalty: subtracted once for each time the token stands in the text so far, prompt
        and BOS included.
    """

    temperature: float = 1.0
    top_p: float = 0.3
    frequency_penalty: float = 1.0


def draws(seed: int, prompt: str, sample: int, steps: int) -> np.ndarray:
    """Uniform numbers in [0, 1), float64 [steps], that depend on (seed, prompt, sample) alone.

    So a prompt's i-th sample meets the same noise under every condition, which makes comparisons
    paired, and its text does not depend on what else is in the batch.
    """
    key = hashlib.sha256(f"{seed}\x1f{sample}\x1f{prompt}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    return generator.random(steps)


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
        drawn, reached = _draw(ordered, tokens, normaliser[left], uniforms[left], sampling.top_p)
        chosen[left] = drawn
        left = left[~reached]
        if len(left) == 0:
            break
    return chosen


def _draw(
    ordered: Tensor, tokens: Tensor, normaliser: Tensor, uniforms: Tensor, top_p: float
) -> tuple[Tensor, Tensor]:
    """The drawn tokens, and whether each row's kept mass lies within the columns given."""
    probabilities = (ordered - normaliser).double().exp()
    mass = probabilities.cumsum(dim=-1)
    kept = torch.where(mass - probabilities > top_p, 0.0, probabilities)
    cumulative = kept.cumsum(dim=-1)
    target = (uniforms.to(cumulative) * cumulative[:, -1]).unsqueeze(-1)
    index = torch.searchsorted(cumulative, target, right=True)
    last_kept = (kept > 0).sum(dim=-1, keepdim=True) - 1
    # Of a row that is not numbers nothing is kept; its token means nothing either.
    index = torch.minimum(index, last_kept).clamp(min=0)
    return tokens.gather(-1, index).squeeze(-1), mass[:, -1] > top_p
