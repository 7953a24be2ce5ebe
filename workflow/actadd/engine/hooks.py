"""Hooks on the inputs of decoder blocks; layer l is the residual stream that block l reads."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError
from actadd.engine.structure import blocks, forward_parameters, language_model, model_inputs

# Language models whose blocks have hooks of ours just now.
_hooked: Counter[nn.Module] = Counter()


def is_hooked(model: nn.Module) -> bool:
    """Whether a model's blocks have hooks of ours just now."""
    return bool(_hooked[language_model(model)])


def _stream(
    block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str | None, Tensor]:
    """The residual stream among a block's arguments, and its name if it is a keyword's."""
    # A wrapper's forward names nothing.
    names = [*(name for name in forward_parameters(type(block)) if name in kwargs), *kwargs]
    name = None if args else next(iter(names), None)
    hidden = args[0] if args else kwargs.get(name or "")
    if not isinstance(hidden, Tensor) or hidden.ndim != 3:
        kind = f"{list(hidden.shape)}" if isinstance(hidden, Tensor) else type(hidden).__name__
        raise UserError(
            f"{type(block).__name__} reads a residual stream of the form {kind} where [rows, "
            "tokens, d_model] was expected; this architecture is not supported"
        )
    return name, hidden


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Run compiled modules as plain Python: their graphs would miss hooks, or keep them.

    The compiler takes seconds to import, so it is not asked where nothing can have been compiled.
    """
    if "torch._dynamo" in sys.modules:
        with torch.compiler.set_stance("force_eager"):
            yield
        return
    try:
        yield
    finally:
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()


@contextmanager
def _counted(model: nn.Module) -> Iterator[None]:
    _hooked[model] += 1
    try:
        yield
    finally:
        _hooked[model] -= 1
        if not _hooked[model]:
            del _hooked[model]


@contextmanager
def hooks_on_inputs(
    model: nn.Module, layers: Sequence[int], visit: Callable[[int, Tensor], Tensor | None]
) -> Iterator[None]:
    """Call visit(layer, hidden) before each block; a tensor that it returns is the new input.

    Raises UserError if a layer does not exist.
    """

    def make(layer: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            name, hidden = _stream(module, args, kwargs)
            changed = visit(layer, hidden)
            if changed is None:
                return None
            if args:
                return (changed, *args[1:]), kwargs
            return args, {**kwargs, name or "": changed}

        return hook

    modules = blocks(model)
    for layer in layers:
        if not 0 <= layer < len(modules):
            raise UserError(f"layer {layer} does not exist: the model has 0 to {len(modules) - 1}")
    with ExitStack() as stack:
        stack.enter_context(_uncompiled())
        stack.enter_context(_counted(language_model(model)))
        for layer in layers:
            handle = modules[layer].register_forward_pre_hook(make(layer), with_kwargs=True)
            stack.callback(handle.remove)
        yield


@torch.inference_mode()
def record_activations(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None = None
) -> Tensor:
    """`actadd.record_activations` without verification."""
    recorded: dict[int, Tensor] = {}

    def record(layer: int, hidden: Tensor) -> None:
        recorded[layer] = hidden

    layers = range(len(blocks(model)))
    with hooks_on_inputs(model, layers, record):
        model(**model_inputs(model, input_ids, attention_mask), use_cache=False)
    first = recorded[0].device
    return torch.stack([recorded[layer].to(first) for layer in layers])
