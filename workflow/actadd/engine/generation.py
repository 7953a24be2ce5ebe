"""Steered generation: one prefill of each context, then one cached decode step for each token."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from actadd.engine.kv_cache import Reading
from actadd.engine.sampling import Sampling, draws, next_tokens
from actadd.engine.steering import Addition, Touch, input_device, steer

FINISHED, BROKEN = -1, -2
GREEDY = Sampling(temperature=0)


@torch.inference_mode()
def generate(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    additions: Sequence[Addition] | Sequence[Sequence[Addition]] | None = None,
    contrast: float | None = None,
    sampling: Sampling = GREEDY,
    uniforms: Tensor | None = None,
    seed: int = 0,
    max_new_tokens: int = 40,
    stop_ids: Sequence[int] = (),
    samples: int = 1,
    use_cache: bool = True,
    trace: list[Touch] | None = None,
    verify: bool = True,
) -> Tensor:
    """Continues each context of a left-padded batch, `samples` times.

    input_ids, attention_mask: int64 [contexts, width], BOS included. additions: for all contexts or
    for each of them, see `steering.steer`. sampling: how tokens are drawn; the default takes
    the likeliest, `Sampling()` draws as the paper does (section 4). contrast: the batch's second
    half holds, for each context of the first, a contrasted one; tokens are drawn from
    l + contrast * (l' - l), where l' are the logits in that context (PREADD, Pei et al. 2023, with
    contrast as its alpha), and follow both. samples: a context is read once, its samples share what
    the cache then holds. uniforms: float64 [drawn rows, max_new_tokens] in [0, 1), a context's
    samples one after another; with contrast, of the first half's contexts. seed: of uniforms that
    depend on a context's tokens and a sample's number alone, where none are given. stop_ids: tokens
    that end a row. verify: as of `steer`, if there are additions.

    Returns int64 [drawn rows, <= max_new_tokens]; after a stop token a row holds `FINISHED`, and
    from where its logits are not numbers any more, which very large additions can bring about,
    `BROKEN`; both are negative. Raises what `steer` raises.

    >>> vector = steering_vector(model, tokenizer, "Love", "Hate", layer=1)
    >>> ids, mask = prompt_batch(tokenizer, ["I hate you because", "The weather was"])
    >>> tokens = generate(
    ...     model, ids, mask, additions=[Addition(vector, layer=1, coefficient=5)],
    ...     sampling=Sampling(), samples=3, max_new_tokens=4,
    ... )
    >>> texts = [tokenizer.decode([i for i in row if i >= 0]) for row in tokens.tolist()]
    >>> len(texts)
    6
    """
    device = input_device(model)
    ids, mask = input_ids.to(device), attention_mask.to(device)
    if uniforms is None:
        drawing = len(ids) if contrast is None else len(ids) // 2
        uniforms = _uniforms(
            input_ids[:drawing], attention_mask[:drawing], samples, seed, max_new_tokens
        )
    uniforms = uniforms.to(device)
    stops = torch.tensor(list(stop_ids), device=device, dtype=torch.long)
    reading = Reading(model, ids.shape[1] + max_new_tokens - 1, use_cache)
    drawn = len(uniforms)
    ended = torch.zeros(drawn, dtype=torch.bool, device=device)
    broken = torch.zeros_like(ended)
    counts = None
    written: list[Tensor] = []
    steering = nullcontext()
    if additions:
        steering = steer(model, additions, attention_mask, trace, verify=verify)
    with steering:
        for step in range(max_new_tokens):
            logits = reading.logits(ids, mask)
            if step == 0 and samples > 1:
                ids, mask, logits = (
                    part.repeat_interleave(samples, dim=0) for part in (ids, mask, logits)
                )
                reading.repeat(len(input_ids), samples)
            if logits.dtype != torch.float64:
                logits = logits.float()
            if contrast is not None:
                own, other = logits[:drawn], logits[drawn:]
                logits = own + contrast * (other - own)
            # Not of a row that has ended: how long it still runs is up to the others.
            broken |= ~ended & ~logits.amax(dim=-1).isfinite()
            if counts is None:
                counts = torch.zeros_like(logits)
                counts.scatter_add_(1, ids[:drawn], mask[:drawn].to(counts))
            tokens = next_tokens(logits, counts, uniforms[:, step], sampling)
            written.append(tokens.masked_fill(ended, FINISHED).masked_fill(broken, BROKEN))
            ended |= torch.isin(tokens, stops)
            if bool((ended | broken).all()):
                break
            counts.scatter_add_(1, tokens[:, None], torch.ones_like(counts[:, :1]))
            following = tokens if contrast is None else tokens.repeat(2)
            ids = torch.cat([ids, following[:, None]], dim=1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    return torch.stack(written, dim=1)


def _uniforms(
    contexts: Tensor, attention_mask: Tensor, samples: int, seed: int, steps: int
) -> Tensor:
    """The same noise for a context's i-th sample, whatever is added and whatever stands beside."""
    texts = [
        str(row[mask.bool()].tolist()) for row, mask in zip(contexts, attention_mask, strict=True)
    ]
    noise = [draws(seed, text, sample, steps) for text in texts for sample in range(samples)]
    return torch.from_numpy(np.stack(noise))
