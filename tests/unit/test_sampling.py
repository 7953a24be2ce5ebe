"""The sampler against a direct transcription of its definition, and its noise."""

import numpy as np
import pytest
import torch

from actadd.engine.decoding import sampler
from actadd.engine.decoding.sampler import next_tokens
from actadd.engine.decoding.sampling import Sampling, draws


def kept_distribution(logits, text, settings):
    """Token probabilities of one row, written down as the definition reads."""
    scores = np.array(logits, dtype=np.float64) / settings.temperature
    for token in text:
        scores[token] -= settings.frequency_penalty
    probabilities = np.exp(scores - scores.max())
    probabilities /= probabilities.sum()
    kept, mass = {}, 0.0
    for token in np.argsort(-probabilities):
        if kept and mass > settings.top_p:
            break
        kept[int(token)] = probabilities[token]
        mass += probabilities[token]
    total = sum(kept.values())
    return {token: probability / total for token, probability in kept.items()}


SETTINGS = [
    Sampling(1.0, 0.3, 1.0),
    Sampling(0.6, 0.5, 0.0),
    Sampling(1.0, 0.95, 0.5),
    Sampling(1.7, 0.999, 1.0),
    Sampling(1.0, 1.0, 0.0),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("vocabulary", [50, 1000])
def test_same_distribution_as_the_definition(settings, vocabulary):
    torch.manual_seed(1)
    logits = torch.randn(6, vocabulary, dtype=torch.float64) * 2
    texts = torch.randint(0, vocabulary, (6, 12))
    counts = torch.zeros_like(logits).scatter_add_(1, texts, torch.ones(6, 12).double())
    steps = 4001
    grid = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    for row in range(6):
        expected = kept_distribution(logits[row].numpy(), texts[row].tolist(), settings)
        drawn = next_tokens(
            logits[row].expand(steps, -1), counts[row].expand(steps, -1), grid, settings
        )
        result = torch.bincount(drawn, minlength=vocabulary).double() / steps
        for token, probability in expected.items():
            # An even grid of uniforms hits each token within one grid step of its probability.
            assert abs(float(result[token]) - probability) <= 2 / steps
        assert set(drawn.unique().tolist()) <= set(expected)


def test_the_partial_searches_and_their_fallback_agree_with_the_full_sort(monkeypatch):
    torch.manual_seed(2)
    logits = torch.randn(64, 3000) * torch.linspace(0.2, 6, 64)[:, None]
    counts = torch.zeros_like(logits).scatter_(1, logits.topk(3).indices[::2], 1.0)
    uniforms = torch.rand(64, dtype=torch.float64)
    settings = Sampling(1.0, 0.6, 0.5)
    mass = (logits - 0.5 * counts).softmax(-1).sort(descending=True)[0].cumsum(-1)
    first, second = (mass[:, size - 1] > settings.top_p for size in sampler.PARTIAL)
    assert first.any() and (second & ~first).any() and not second.all(), "all ways should be taken"
    partial = next_tokens(logits, counts, uniforms, settings)
    monkeypatch.setattr(sampler, "PARTIAL", ())
    assert torch.equal(partial, next_tokens(logits, counts, uniforms, settings))


def test_a_row_that_is_not_numbers_leaves_the_others_alone():
    torch.manual_seed(3)
    logits = torch.randn(3, 1000)
    expected = next_tokens(logits, torch.zeros_like(logits), torch.rand(3).double(), Sampling())
    for bad in (float("nan"), float("inf")):
        mixed = torch.cat([logits, torch.full((1, 1000), bad)])
        torch.manual_seed(3)
        torch.randn(3, 1000)
        uniforms = torch.cat([torch.rand(3).double(), torch.zeros(1).double()])
        result = next_tokens(mixed, torch.zeros_like(mixed), uniforms, Sampling())
        assert torch.equal(result[:3], expected)


def test_temperature_zero_is_argmax():
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    counts = torch.tensor([[0.0, 9.0, 0.0]])
    assert next_tokens(logits, counts, torch.zeros(1), Sampling(0.0)).tolist() == [1]


def test_draws_depend_on_seed_prompt_and_sample_only():
    base = draws(0, "I hate you because", 3, 5)
    assert np.array_equal(base, draws(0, "I hate you because", 3, 9)[:5])
    for other in ((1, "I hate you because", 3), (0, "I hate you", 3), (0, "I hate you because", 4)):
        assert not np.array_equal(base, draws(*other, 5))
    many = np.concatenate([draws(0, "x", sample, 100) for sample in range(200)])
    assert abs(many.mean() - 0.5) < 0.01 and many.min() >= 0 and many.max() < 1
