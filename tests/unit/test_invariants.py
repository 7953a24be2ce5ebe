"""What must hold for every model family, checked against tests/builders/reference.py."""

import pytest
import torch

from actadd.base.errors import UserError
from actadd.engine.additions import Addition
from actadd.engine.batching import left_pad
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.hooks import record_activations
from actadd.engine.placement import aligned
from actadd.engine.steering import steer
from actadd.engine.structure import blocks
from builders import reference
from builders.families import FAMILIES, LAYERS, VOCABULARY, block_list, tiny

GREEDY = Sampling(temperature=0)
STEPS = 8
PROMPTS = [
    [0, 5, 17, 33, 2, 64],
    [0, 8, 9],
    [0, 40, 41, 42, 43, 44, 45, 46, 47],
    [0, 71, 3, 90],
]
POSITIVE, NEGATIVE = [0, 11, 12], [0, 60, 13]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def model(family):
    return tiny(family)


@pytest.fixture(scope="module")
def pair(model):
    """The contrast pair's vector at every layer, [layers, positions, d_model]."""
    streams = [record_activations(model, torch.tensor([ids]))[:, 0] for ids in (POSITIVE, NEGATIVE)]
    return streams[0] - streams[1]


def run(model, prompts, additions, steps=STEPS, **options):
    ids, mask = left_pad(prompts, pad_id=1)
    uniforms = torch.zeros(len(prompts), steps, dtype=torch.float64)
    return generate(
        model,
        ids,
        mask,
        additions=additions,
        sampling=GREEDY,
        uniforms=uniforms,
        max_new_tokens=steps,
        **options,
    ).tolist()


def test_blocks_are_the_decoder_blocks(model, family):
    assert blocks(model) is block_list(model, family)
    assert len(blocks(model)) == LAYERS


def test_recorded_stream_is_what_an_independent_hook_sees(model, family):
    recorded = record_activations(model, torch.tensor([PROMPTS[0]]))
    for layer in range(LAYERS):
        seen = reference.stream_at(model, block_list(model, family), PROMPTS[0], layer)
        assert torch.equal(recorded[layer, 0], seen)


