"""Matrix products over weights that lie in memory as the processor reads them."""

import copy
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

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


def packed(model: nn.Module) -> nn.Module:
    """The model with packed weights, a tenth to a fifth faster in large batches, equal to rounding.

    The model itself stays as it is and shares all parameters but the weights of its linear layers.
    Returns the model itself where there is nothing to gain or know: on a GPU, in another dtype than
    float32, spread over devices, on other processors than x86, without oneDNN.
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
        and not any(hasattr(module, "_hf_hook") for module in model.modules())
    )


def _packed(model: nn.Module) -> nn.Module:
    shared = {id(each): each for each in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child))
    return twin
