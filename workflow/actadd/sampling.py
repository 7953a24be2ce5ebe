"""The authors' sampler, exactly, and noise that is the same for every condition."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# The mass of top_p nearly always lies in the first few hundred tokens, and finding those costs a
# twentieth of a full sort. Rows whose mass reaches further are sorted in full, so nothing is lost.
PARTIAL = 256


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
    scores = logits / sampling.temperature - sampling.frequency_penalty * counts
    if sampling.top_p == 0:
        return scores.argmax(dim=-1)
    normaliser = scores.logsumexp(dim=-1, keepdim=True)
    ordered, tokens = scores.topk(min(PARTIAL, scores.shape[-1]), dim=-1)
    chosen, reached = _draw(ordered, tokens, normaliser, uniforms, sampling.top_p)
    if not bool(reached.all()) and tokens.shape[-1] < scores.shape[-1]:
        rest = ~reached
        ordered, tokens = scores[rest].sort(dim=-1, descending=True)
        chosen[rest], _ = _draw(ordered, tokens, normaliser[rest], uniforms[rest], sampling.top_p)
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
    index = torch.minimum(index, last_kept)
    return tokens.gather(-1, index).squeeze(-1), mass[:, -1] > top_p