def test_recorded_stream_ignores_padding(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    recorded = record_activations(model, ids, mask)
    for row, prompt in enumerate(PROMPTS):
        alone = record_activations(model, torch.tensor([prompt]))[:, 0]
        # GPT-J keeps its rotary table in float32; every other family agrees to 1e-14.
        assert torch.allclose(recorded[:, row, -len(prompt) :], alone, atol=1e-5)


def test_the_pair_is_exactly_zero_at_bos(pair):
    assert torch.equal(pair[:, 0], torch.zeros_like(pair[:, 0]))
    assert pair[:, 1:].norm(dim=-1).min() > 0


@pytest.mark.parametrize("position", ["front", "middle", "back"])
@pytest.mark.parametrize("layer", range(LAYERS))
def test_a_padded_batch_equals_each_row_alone(model, family, pair, layer, position):
    additions = [Addition(pair[layer], layer, 4.0, position)]
    batch = run(model, PROMPTS, [additions] * len(PROMPTS))
    for prompt, row in zip(PROMPTS, batch, strict=True):
        first = {"front": 0, "middle": len(prompt) // 2 - 1, "back": len(prompt) - 3}[position]
        places = [(layer, first, 4.0 * pair[layer])]
        assert row == reference.greedy(model, block_list(model, family), prompt, places, STEPS)


def test_rows_of_one_batch_may_be_steered_differently(model, family, pair):
    conditions = [
        [],
        [Addition(pair[1], 1, 4.0)],
        [Addition(pair[0], 0, -2.0), Addition(pair[2], 2, 6.0, "back")],
        [Addition(pair[2], 2, 3.0), Addition(pair[1], 2, 1.5)],
    ]
    places = [
        [],
        [(1, 0, 4.0 * pair[1])],
        [(0, 0, -2.0 * pair[0]), (2, 6, 6.0 * pair[2])],
        [(2, 0, 3.0 * pair[2]), (2, 0, 1.5 * pair[1])],
    ]
    batch = run(model, PROMPTS, conditions)
    for prompt, row, where in zip(PROMPTS, batch, places, strict=True):
        assert row == reference.greedy(model, block_list(model, family), prompt, where, STEPS)
    assert batch != run(model, PROMPTS, None), "the additions should change something"


def test_added_in_the_prefill_only_and_never_on_padding(model, pair):
    trace = []
    additions = [Addition(pair[1], 1, 4.0)]
    run(model, PROMPTS, [additions] * len(PROMPTS), trace=trace)
    expected = {(row, 1, position, 0) for row in range(len(PROMPTS)) for position in range(3)}
    assert {touch[:4] for touch in trace} == expected
    assert len(trace) == len(expected)
    for touch in trace:
        assert touch.norm == pytest.approx(float(4 * pair[1][touch.position].norm()))


def test_without_a_cache_prompt_positions_again_and_generated_ones_never(model, pair):
    trace = []
    additions = [[Addition(pair[1], 1, 4.0, "back")]] * len(PROMPTS)
    uncached = run(model, PROMPTS, additions, use_cache=False, trace=trace)
    assert uncached == run(model, PROMPTS, additions)
    expected = {
        (row, 1, len(prompt) - 3 + index, step)
        for row, prompt in enumerate(PROMPTS)
        for index in range(3)
        for step in range(STEPS)
    }
    assert {touch[:4] for touch in trace} == expected and len(trace) == len(expected)


def test_every_step_adds_the_last_row_to_each_generated_token(model, pair):
    for use_cache in (True, False):
        trace = []
        additions = [[Addition(pair[1], 1, 4.0, phase="every_step")]] * len(PROMPTS)
        run(model, PROMPTS, additions, steps=3, use_cache=use_cache, trace=trace)
        touched = {(touch.row, touch.position) for touch in trace}
        # Three tokens are generated; the last is never read, so two are changed.
        expected = {(row, position) for row in range(4) for position in range(3)} | {
            (row, len(prompt) + step) for row, prompt in enumerate(PROMPTS) for step in range(2)
        }
        assert touched == expected


def test_coefficient_zero_is_unsteered(model, pair):
    zero = [[Addition(pair[1], 1, 0.0)]] * len(PROMPTS)
    assert run(model, PROMPTS, zero) == run(model, PROMPTS, None)
    ids, mask = left_pad(PROMPTS, pad_id=1)
    plain = model(ids, attention_mask=mask).logits
    with steer(model, zero, mask):
        assert torch.equal(model(ids, attention_mask=mask).logits, plain)


def test_negative_coefficient_is_the_swapped_pair(model, pair):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    logits = []
    for vector, coefficient in ((pair[1], -3.0), (-pair[1], 3.0)):
        with steer(model, [[Addition(vector, 1, coefficient)]] * len(PROMPTS), mask):
            logits.append(model(ids, attention_mask=mask).logits)
    assert torch.equal(*logits)


def test_only_the_first_dimensions(model, pair):
    trace = []
    run(model, PROMPTS[:1], [[Addition(pair[1], 1, 2.0, dimensions=8)]], steps=1, trace=trace)
    assert trace[1].norm == pytest.approx(float(2 * pair[1][1][:8].norm()))


def test_the_models_own_generate_is_steered_alike(model, pair):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    additions = [[Addition(pair[1], 1, 4.0)]] * len(PROMPTS)
    with steer(model, additions, mask):
        theirs = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=STEPS,
            eos_token_id=VOCABULARY + 1,
        )
    assert theirs[:, ids.shape[1] :].tolist() == run(model, PROMPTS, additions)


def test_hooks_are_removed_after_an_error(model, pair):
    _, mask = left_pad(PROMPTS, pad_id=1)
    before = run(model, PROMPTS, None)
    with pytest.raises(RuntimeError), steer(model, [[Addition(pair[1], 1, 9.0)]] * 4, mask):
        raise RuntimeError
    assert run(model, PROMPTS, None) == before


def test_a_vector_longer_than_the_prompt_is_refused(model, pair):
    with pytest.raises(UserError, match="3 positions and the prompt only 2 tokens"):
        run(model, [[0, 4]], [[Addition(pair[1], 1, 1.0)]])


def test_a_layer_beyond_the_depth_is_refused(model, pair):
    with pytest.raises(UserError, match="layer 3 does not exist"):
        run(model, PROMPTS[:1], [[Addition(pair[1], LAYERS, 1.0)]])


@pytest.mark.parametrize(
    ("position", "rows", "tokens", "expected"),
    [
        ("front", 2, 7, [0, 1]),
        ("middle", 2, 7, [2, 3]),
        ("middle", 3, 7, [2, 3, 4]),
        ("back", 3, 7, [4, 5, 6]),
        ("front", 7, 7, [0, 1, 2, 3, 4, 5, 6]),
        ("all", 1, 4, [1, 2, 3]),
    ],
)
def test_positions_as_the_authors_define_them(position, rows, tokens, expected):
    assert list(aligned(position, rows, tokens)) == expected
