"""Passes over the same texts share what lies below the lowest layer that is changed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actadd.engine.structure import blocks, language_model


class _Enough(Exception):
    """Raised to leave a forward pass once the last block that is needed has run."""


@torch.inference_mode()
def outputs_below(
    model: nn.Module, inputs: dict[str, Tensor], layers: Sequence[int]
) -> dict[int, Any]:
    """For each layer, what the block below it hands on in an unsteered pass that ends there.

    inputs: as `steering.model_inputs` gives them. Layer 0 has no block below it and is left
    out. Nothing is found for a model whose blocks hand on more than their output (keys and values
    that higher blocks share): its blocks cannot be skipped.
    """
    shares = getattr(language_model(model).config.get_text_config(), "num_kv_shared_layers", 0)
    needed = [] if shares else sorted({layer for layer in layers if layer > 0})
    found: dict[int, Any] = {}

    def hook(layer: int):
        def keep(_module, _args, output):
            found[layer] = output
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
    return found


@contextmanager
def resumed_at(model: nn.Module, layer: int, outputs: dict[int, Any]) -> Iterator[None]:
    """Passes start at block `layer`: the blocks below hand on what they did, computing nothing.

    outputs: what `outputs_below` found for the same inputs; the whole model runs if the layer is
    not among them.
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
