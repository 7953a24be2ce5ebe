"""Our steering operations against plain hooks, for every family: tests/builders/reference.py."""

import pytest
import torch

from actadd import Addition, UserError, generate, steer
from actadd.engine.batching import left_pad
from actadd.engine.hooks import record_activations
from actadd.engine.logprobs import token_logprobs
from actadd.engine.operations import OPERATIONS, unit
from actadd.engine.structure import blocks, model_inputs
from builders import reference
from builders.families import FAMILIES, LAYERS, block_list, tiny

STEPS = 5
PROMPTS = [
    [0, 5, 17, 33, 2, 64],
    [0, 8, 9],
    [0, 40, 41, 42, 43, 44, 45, 46, 47],
    [0, 71, 3, 90],
]
# Of each row: (operation, strength, layers, position, phase), in the order in which they act.
ROWS = [
    [("add_preserving_norm", 3.0, [1], "front", "prefill")],
    [("rotate", 60.0, [2], "back", "every_step")],
    [("ablate", 0.7, [0, 1, 2], "middle", "every_step")],
    [("clamp", -4.0, [1], 1, "prefill")],
    [],
    [("add", 4.0, [1], "front", "prefill")],
    [("rotate", -100.0, [0, 2], "middle", "decode"), ("add", 2.0, [2], "back", "prefill")],
    [("clamp", 5.0, [2], "back", "every_step"), ("rotate", 30.0, [2], "back", "every_step")],
    [("rotate", 30.0, [1], "front", "prefill"), ("clamp", 5.0, [1], "front", "prefill")],
    [("add", 3.0, [0], "front", "decode"), ("add_preserving_norm", -2.0, [1], "back", "decode")],
    [("add", 2.0, [1], 0, "prefill"), ("ablate", 1.0, [1], 0, "prefill")],
]
TEXTS = [PROMPTS[number % len(PROMPTS)] for number in range(len(ROWS))]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def model(family):
    return tiny(family)


@pytest.fixture(scope="module")
def pair(model):
    """A pair's vector at every layer, [layers, 3, d_model]; zero at BOS."""
    streams = [
        record_activations(model, torch.tensor([ids]))[:, 0] for ids in ([0, 11, 12], [0, 60, 13])
    ]
    return streams[0] - streams[1]


def additions(pair, row):
    return [
        Addition(pair[layer], layer, strength, position, phase=phase, operation=operation)
        for operation, strength, layers, position, phase in row
        for layer in layers
    ]


