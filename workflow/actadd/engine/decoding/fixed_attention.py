"""Attention of one new token over a fixed number of columns, as transformers' interface takes it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from actadd.engine.structure import language_model

NAME = "actadd_fixed"
# What some families add to attention, which only transformers' own function may know.
EXTRAS = ("softcap", "position_bias", "s_aux")


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' `sdpa`, with query heads that share a key read side by side, not copied.

    query: [rows, heads, 1, width]; key, value: [rows, shared heads, columns, width];
    attention_mask: what is added to the scores, [rows, 1, 1, columns].
    """
    extra = any(kwargs.get(name) is not None for name in EXTRAS)
    if extra or attention_mask is None or query.shape[2] != 1 or attention_mask.shape[1] != 1:
        theirs: Any = sdpa_attention_forward
        return theirs(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    rows, heads, _, width = query.shape
    packed = query.reshape(rows, key.shape[1], heads // key.shape[1], width)
    mixed = functional.scaled_dot_product_attention(
        packed, key, value, attn_mask=attention_mask, scale=scaling
    )
    return mixed.reshape(rows, 1, heads, value.shape[-1]), None


def mask(*args: Any, dtype: torch.dtype = torch.float32, **kwargs: Any) -> Tensor | None:
    """Transformers' mask as numbers to add, once for all layers; `sdpa` would do so in each."""
    theirs: Any = sdpa_mask
    allowed = theirs(*args, dtype=dtype, **kwargs)
    if allowed is None:
        return None
    zeros = torch.zeros_like(allowed, dtype=dtype)
    return zeros.masked_fill_(~allowed, -torch.inf)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, mask)


@contextmanager
def fixed_attention(model: nn.Module) -> Iterator[None]:
    """Let a model use this mask, and this attention if it takes transformers' functions."""
    whole: Any = language_model(model)
    # Older families do attention by themselves, and get the same mask to add.
    replaced = "sdpa" if getattr(whole, "_supports_attention_backend", False) else "eager"
    with ExitStack() as stack:
        for config in (whole.config, whole.config.get_text_config()):
            if config._attn_implementation == replaced:
                stack.callback(setattr, config, "_attn_implementation", replaced)
                config._attn_implementation = NAME
        yield
