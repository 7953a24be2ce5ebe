"""Parts that decode steps of fixed shape compute by other kernels give the same numbers."""

import pytest
import torch

from actadd.engine.decoding.fused_parts import fused_parts
from builders.families import FAMILIES, VOCABULARY, tiny


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_half_precision_are_those_of_transformers(family):
    model = tiny(family).bfloat16()
    ids = torch.arange(12).reshape(3, 4) + 5
    with torch.inference_mode():
        theirs = model(ids).logits
        with fused_parts(model):
            ours = model(ids).logits
        after = model(ids).logits
    assert ours.shape == theirs.shape == (3, 4, VOCABULARY)
    assert (ours.float() - theirs.float()).norm() < 0.02 * theirs.float().norm()
    assert torch.equal(after, theirs)


@pytest.mark.parametrize("width", [5, 8, 13, 97])
def test_a_product_of_any_width(width):
    layer = torch.nn.Linear(16, width, bias=False).bfloat16()
    stream = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.inference_mode(), fused_parts(layer):
        product = layer(stream)
    exact = stream.double() @ layer.weight.double().T
    assert product.shape == (2, 3, width)
    assert (product.double() - exact).abs().max() < 0.01 * exact.abs().max()
