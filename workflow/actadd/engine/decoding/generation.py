"""Steered generation: one prefill of each context, then one cached decode step for each token."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn

from actadd.engine.additions import TraceEntry
from actadd.engine.decoding.decode_changes import DecodeChanges
from actadd.engine.decoding.decoder import Batch
from actadd.engine.decoding.fixed_attention import fixed_parts
from actadd.engine.decoding.fixed_sampler import fixed_tokens
from actadd.engine.decoding.kv_cache import Reading
from actadd.engine.decoding.sampler import next_tokens
from actadd.engine.decoding.sampling import BROKEN, FINISHED, Sampling, draws
from actadd.engine.decoding.start import Prompts
from actadd.engine.decoding.static import (
    finished,
    is_checked,
    is_open,
    prepared,
    remember,
    started,
    takes_over,
)
from actadd.engine.steering import Additions, Steering, steer
from actadd.engine.structure import input_device

GREEDY = Sampling(temperature=0)
# Whether decode steps are static by default, by kind of device.
STATIC = {"cpu": False, "cuda": True}


@torch.inference_mode()
def generate(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    additions: Additions | None = None,
    contrast: float | None = None,
    sampling: Sampling = GREEDY,
    uniforms: Tensor | None = None,
    seed: int = 0,
    max_new_tokens: int = 40,
    stop_ids: Sequence[int] = (),
    samples: int = 1,
    use_cache: bool = True,
    trace: list[TraceEntry] | None = None,
    static: bool | None = None,
) -> Tensor:
    """`actadd.generate` without verification.

    static: whether decode steps have a fixed shape and are captured on a GPU, see `static`; a model
    that cannot go that way, a trace and a run without a cache take ordinary steps. The default is
    that of the device.
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
    if static is None:
        static = STATIC.get(device.type, False)
    static = static and use_cache and trace is None and max_new_tokens > 1 and is_open(model)
    prompts = None
    if static:
        steering = Steering(model, additions, attention_mask, None, None) if additions else None
        prompts = Prompts(
            input_ids, attention_mask, steering, uniforms, sampling, contrast, stop_ids, samples
        )
        rows = started(model, prompts)
        if rows is not None:
            return rows
    reading = Reading(model, ids.shape[1] + max_new_tokens - 1, use_cache)
    drawn = len(uniforms)
    ended = torch.zeros(drawn, dtype=torch.bool, device=device)
    broken = torch.zeros_like(ended)
    counts = None
    written: list[Tensor] = []
    decoder, expected = None, None
    with ExitStack() as stack:
        steering = None
        if additions:
            steering = stack.enter_context(steer(model, additions, attention_mask, trace))
        for step in range(max_new_tokens):
            with fixed_parts(model, prompts=True) if static else ExitStack():
                logits = reading.logits(ids, mask)
            if step == 0 and samples > 1:
                ids, mask, logits = (
                    part.repeat_interleave(samples, dim=0) for part in (ids, mask, logits)
                )
                reading.repeat(len(input_ids), samples)
            if logits.dtype != torch.float64:
                logits = logits.float()
            if contrast is not None:
                logits, contrasted = logits[:drawn], logits[drawn:]
                logits = logits + contrast * (contrasted - logits)
            # Not in a row that has ended, since the other rows decide how long it continues.
            broken |= ~ended & ~logits.amax(dim=-1).isfinite()
            if counts is None:
                counts = torch.zeros_like(logits)
                counts.scatter_add_(1, ids[:drawn], mask[:drawn].to(counts))
            tokens = _tokens(logits, counts, uniforms[:, step], sampling, static)
            written.append(tokens.masked_fill(ended, FINISHED).masked_fill(broken, BROKEN))
            ended |= torch.isin(tokens, stops)
            if bool((ended | broken).all()):
                break
            counts.scatter_add_(1, tokens[:, None], torch.ones_like(counts[:, :1]))
            following = tokens if contrast is None else tokens.repeat(2)
            if static and takes_over(model, reading.cache):
                changes = DecodeChanges(steering, len(mask))
                decoder = prepared(
                    model,
                    Batch(
                        mask=mask,
                        counts=counts,
                        tokens=tokens,
                        ended=ended,
                        broken=broken,
                        cache=reading.cache,
                        changes=changes,
                        uniforms=uniforms,
                        sampling=sampling,
                        contrast=contrast,
                        stops=stops,
                    ),
                )
            ids = torch.cat([ids, following[:, None]], dim=1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            if decoder:
                expected = None if is_checked(model) else reading.logits(ids, mask)
                break
            static = False
    if decoder:
        rows = finished(model, decoder, expected)
        if rows is not None and prompts:
            remember(model, decoder, prompts)
        if rows is None:
            return generate(
                model,
                input_ids,
                attention_mask,
                additions=additions,
                contrast=contrast,
                sampling=sampling,
                uniforms=uniforms,
                max_new_tokens=max_new_tokens,
                stop_ids=stop_ids,
                samples=samples,
                static=False,
            )
        return rows
    return torch.stack(written, dim=1)


def _tokens(
    logits: Tensor, counts: Tensor, uniforms: Tensor, sampling: Sampling, static: bool
) -> Tensor:
    """The next tokens; before static steps by their sampler, which a captured pass uses too."""
    if static:
        tokens, _, right = fixed_tokens(logits, counts, uniforms, sampling)
        if bool(right.all()):
            return tokens
    return next_tokens(logits, counts, uniforms, sampling)


def _uniforms(
    contexts: Tensor, attention_mask: Tensor, samples: int, seed: int, steps: int
) -> Tensor:
    """Noise keyed by seed, context and sample index: it depends neither on steering nor batch."""
    texts = [
        str(row[mask.bool()].tolist()) for row, mask in zip(contexts, attention_mask, strict=True)
    ]
    noise = [draws(seed, text, sample, steps) for text in texts for sample in range(samples)]
    return torch.from_numpy(np.stack(noise))
