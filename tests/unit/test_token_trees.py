"""Texts that begin alike are read as trees of tokens, with the numbers of plain rows."""

import math
import random

import pandas as pd
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from actadd.engine import token_trees
from actadd.engine.structure import blocks
from actadd.engine.token_trees import TokenTree, continuation_logprobs, takes_trees
from actadd.models import preparation
from actadd.scorers.models.perplexity import perplexity
from builders import tiny
from builders.families import FAMILIES, VOCABULARY
from builders.families import tiny as tiny_family

# Two prompts, one of which begins like the other; equal, nested and empty continuations.
PAIRS = [
    ([0, 5, 17], [33, 2, 64]),
    ([0, 5, 17, 9], [8, 9]),
    ([0, 5, 17], [33, 2, 65, 4]),
    ([0, 5, 17], []),
    ([0, 5, 17], [33, 2, 64]),
    ([0, 5, 17], [33]),
    ([0, 5, 17, 9], [8]),
]
# Windows narrower than a tree, and positions that are no argument.
PLAIN = ("mistral", "gemma2", "gemma3", "bloom")


def by_hand(model, prompt, continuation):
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *continuation]])).logits[0].double()
    rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return rows.gather(-1, torch.tensor(continuation)[:, None]).squeeze(-1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trees_numbers_are_those_of_each_text_alone(family):
    model = tiny_family(family)
    results = dict(continuation_logprobs(model, PAIRS, 4))
    assert set(results) == {number for number, (_, tokens) in enumerate(PAIRS) if tokens}
    for number, logprobs in results.items():
        assert logprobs.dtype == torch.float32
        assert torch.allclose(logprobs.double(), by_hand(model, *PAIRS[number]), atol=1e-5)
    assert takes_trees(model, 64) == (family not in PLAIN)


def test_a_window_is_no_obstacle_to_narrower_trees():
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=100,
        initializer_range=0.3,
    )
    model = MistralForCausalLM(config)
    assert takes_trees(model, 96) and not takes_trees(model, 200)


def test_half_precision_takes_trees():
    assert takes_trees(tiny_family("llama").bfloat16(), 60)


def test_a_token_is_computed_once_for_all_texts_that_begin_so():
    model = tiny_family("llama")
    assert takes_trees(model, 64)
    computed, read = [], []
    handles = [
        blocks(model)[0].register_forward_pre_hook(
            lambda _m, args, kwargs: computed.append(
                tuple((args[0] if args else kwargs["hidden_states"]).shape[:2])
            ),
            with_kwargs=True,
        ),
        model.lm_head.register_forward_hook(lambda _m, args, _out: read.append(len(args[0][0]))),
    ]
    dict(continuation_logprobs(model, PAIRS, 100))
    for handle in handles:
        handle.remove()
    # [0 5 17 33 2 65] and [0 5 17 9 8]; the last token of a text predicts nothing.
    assert computed == [(1, 6), (1, 5)]
    # After 17, 33, 2, 65 of the first tree and 9, 8 of the second.
    assert read == [4, 2]


def test_a_tree_is_no_wider_than_allowed(monkeypatch):
    monkeypatch.setattr(token_trees, "WIDTH", 48)
    model = tiny_family("gpt2")
    numbers = random.Random(0)
    pairs = [([0, 1, 2], [numbers.randrange(3, 90) for _ in range(20)]) for _ in range(9)]
    widths = []
    handle = blocks(model)[0].register_forward_pre_hook(
        lambda _m, args, kwargs: widths.append(
            (args[0] if args else kwargs["hidden_states"]).shape[1]
        ),
        with_kwargs=True,
    )
    results = dict(continuation_logprobs(model, pairs, 4))
    handle.remove()
    assert max(widths) <= 64 and len(results) == 9
    for number, logprobs in results.items():
        assert torch.allclose(logprobs.double(), by_hand(model, *pairs[number]), atol=1e-5)


def test_a_token_attends_to_its_own_text_alone():
    tree = TokenTree()
    tree.add(0, [7], [1, 2, 3])
    tree.add(1, [7], [1, 4, 5])
    assert tree.ids == [7, 1, 2, 4] and tree.positions == [0, 1, 2, 2]
    assert tree.attention(5).int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert tree.lacks([7, 1, 4, 5]) == 1 and tree.lacks([7, 1]) == 0


@pytest.fixture
def judge(tiny_model, tmp_path):
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    preparation.prepare(entry, tiny_model, tmp_path / "tiny")
    spec = {"model": "tiny", "dtype": "float32", "batch_rows": 32}
    spec |= {"compute": {"device": "cpu", "threads": 1}}
    return lambda texts: perplexity.score(
        pd.DataFrame(texts, columns=["prompt", "completion"]), spec, tmp_path / "tiny"
    )


WORDS = ["the", "wedding", "ship", "was", "old", "and", "happy", "port", "sailed", "They"]


def cell(seed):
    numbers = random.Random(seed)
    return [
        (prompt, " " + " ".join(numbers.choices(WORDS, k=numbers.randrange(12))))
        for prompt in ("We said", "The weather was cold and", "She")
        for _ in range(5)
    ]


def test_a_cells_bytes_do_not_depend_on_the_cells_scored_beside_it(judge):
    first = [judge(cell(seed)) for seed in range(4)]
    again = [judge(cell(seed)) for seed in (3, 1, 0, 2)]
    for seed, result in zip((3, 1, 0, 2), again, strict=True):
        assert result.to_numpy().tobytes() == first[seed].to_numpy().tobytes()


def test_a_completions_score_is_its_own_up_to_rounding(judge):
    whole = judge(cell(5))
    for number in (0, 4, 7):
        alone = judge([cell(5)[number]])["mean_logprob"][0]
        both_empty = math.isnan(alone) and math.isnan(whole["mean_logprob"][number])
        assert both_empty or alone == pytest.approx(whole["mean_logprob"][number], abs=1e-5)
