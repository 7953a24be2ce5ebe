"""Attention of new tokens over a fixed number of columns, by transformers' own interface."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from actadd.engine.decoding.fused_parts import fused_parts
from actadd.engine.structure import language_model

NAME = "actadd_fixed"
# For a pass over prompts, in place of transformers' names.
PROMPTS = {"sdpa": "actadd_prompts", "eager": "actadd_prompts_eager"}
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

    query: [rows, heads, 1, width]; key, value: all columns of a `FixedLayer`; attention_mask: what
    is added to the scores, [rows, 1, 1, columns].
    """
    layer = getattr(key, "fixed_layer", None)
    extra = any(kwargs.get(name) is not None for name in EXTRAS)
    plain = not extra and attention_mask is not None and attention_mask.shape[1] == 1
    if layer is None or not plain or query.shape[2] != 1:
        if layer is not None:
            layer.write()
        theirs: Any = sdpa_attention_forward
        return theirs(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return layer.attend(query, attention_mask, scale), None


def mask(*args: Any, dtype: torch.dtype = torch.float32, **kwargs: Any) -> Tensor | None:
    """Transformers' mask as numbers to add, once for all layers; `sdpa` would do so in each."""
    theirs: Any = sdpa_mask
    allowed = theirs(*args, dtype=dtype, **kwargs)
    if allowed is None:
        return None
    zeros = torch.zeros_like(allowed, dtype=dtype)
    return zeros.masked_fill_(~allowed, -torch.inf)


def prompts_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """Transformers' mask also where no prompt is padded: to find that out, the host would wait."""
    theirs: Any = sdpa_mask
    return theirs(*args, **{**kwargs, "allow_is_causal_skip": False})


def eager_prompts_mask(*args: Any, dtype: torch.dtype = torch.float32, **kwargs: Any) -> Tensor:
    """The same as numbers to add, finite ones since padding reads nothing but padding."""
    allowed = prompts_mask(*args, dtype=dtype, **kwargs)
    assert allowed is not None
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, mask)
for _name, _mask in zip(PROMPTS.values(), (prompts_mask, eager_prompts_mask), strict=True):
    AttentionInterface.register(_name, sdpa_attention_forward)
    AttentionMaskInterface.register(_name, _mask)


def takes_attention(model: nn.Module) -> bool:
    """Whether a model's blocks call the attention function that its config names."""
    whole: Any = language_model(model)
    attends = getattr(whole, "_supports_attention_backend", False)
    return bool(attends) and whole.config.get_text_config()._attn_implementation == "sdpa"


@contextmanager
def fixed_parts(model: nn.Module, prompts: bool = False) -> Iterator[None]:
    """Let a model use this mask, this attention if it takes one, and fused parts.

    prompts: for a pass over prompts, whose mask and attention are transformers' own, but never
    depend on the numbers in the mask.
    """
    whole: Any = language_model(model)
    # Older families do attention by themselves, and get the same mask to add.
    replaced = "sdpa" if getattr(whole, "_supports_attention_backend", False) else "eager"
    with ExitStack() as stack:
        for config in (whole.config, whole.config.get_text_config()):
            if config._attn_implementation == replaced:
                stack.callback(setattr, config, "_attn_implementation", replaced)
                config._attn_implementation = PROMPTS[replaced] if prompts else NAME
        stack.enter_context(fused_parts(whole))
        yield
