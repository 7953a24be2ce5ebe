"""Decode steps of fixed shape draw the same tokens as ordinary ones."""

import pytest
import torch

from actadd.engine.additions import Addition, Gate
from actadd.engine.batching import left_pad
from actadd.engine.decoding import static
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.decoding.start import Start
from builders.families import FAMILIES, VOCABULARY, tiny

STEPS = 12
PROMPTS = [
    [0, 5, 17, 33, 2, 64],
    [0, 8, 9],
    [0, 40, 41, 42, 43, 44, 45, 46, 47],
    [0, 71, 3, 90],
]
PENALISED = Sampling(temperature=0.8, top_p=0.6, frequency_penalty=1.0)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return tiny(request.param)


def vector(rows=2, seed=0, width=32):
    return torch.randn(
        rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def both(model, **options):
    """Tokens of ordinary and of static steps, for the same options."""
    ids, mask = left_pad(options.pop("prompts", PROMPTS), pad_id=1)
    options = {"sampling": PENALISED, "max_new_tokens": STEPS, **options}
    ordinary, fixed = (
        generate(model, ids, mask, static=static_, **options).tolist() for static_ in (False, True)
    )
    return ordinary, fixed


@pytest.fixture
def kept(monkeypatch, model):
    """Decoders are kept as on a GPU, with all but the graphs; counts passes over prompts."""
    monkeypatch.setattr(static, "KEPT_ON", {"cpu"})
    passes = []
    read = Start.read
    monkeypatch.setattr(Start, "read", lambda start, *rest: passes.append(1) or read(start, *rest))
    yield passes
    static.forget(model)


def test_every_family_goes_this_way(model, capsys):
    both(model)
    assert static.is_checked(model) and static.is_open(model)
    assert "ordinary decode steps" not in capsys.readouterr().out


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), PENALISED, Sampling(top_p=0.95)])
def test_padded_prompts(model, sampling):
    ordinary, fixed = both(model, sampling=sampling)
    assert fixed == ordinary
    assert len(fixed[0]) == STEPS


def test_prompts_that_fill_their_columns(model):
    ordinary, fixed = both(model, prompts=[row[:3] for row in PROMPTS], max_new_tokens=14)
    assert fixed == ordinary


def test_samples_that_share_a_prefill(model):
    ordinary, fixed = both(model, samples=3)
    assert fixed == ordinary and len(fixed) == 3 * len(PROMPTS)


def test_contrast(model):
    steered, _ = both(model)
    ordinary, fixed = both(model, prompts=PROMPTS + PROMPTS[::-1], contrast=-0.7, samples=2)
    assert fixed == ordinary and fixed[::2] != steered


def test_what_acts_in_decode_steps(model):
    additions = [
        [Addition(vector(), 1, 3.0, phase="every_step")],
        [Addition(vector(1, 3), 0, 2.0, phase="decode", operation="add_preserving_norm")],
        [
            Addition(vector(1, 1), 1, 2.0, phase="decode"),
            Addition(vector(1, 2), 1, phase="decode", operation="ablate"),
            Addition(vector(), 2, 4.0),
        ],
        [],
    ]
    unsteered, _ = both(model, samples=2)
    ordinary, fixed = both(model, additions=additions, samples=2)
    assert fixed == ordinary
    changed = [a != b for a, b in zip(fixed, unsteered, strict=True)]
    assert any(changed[:2]) and any(changed[2:4]) and any(changed[4:6]) and not any(changed[6:])


def test_gates(model):
    gates = [Gate(vector(1)[0], 0, threshold) for threshold in (-1e9, 1e9)]
    additions = [
        [Addition(vector(1, 1), 1, 9.0, phase="every_step", gate=gate)] for gate in gates * 2
    ]
    unsteered, _ = both(model)
    ordinary, fixed = both(model, additions=additions)
    assert fixed == ordinary
    assert fixed[1::2] == unsteered[1::2] and fixed[::2] != unsteered[::2]


