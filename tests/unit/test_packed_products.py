"""Packed weights give the numbers of the weights as they are stored, to rounding."""

import pytest
import torch
from torch import nn

from actadd.engine.packed_products import PackedLinear, packed
from builders.families import FAMILIES, VOCABULARY
from builders.families import tiny as tiny_family

pytestmark = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"), reason="x86 alone is packed"
)


@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_gives_the_layers_product(bias):
    linear = nn.Linear(48, 80, bias=bias)
    states = torch.randn(3, 7, 48)
    with torch.inference_mode():
        assert torch.allclose(PackedLinear(linear)(states), linear(states), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_model_gives_the_models_logits_and_leaves_it_as_it_was(family):
    model = tiny_family(family).float()
    kinds = [type(module) for module in model.modules()]
    twin = packed(model)
    ids = torch.randint(VOCABULARY, (2, 11), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(twin(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)
    assert [type(module) for module in model.modules()] == kinds
    assert packed(model) is twin
    # GPT-2's layers are of another class.
    layers = sum(isinstance(module, PackedLinear) for module in twin.modules())
    assert layers == sum(kind is nn.Linear for kind in kinds) > 0


def test_what_cannot_be_packed_stays_as_it_is():
    model = tiny_family("llama")
    assert model.dtype == torch.float64 and packed(model) is model
    assert packed(model.bfloat16()) is model
