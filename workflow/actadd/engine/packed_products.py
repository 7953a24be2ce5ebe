"""Matrix products over weights that lie in memory as the processor reads them."""

import copy
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from actadd.base.errors import UserError
from actadd.engine.structure import language_model

# Rows of a product that oneDNN lays weights out for; other numbers of rows are as right.
ROWS = 256

_twins: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


class PackedLinear(nn.Module):
    """A `nn.Linear` in float32 whose weight oneDNN has laid out once, not at each product."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS)

    def forward(self, states: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self._weight, self.bias, "none", [], ""
        )
        return product


class MixedLinear(nn.Module):
    """A linear layer in float32 that rounds weight, input and product to bfloat16.

    The sums within a product are float32, as is the bias's. oneDNN has laid out the weight once.
    """

    def __init__(self, linear: nn.Linear | Conv1D) -> None:
        super().__init__()
        # As in the layer: what reads a model's weights finds them.
        self.weight, self.bias = linear.weight, linear.bias
        weight = linear.weight.detach().to(torch.bfloat16)
        if isinstance(linear, Conv1D):
            weight = weight.T.contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)

    def forward(self, states: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            states.to(torch.bfloat16), self._packed, None, "none", [], ""
        )
        wide = product.to(states.dtype)
        return wide if self.bias is None else wide + self.bias


def mix(model: nn.Module) -> None:
    """Replace a model's linear layers, where it stands, by `MixedLinear`.

    So its products are computed in bfloat16, while the residual stream, norms, attention and the
    cache stay in float32. model: in float32 on the CPU. Parts that are no linear layers, such as
    fused experts, stay as they are. Raises UserError if the processor cannot do that.
    """
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise UserError("dtype: mixed, but this processor has no AVX-512; write float32")
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            # Not their subclasses, which compute something else.
            if type(child) is nn.Linear or type(child) is Conv1D:
                setattr(module, name, MixedLinear(child))


def precision(model: nn.Module) -> float:
    """The rounding error of a model's products relative to their size, at least that of float32."""
    if any(isinstance(module, MixedLinear) for module in model.modules()):
        return torch.finfo(torch.bfloat16).eps
    base: Any = language_model(model)
    return max(torch.finfo(each).eps for each in (base.dtype, torch.float32))


def packed(model: nn.Module) -> nn.Module:
    """The model with packed weights, a tenth to a fifth faster in large batches, equal to rounding.

    The model itself stays as it is and shares all parameters but the weights of its linear layers.
    Returns the model itself where there is nothing to gain or know: on a GPU, in another dtype than
    float32, mixed, spread over devices, on other processors than x86, without oneDNN.
    """
    if model not in _twins:
        _twins[model] = _packed(model) if _can_be_packed(model) else model
    return _twins[model]


def _can_be_packed(model: nn.Module) -> bool:
    return (
        torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and all(
            each.device.type == "cpu" and each.dtype == torch.float32 for each in model.parameters()
        )
        and not any(
            hasattr(module, "_hf_hook") or isinstance(module, MixedLinear)
            for module in model.modules()
        )
    )


def _packed(model: nn.Module) -> nn.Module:
    shared = {id(each): each for each in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child))
    return twin