def acts(pair, row, length):
    """The same for `reference.operated_logits`."""
    every = []
    for operation, strength, layers, position, phase in row:
        first = {"front": 0, "middle": length // 2 - 1, "back": length - 3}.get(position, position)
        for layer in layers:
            last = pair[layer][2]
            at = [] if phase == "decode" else [(first + n, pair[layer][n]) for n in range(3)]
            at += [] if phase == "prefill" else [(length + n, last) for n in range(STEPS)]
            every += [(layer, place, operation, vector, strength) for place, vector in at]
    return every


def completions(model, prompts, changes):
    ids, mask = left_pad(prompts, 1)
    return generate(model, ids, mask, additions=changes, max_new_tokens=STEPS).tolist()


def test_rows_of_a_mixed_batch_equal_the_reference_and_each_alone(model, family, pair):
    changes = [additions(pair, row) for row in ROWS]
    batch = completions(model, TEXTS, changes)
    for row, prompt, change, tokens in zip(ROWS, TEXTS, changes, batch, strict=True):
        expected_acts = acts(pair, row, len(prompt))
        expected = reference.greedy_operated(
            model, block_list(model, family), prompt, expected_acts, STEPS
        )
        assert tokens == expected, row
        assert completions(model, [prompt], [change]) == [expected], row
    unsteered = completions(model, TEXTS, [[] for _ in ROWS])
    assert sum(one != other for one, other in zip(batch, unsteered, strict=True)) >= 5


def test_log_probabilities_equal_the_reference_and_agree_with_completions(model, family, pair):
    changes = [additions(pair, row) for row in ROWS]
    batch = completions(model, TEXTS, changes)
    whole = [prompt + tokens for prompt, tokens in zip(TEXTS, batch, strict=True)]
    measured = token_logprobs(model, whole, changes, [len(prompt) for prompt in TEXTS])
    for row, prompt, text, (logprob, rank) in zip(ROWS, TEXTS, whole, measured, strict=True):
        expected_acts = acts(pair, row, len(prompt))
        logits = reference.operated_logits(model, block_list(model, family), text, expected_acts)
        expected = logits.log_softmax(-1)[range(len(text) - 1), text[1:]]
        assert torch.allclose(logprob.double(), expected, atol=1e-4), row
        # What is drawn greedily is the likeliest token where it is read.
        assert not rank[len(prompt) - 1 :].any(), row


@pytest.mark.parametrize("operation", ["add", "add_preserving_norm", "rotate", "ablate"])
def test_at_zero_nothing_changes_by_a_bit(model, pair, operation):
    ids, mask = left_pad(PROMPTS, 1)
    with torch.no_grad():
        plain = model(**model_inputs(model, ids, mask)).logits
        nothing = [
            Addition(pair[layer], layer, 0.0, operation=operation, phase="every_step")
            for layer in range(LAYERS)
        ]
        with steer(model, nothing, mask):
            assert torch.equal(model(**model_inputs(model, ids, mask)).logits, plain)
    assert completions(model, PROMPTS, nothing) == completions(model, PROMPTS, [])


def test_the_trace_says_what_was_done_where(model, pair):
    ids, mask = left_pad(PROMPTS[:2], 1)
    changes = [
        [Addition(pair[1], 1, 30.0, operation="rotate"), Addition(pair[1], 1, 2.0)],
        [Addition(pair[2], 2, operation="ablate", phase="decode")],
    ]
    trace = []
    generate(model, ids, mask, additions=changes, max_new_tokens=3, trace=trace)
    touched = sorted((each.row, each.layer, each.position, each.operation) for each in trace)
    both = [(0, 1, at, name) for at in range(3) for name in ("add", "rotate")]
    assert touched == [*both, (1, 2, 3, "ablate"), (1, 2, 4, "ablate")]
    # Without a direction, as at BOS, nothing is done, and the trace says so.
    assert [each.norm > 0 for each in trace if each.operation == "rotate"] == [False, True, True]


def test_it_acts_on_no_token_that_is_not_drawn_yet(model, pair):
    """Decode alone, where one token is drawn: the prompt is read as it is, and nobody complains."""
    ids, mask = left_pad(PROMPTS, 1)
    change = [Addition(pair[1], 1, 30.0, phase="decode", operation="rotate")]
    steered = generate(model, ids, mask, additions=change, max_new_tokens=1).tolist()
    assert steered == [tokens[:1] for tokens in completions(model, PROMPTS, [])]


# --- the formulas, on one family each -------------------------------------------------------------


def stream(model, change, layer, prompts=PROMPTS, width=None):
    """What block `layer` reads, [rows, tokens, d_model]."""
    ids, mask = left_pad(prompts, 1, width)
    seen = []
    with torch.no_grad(), steer(model, change, mask):
        handle = blocks(model)[layer].register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]),
            with_kwargs=True,
        )
        model(**model_inputs(model, ids, mask))
        handle.remove()
    return seen[0]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def one(request):
    return tiny(request.param)


def vectors(rows=1):
    return torch.randn(rows, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_a_clamp_to_the_streams_own_projection_changes_nothing(one):
    vector = vectors()
    before = stream(one, [], 1, PROMPTS[:1])
    value = float(before[0, 2] @ vector[0] / vector.norm())
    clamp = Addition(vector, 1, value, 2, operation="clamp")
    assert (stream(one, [clamp], 1, PROMPTS[:1]) - before).abs().max() < 1e-12


def test_rows_have_the_same_bytes_whatever_stands_beside_them(one):
    small = tiny("gpt2").float()
    vector = vectors(2)
    changes = [
        [
            Addition(vector, 1, strength, operation=name, phase="every_step")
            for name, strength in (("rotate", 40.0), ("add_preserving_norm", 2.0))
        ],
        [Addition(vector, 1, 3.0, operation="clamp")],
        [Addition(vector, 1, 40.0, operation="rotate")],
        [],
    ]
    batch = stream(small, changes, 2)
    for row in range(len(PROMPTS)):
        alone = [changes[row] if other == row else [] for other in range(len(PROMPTS))]
        assert torch.equal(stream(small, alone, 2)[row], batch[row])


@pytest.mark.parametrize("operation", ["rotate", "add_preserving_norm"])
def test_a_stream_along_the_vector_and_one_of_nothing_stay_finite(operation):
    kind = OPERATIONS[operation]
    along = torch.tensor([[3.0, 4.0], [0.0, 0.0], [-3.0, -4.0]])
    options = kind.options(**{kind.strength: 1.0})
    new = kind(along, torch.tensor([[3.0, 4.0]] * 3), options)
    assert new.isfinite().all()
    if operation == "rotate":
        assert torch.equal(new, along)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if OPERATIONS[name].needs_strength])
def test_an_operation_without_its_strength_is_refused(name):
    strength = OPERATIONS[name].strength
    with pytest.raises(UserError, match=f"operation {name} has no {strength}"):
        Addition(vectors(), 1, operation=name)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_a_direction_counts_at_any_norm(size):
    vectors = torch.full((1, 8), size, dtype=torch.float32)
    assert unit(vectors).allclose(torch.full((1, 8), 8**-0.5))
