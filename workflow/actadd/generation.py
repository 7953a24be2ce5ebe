"""Steered generation: one prefill, then one cached decode step for each new token."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from actadd.errors import UserError
from actadd.sampling import Sampling, next_tokens
from actadd.steering import Addition, Touch, model_inputs, steer

FINISHED = -1


@torch.inference_mode()
def generate(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    additions: Sequence[Sequence[Addition]] | None = None,
    contrast: float | None = None,
    sampling: Sampling,
    uniforms: Tensor,
    max_new_tokens: int,
    stop_ids: Sequence[int] = (),
    use_cache: bool = True,
    trace: list[Touch] | None = None,
) -> Tensor:
    """Continues each row of a left-padded batch.

    input_ids, attention_mask: int64 [rows, width], BOS included. additions: one sequence for each
    row, see `actadd.steering.steer`. contrast: the batch's second half holds, for each row of the
    first, a contrasted context; tokens are drawn from l + contrast * (l' - l), where l' are the
    logits in that context (PREADD, Pei et al. 2023, with contrast as its alpha), and follow both.
    uniforms: float64 [rows, max_new_tokens] in [0, 1); with contrast, of the first half's rows.
    Returns int64 [drawn rows, <= max_new_tokens]; after a stop token a row holds `FINISHED`.
    Raises UserError if logits are NaN, which very large additions can bring about.
    """
    device = model.get_input_embeddings().weight.device
    ids, mask = input_ids.to(device), attention_mask.to(device)
    uniforms = uniforms.to(device)
    stops = torch.tensor(list(stop_ids), device=device, dtype=torch.long)
    drawn = len(ids) if contrast is None else len(ids) // 2
    finished = torch.zeros(drawn, dtype=torch.bool, device=device)
    counts = None
    cache = None
    written: list[Tensor] = []
    steering = steer(model, additions, attention_mask, trace) if additions else nullcontext()
    with steering:
        for step in range(max_new_tokens):
            seen = ids.shape[1] - 1 if cache is not None else 0
            output = model(
                **model_inputs(model, ids[:, seen:], mask, seen),
                past_key_values=cache,
                use_cache=use_cache,
                logits_to_keep=1,
            )
            cache = output.past_key_values if use_cache else None
            logits = output.logits[:, -1]
            if logits.dtype != torch.float64:
                logits = logits.float()
            if bool(logits.isnan().any()):
                raise UserError(
                    "the logits are not numbers any more: the addition is too large for the "
                    "model's dtype; take a smaller coefficient, or dtype float32"
                )
            if contrast is not None:
                own, other = logits[:drawn], logits[drawn:]
                logits = own + contrast * (other - own)
            if counts is None:
                counts = torch.zeros_like(logits)
                counts.scatter_add_(1, ids[:drawn], mask[:drawn].to(counts))
            tokens = next_tokens(logits, counts, uniforms[:, step], sampling)
            written.append(torch.where(finished, FINISHED, tokens))
            finished |= torch.isin(tokens, stops)
            if bool(finished.all()):
                break
            counts.scatter_add_(1, tokens[:, None], torch.ones_like(counts[:, :1]))
            following = tokens if contrast is None else tokens.repeat(2)
            ids = torch.cat([ids, following[:, None]], dim=1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    return torch.stack(written, dim=1)
