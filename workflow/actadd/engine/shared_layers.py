"""Compute the unsteered lower layers once and reuse them for every condition."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actadd.engine.structure import blocks, text_config


class _Enough(Exception):
    """Raised to leave a forward pass once the last block that is needed has run."""


@torch.inference_mode()
def outputs_below(
    model: nn.Module, inputs: dict[str, Tensor], layers: Sequence[int]
) -> dict[int, Any]:
    """Layer -> what the block below it returns in an unsteered pass, which ends at the highest.

    inputs: as `structure.model_inputs` returns them. Layer 0 has no block below it and is left
    out. Empty for a model whose blocks hand on more than their output (keys and values that higher
    blocks share): its blocks cannot be skipped.
    """
    shares = getattr(text_config(model), "num_kv_shared_layers", 0)
    needed = [] if shares else sorted({layer for layer in layers if layer > 0})
    outputs: dict[int, Any] = {}

    def hook(layer: int) -> Callable[..., None]:
        def keep(_module: nn.Module, _args: Any, output: Any) -> None:
            outputs[layer] = output
            if layer == needed[-1]:
                raise _Enough

        return keep

    modules = blocks(model)
    handles = [modules[layer - 1].register_forward_hook(hook(layer)) for layer in needed]
    try:
        if needed:
            model(**inputs, use_cache=False)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return outputs


@contextmanager
def resumed_at(model: nn.Module, layer: int, outputs: dict[int, Any]) -> Iterator[None]:
    """Start passes at block `layer`: the blocks below return what they did, computing nothing.

    outputs: of `outputs_below` for the same inputs; the whole model runs if the layer is not among
    them.
    """
    below = list(blocks(model))[:layer] if layer in outputs else []
    before = [vars(block).get("forward") for block in below]
    for block in below:
        block.forward = lambda *_args, **_kwargs: outputs[layer]
    try:
        yield
    finally:
        for block, forward in zip(below, before, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward
