"""Operations that act on some prompts only: against plain hooks, alone and in a mixed batch."""

import numpy as np
import pytest
import torch

from actadd import Addition, Gate, UserError, generate, steer
from actadd.engine.batching import left_pad
from actadd.engine.logprobs import swept_logprobs, token_logprobs
from actadd.engine.structure import model_inputs
from actadd.measure import conditions
from actadd.measure.experiment import Experiment
from actadd.measure.measures import MEASURES
from builders import reference
from builders.families import FAMILIES, block_list, tiny
from builders.vectors import write_layer

STEPS = 4
PROMPTS = [
    [0, 5, 17, 33, 2, 64],
    [0, 8, 9, 11],
    [0, 40, 41, 42, 43, 44, 45, 46, 47],
    [0, 71, 3, 90],
]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def model(family):
    return tiny(family)


def noise(seed, rows=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 32, generator=draw, dtype=torch.float64)


def projections(model, family, layer, vector):
    """Of each prompt alone: its mean stream but BOS, on the vector's direction."""
    streams = [
        reference.stream_at(model, block_list(model, family), prompt, layer) for prompt in PROMPTS
    ]
    return [float(stream[1:].mean(0) @ vector / vector.norm()) for stream in streams]


def completions(model, additions, **options):
    ids, mask = left_pad(PROMPTS, 1)
    return generate(model, ids, mask, additions=additions, max_new_tokens=STEPS, **options).tolist()


@pytest.mark.parametrize("use_cache", [True, False])
def test_it_is_decided_for_each_prompt(model, family, use_cache):
    vector, condition = noise(1, 2), noise(2)[0]
    sizes = projections(model, family, 1, condition)
    # Between the two in the middle: two prompts are steered.
    gate = Gate(condition, 1, sum(sorted(sizes)[1:3]) / 2)
    change = [
        Addition(vector, 1, 6.0, gate=gate),
        Addition(vector, 2, 70.0, operation="rotate", phase="every_step", gate=gate),
        Addition(vector, 2, 1.0),
    ]
    batch = completions(model, change, use_cache=use_cache)
    for prompt, size, tokens in zip(PROMPTS, sizes, batch, strict=True):
        acts = []
        if size > gate.threshold:
            acts = [(1, at, "add", vector[at], 6.0) for at in range(2)]
            acts += [(2, at, "rotate", vector[at], 70.0) for at in range(2)]
            acts += [(2, len(prompt) + at, "rotate", vector[1], 70.0) for at in range(STEPS)]
        acts += [(2, at, "add", vector[at], 1.0) for at in range(2)]
        expected = reference.greedy_operated(model, block_list(model, family), prompt, acts, STEPS)
        assert tokens == expected
    twice = completions(model, change, use_cache=use_cache, samples=2)
    assert twice == [tokens for tokens in batch for _ in range(2)]


def test_one_that_never_opens_is_unsteered_bit_by_bit(model):
    vector = noise(1, 2)
    shut = Gate(vector[0], 1, 1e9)
    change = [
        Addition(vector, 1, 9.0, gate=shut, phase="every_step"),
        Addition(vector, 2, 90.0, operation="rotate", gate=shut),
    ]
    ids, mask = left_pad(PROMPTS, 1)
    trace = []
    with torch.no_grad():
        plain = model(**model_inputs(model, ids, mask)).logits
        with steer(model, change, mask, trace):
            assert torch.equal(model(**model_inputs(model, ids, mask)).logits, plain)
    assert trace == []
    assert completions(model, change) == completions(model, [])
    always = [Addition(vector, 1, 9.0, gate=Gate(vector[0], 1, -1e9))]
    assert completions(model, always) == completions(model, [Addition(vector, 1, 9.0)])


def test_log_probabilities_are_gated_by_the_prompt_alone(model, family):
    """The target, and what else is measured in the same sweep, decide nothing."""
    vector, condition = noise(1, 2), noise(2)[0]
    sizes = projections(model, family, 1, condition)
    gate = Gate(condition, 1, sum(sorted(sizes)[1:3]) / 2)
    gated = [[Addition(vector, 2, 6.0, gate=gate)]] * len(PROMPTS)
    plain = [[Addition(vector, 2, 6.0)] if size > gate.threshold else [] for size in sizes]
    texts = [[*prompt, 50, 51, 52] for prompt in PROMPTS]
    lengths = [len(prompt) for prompt in PROMPTS]
    alone = token_logprobs(model, texts, gated, lengths)
    by_hand = token_logprobs(model, texts, plain, lengths)
    _, swept = swept_logprobs(model, texts, [plain, gated], lengths)
    for one, other, third in zip(alone, by_hand, swept, strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[0], third[0])


@pytest.mark.parametrize("use_cache", [True, False])
def test_it_is_decided_anew_for_other_prompts_in_one_context(use_cache):
    model = tiny("llama")
    vector, condition = noise(1, 2), noise(2)[0]
    sizes = projections(model, "llama", 1, condition)
    low, high = int(np.argmin(sizes)), int(np.argmax(sizes))
    gate = Gate(condition, 1, (sizes[low] + sizes[high]) / 2)
    change = [Addition(vector, 1, 9.0, gate=gate)]
    length = min(len(PROMPTS[low]), len(PROMPTS[high]))
    _, mask = left_pad([PROMPTS[low][:length]])

    def logits(number):
        tokens, _ = left_pad([PROMPTS[number][:length]])
        return model(tokens, attention_mask=mask, use_cache=use_cache).logits

    with torch.no_grad():
        alone = []
        for number in (low, high):
            with steer(model, change, mask):
                alone.append(logits(number))
        with steer(model, change, mask):
            both = [logits(low), logits(high), logits(low)]
    for one, other in zip(both, [*alone, alone[0]], strict=True):
        assert torch.equal(one, other)


def test_a_gate_that_is_read_too_late_is_refused():
    with pytest.raises(UserError, match="gate: layer 2 is read after layer 1"):
        Addition(noise(1), 1, 1.0, gate=Gate(noise(2)[0], 2, 0.0))
    with pytest.raises(ValueError, match=r"the shape \(1, 32\)"):
        Gate(noise(2), 1, 0.0)


def test_a_gate_needs_the_whole_prompt():
    model = tiny("llama")
    change = [Addition(noise(1), 2, 1.0, "back", gate=Gate(noise(2)[0], 1, 0.0))]
    ids, mask = left_pad(PROMPTS[:1])
    with (
        torch.no_grad(),
        pytest.raises(UserError, match="in one pass"),
        steer(model, change, mask),
    ):
        model(ids[:, :3], use_cache=True)


# --- of a config ----------------------------------------------------------------------------------


def gated(prepared, tmp_path, layer=1, threshold=0.5, numbers=1.0) -> Experiment:
    values = np.ones((2, 32), np.float32)
    files = {
        "v": write_layer(tmp_path, "v", 2, values),
        "w": write_layer(tmp_path, "w", layer, numbers * values),
    }
    gate = {"vector": "w", "layer": layer, "threshold": threshold}
    addition = {"vector": "v", "layer": 2, "coefficient": 1, "gate": gate}
    spec = {
        **{"name": "e", "model": "tiny", "prompts": {"split": "all"}, "dtype": "float32"},
        "compute": {"device": "cpu", "threads": 1},
        "conditions": {"a": {"method": "actadd", "additions": [addition]}},
    }
    assert conditions.vectors_needed(spec["conditions"], {}) == {("v", 2), ("w", layer)}
    return Experiment(spec, prepared, files, None)


def test_it_comes_from_a_config_and_is_in_the_key(prepared, tmp_path):
    result = gated(prepared, tmp_path)
    [addition] = result.additions(result.conditions[0])
    assert addition.gate.layer == 1 and addition.gate.threshold == 0.5
    assert torch.equal(addition.gate.vector, torch.ones(32))
    record = result.conditions[0].additions[0].record()
    assert record["gate"] == {"vector": "w", "layer": 1, "threshold": 0.5}
    module = MEASURES["completions"].module
    changes = [{}, {"threshold": 0.25}, {"numbers": 2.0}, {"layer": 0}]
    several = [gated(prepared, tmp_path / str(n), **c) for n, c in enumerate(changes)]
    keys = [each.cell_key(module, each.conditions[0]) for each in several]
    assert len(set(keys)) == len(changes) and keys[0] == result.cell_key(
        module, result.conditions[0]
    )
    nothing = gated(prepared, tmp_path / "zero", numbers=0.0)
    with pytest.raises(UserError, match=r"gate: the last row of vectors\.w is zero"):
        nothing.cell_key(module, nothing.conditions[0])
