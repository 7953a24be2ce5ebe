"""Parts of a model that torch does in one kernel and transformers writes in several.

A decode step of a small batch is as long as its kernels are many, and a norm in eight of them
costs more than the attention.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import NewGELUActivation, SiLUActivation
from transformers.models.llama import modeling_llama

from actadd.engine.decoding import gate_kernel, rotary_kernel

ROTARY = "apply_rotary_pos_emb"
PARTS = (ROTARY, "rotate_half")
# Wider dtypes keep transformers' own, which computes norms in float32 whatever the dtype.
HALF = (torch.bfloat16, torch.float16)
# Numbers of half precision in the 16 bytes that a tensor core's product reads and writes at once.
ALIGNED = 8


def _gelu(stream: Tensor) -> Tensor:
    return functional.gelu(stream, approximate="tanh")


def _rms_norm(module: Any, stream: Tensor) -> Tensor:
    return functional.rms_norm(stream, module.weight.shape, module.weight, module.variance_epsilon)


def _feed_forward(module: Any, stream: Tensor) -> Tensor:
    gate, up = module.gate_proj(stream), module.up_proj(stream)
    opened = (
        gate_kernel.gated(gate, up) if gate_kernel.takes(gate, up) else module.act_fn(gate) * up
    )
    down: Tensor = module.down_proj(opened)
    return down


def _unaligned(module: nn.Module) -> bool:
    """Whether a layer's products have an odd width, as the head of GPT-2 with 50,257 tokens."""
    # Not a subclass, whose weights may be quantized.
    return type(module) is nn.Linear and module.bias is None and module.out_features % ALIGNED > 0


def _linear(module: Any, stream: Tensor) -> Tensor:
    """A product of odd width: all but the last columns by the kernel for aligned ones."""
    width = module.out_features
    even = width - width % ALIGNED
    rows = stream.reshape(-1, stream.shape[-1])
    product = rows.new_empty(len(rows), even + ALIGNED)
    torch.mm(rows, module.weight[:even].t(), out=product[:, :even])
    torch.mm(rows, module.weight[even:].t(), out=product[:, even:width])
    return product[:, :width].unflatten(0, stream.shape[:-1])


def _rotate(
    theirs: Callable[..., tuple[Tensor, Tensor]],
    query: Tensor,
    key: Tensor,
    cos: Tensor,
    sin: Tensor,
    unsqueeze_dim: int = 1,
) -> tuple[Tensor, Tensor]:
    if unsqueeze_dim == 1 and rotary_kernel.takes(query, key, cos, sin):
        return rotary_kernel.rotated(query, key, cos, sin)
    return theirs(query, key, cos, sin, unsqueeze_dim=unsqueeze_dim)


@cache
def _body(function: Callable[..., Any]) -> tuple[bytes, tuple[Any, ...]]:
    code: Any = inspect.unwrap(function).__code__
    return code.co_code, code.co_names


def _norms_like_llama(module: nn.Module) -> bool:
    """Whether a module computes Llama's norm: transformers copies it from family to family."""
    return _body(type(module).forward) == _body(modeling_llama.LlamaRMSNorm.forward)


def _feeds_like_llama(module: nn.Module) -> bool:
    """Whether a module is Llama's feed-forward layer, with its activation."""
    if not isinstance(getattr(module, "act_fn", None), (nn.SiLU, SiLUActivation)):
        return False
    return _body(type(module).forward) == _body(modeling_llama.LlamaMLP.forward)


def _replacement(module: nn.Module, half: bool) -> Callable[..., Tensor] | None:
    if type(module) is NewGELUActivation:
        return _gelu
    if half and _feeds_like_llama(module):
        return partial(_feed_forward, module)
    if half and _unaligned(module):
        return partial(_linear, module)
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and weight.dtype in HALF and "Norm" in type(module).__name__:
        return partial(_rms_norm, module) if _norms_like_llama(module) else None
    return None


def _rotary_modules(model: nn.Module) -> list[dict[str, Any]]:
    """Namespaces of the model's classes in which a function rotates as Llama's does."""
    names = {type(part).__module__ for part in model.modules()}
    spaces = [vars(sys.modules[name]) for name in sorted(names) if name in sys.modules]
    return [space for space in spaces if all(_like_llama(space, name) for name in PARTS)]


def _like_llama(space: dict[str, Any], name: str) -> bool:
    ours = space.get(name)
    return inspect.isfunction(ours) and _body(ours) == _body(getattr(modeling_llama, name))


@contextmanager
def fused_parts(model: nn.Module) -> Iterator[None]:
    """Let a model use torch's own tanh GELU and norms, our kernels, and aligned products."""
    with ExitStack() as stack:
        half = next(model.parameters()).dtype in HALF
        for space in _rotary_modules(model) if half else ():
            theirs = space[ROTARY]
            stack.callback(space.__setitem__, ROTARY, theirs)
            space[ROTARY] = partial(_rotate, theirs)
        for module in model.modules():
            replacement = _replacement(module, half)
            if replacement is not None and "forward" not in vars(module):
                stack.callback(vars(module).pop, "forward")
                vars(module)["forward"] = replacement
        yield