def test_stop_tokens(model):
    stops = range(1, VOCABULARY, 6)
    ordinary, fixed = both(model, stop_ids=stops, samples=4)
    assert fixed == ordinary
    assert any(-1 in row for row in fixed)
    few = both(model, prompts=PROMPTS[:1], stop_ids=range(0, VOCABULARY, 2))
    assert few[0] == few[1] and len(few[1][0]) < STEPS


def test_rows_whose_logits_are_not_numbers(model):
    additions = [[Addition(vector(1), 1, 1e200, phase="decode")], [], [], []]
    ordinary, fixed = both(model, additions=additions)
    assert fixed == ordinary
    assert -2 in fixed[0] or model.config.model_type not in ("gpt2", "opt")


def test_a_mass_beyond_the_kept_tokens_is_drawn_by_the_ordinary_sampler(model, monkeypatch):
    monkeypatch.setattr("actadd.engine.decoding.fixed_sampler.KEPT", 2)
    ordinary, fixed = both(model, stop_ids=range(1, VOCABULARY, 6), samples=2)
    assert fixed == ordinary


def steered(seed):
    """Sums at prompt positions and in decode steps, of other vectors for each seed."""
    return [
        [Addition(vector(), 1, 3.0 + seed, phase="every_step"), Addition(vector(1, seed), 2, 5.0)],
        [Addition(vector(2, seed + 1), 1, 4.0, phase="every_step"), Addition(vector(), 2, 2.0)],
        [],
        [Addition(vector(1, 7), 1, seed + 1.0), Addition(vector(1), 2, 1.0)],
    ]


@pytest.mark.parametrize("options", [{}, {"samples": 2}, {"stop_ids": range(1, VOCABULARY, 6)}])
def test_the_pass_over_prompts_goes_on_with_a_decoder_that_is_kept(model, kept, options):
    for seed, prompts in enumerate((PROMPTS, PROMPTS[::-1], PROMPTS)):
        ordinary, fixed = both(
            model, prompts=prompts, additions=steered(seed), max_new_tokens=6, **options
        )
        assert fixed == ordinary
    assert len(kept) == 2


def test_contrasts_with_a_decoder_that_is_kept(model, kept):
    for prompts in (PROMPTS + PROMPTS[::-1], PROMPTS[::-1] + PROMPTS):
        ordinary, fixed = both(model, prompts=prompts, contrast=-0.7, max_new_tokens=6)
        assert fixed == ordinary
    assert len(kept) == 1


def test_what_is_not_a_number_does_not_stay_in_the_cache(model, kept):
    broken = [[Addition(vector(1), 1, 1e200, phase="every_step")]] * 4
    sound = [[Addition(vector(1), 1, 1.0, phase="every_step")]] * 4
    for additions in (sound, broken, sound):
        ordinary, fixed = both(model, additions=additions, max_new_tokens=6)
        assert fixed == ordinary
    assert len(kept) == 2


def test_what_a_number_of_the_prompt_decides_is_read_by_the_ordinary_pass(model, kept):
    gate = Gate(vector(1)[0], 0, 0.0)
    additions = [[Addition(vector(1, 1), 1, 9.0, phase="every_step", gate=gate)]] * 4
    for _ in range(3):
        ordinary, fixed = both(model, additions=additions, max_new_tokens=6)
        assert fixed == ordinary
    assert not kept


def test_a_first_token_beyond_the_kept_ones_is_drawn_after_an_ordinary_pass(
    model, kept, monkeypatch
):
    monkeypatch.setattr("actadd.engine.decoding.fixed_sampler.KEPT", 1)
    flat = Sampling(temperature=5.0, top_p=0.9)
    for prompts in (PROMPTS, PROMPTS[::-1]):
        ordinary, fixed = both(model, prompts=prompts, sampling=flat, max_new_tokens=6)
        assert fixed == ordinary
    assert len(kept) == 1
