"""Log-probabilities of given texts under steering, token by token."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from actadd.engine.additions import Addition
from actadd.engine.batching import left_pad
from actadd.engine.shared_layers import outputs_below, resumed_at
from actadd.engine.steering import steer
from actadd.engine.structure import blocks, input_device, model_inputs

# (logprob float32, rank int32), each [tokens - 1], on the CPU.
Measured = tuple[Tensor, Tensor]


def token_logprobs(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    additions: Sequence[Sequence[Addition]] | None = None,
    prompt_lengths: Sequence[int] | None = None,
) -> list[Measured]:
    """For each text, (logprob, rank) of its tokens 1.. given those before, float32 and int32.

    rows: token ids with BOS. additions: one sequence of `Addition` for each row, aligned in its
    first prompt_lengths[row] tokens (default: in all of them). rank is the number of vocabulary
    entries that are strictly likelier than the token, as in LAMA's P@K.
    Returns a list of pairs of tensors [len(row) - 1] on the CPU.
    """
    return next(swept_logprobs(model, rows, [additions or [()] * len(rows)], prompt_lengths))


def swept_logprobs(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    conditions: Sequence[Sequence[Sequence[Addition]]],
    prompt_lengths: Sequence[int] | None = None,
) -> Iterator[list[Measured]]:
    """`token_logprobs` of the same rows under several conditions, one after another.

    conditions: for each, one sequence of `Addition` for each row. The blocks below the lowest layer
    that a condition changes are computed once for all conditions; the numbers are the same bits as
    from passes of their own.
    """
    ids, mask = left_pad(rows)
    device = input_device(model)
    placed = ids.to(device)
    inputs = model_inputs(model, placed, mask.to(device))
    depth = len(blocks(model))
    lowest = [
        min((addition.lowest for row in additions for addition in row), default=depth)
        for additions in conditions
    ]
    shared = outputs_below(model, inputs, lowest) if len(conditions) > 1 else {}
    for additions, layer in zip(conditions, lowest, strict=True):
        steering = steer(model, additions, mask, prompt_lengths=prompt_lengths)
        with torch.inference_mode(), resumed_at(model, layer, shared), steering:
            logits = model(**inputs, use_cache=False).logits
            measured = [
                _measured(logits[row], placed[row], len(text)) for row, text in enumerate(rows)
            ]
        yield measured


def _measured(logits: Tensor, ids: Tensor, length: int) -> Measured:
    """One row's numbers; a row at a time stays within a processor's cache."""
    scores = logits[-length:-1].float()
    chosen = scores.gather(-1, ids[-length + 1 :, None])
    rank = (scores > chosen).sum(-1, dtype=torch.int32)
    logprob = (chosen - scores.logsumexp(-1, keepdim=True)).squeeze(-1)
    return logprob.cpu(), rank.cpu()
