"""What other programs import: lazily, on any causal language model, beside its own `generate`."""

import ast
import copy
import doctest
import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

import actadd
from actadd import (
    Addition,
    Gate,
    Sampling,
    SteeringVectors,
    UserError,
    generate,
    prompt_batch,
    record_activations,
    steer,
    steering_vector,
)
from actadd.engine.batching import left_pad
from actadd.engine.structure import blocks
from actadd.engine.tokens import Tokens
from actadd.vectors.activations import contrast_ids
from actadd.vectors.kinds import VECTOR_KINDS
from builders.families import LAYERS, VOCABULARY, block_list, tiny
from builders.tiny import ROOT

FAMILIES = ["gpt2", "llama", "gemma2", "bloom"]
# BOS is token 0; of different lengths, so that a batch of them is padded.
PROMPTS = [[0, 5, 9, 20, 31], [0, 40, 3], [0, 7, 8, 9, 10, 11, 12]]
STEPS = 5
GREEDY = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return tiny(request.param)


@pytest.fixture(scope="module")
def tokenizer(tiny_model) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_file=str(tiny_model / "tokenizer.json"),
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
    )


@pytest.fixture(scope="module")
def gpt2(tiny_model):
    return GPT2LMHeadModel.from_pretrained(tiny_model).eval()


def addition(model, rows=3, layer=1, **options) -> Addition:
    generator = torch.Generator().manual_seed(1)
    width = model.config.get_text_config().hidden_size
    vector = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return Addition(vector, layer, 3.0, **options)


def continued(model, ids, mask, additions=None, **options):
    """New tokens of the model's own greedy `generate`."""
    if additions is None:
        written = model.generate(ids, attention_mask=mask, **GREEDY, **options)
    else:
        with steer(model, additions, mask):
            written = model.generate(ids, attention_mask=mask, **GREEDY, **options)
    return written[:, ids.shape[1] :].tolist()


def hooks(model) -> int:
    kept = ("_forward_pre_hooks", "_forward_hooks", "_forward_pre_hooks_with_kwargs")
    return sum(len(getattr(module, name)) for module in model.modules() for name in kept)


# --- importing ------------------------------------------------------------------------------------


def test_every_public_name_exists_and_is_documented():
    for name in actadd.__all__:
        assert getattr(actadd, name).__doc__
        assert name in dir(actadd)
    with pytest.raises(AttributeError, match="no attribute 'steeer'"):
        actadd.steeer  # noqa: B018


def test_type_checkers_see_the_names_that_are_imported_late():
    imports = [
        line
        for line in ast.walk(ast.parse(Path(actadd.__file__).read_text()))
        if isinstance(line, ast.ImportFrom) and line.module.startswith("actadd.")
    ]
    visible = {alias.asname: line.module for line in imports for alias in line.names}
    assert visible == {name: f"actadd.{module}" for name, module in actadd._PUBLIC.items()}
    assert Path(actadd.__file__).with_name("py.typed").is_file()


def test_importing_the_package_imports_no_torch():
    code = (
        "import sys, actadd, actadd.config.checks;"
        "slow = {'torch', 'numpy', 'pandas', 'transformers'};"
        "assert not slow & set(sys.modules), slow & set(sys.modules);"
        "from actadd import steer; assert 'torch' in sys.modules"
    )
    environment = {"PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize(
    "module",
    [
        "engine.additions",
        "engine.batching",
        "models.verified",
        "models.verification.verify",
        "vectors.derivation",
        "vectors.file_formats",
        "vectors.steering_vectors",
    ],
)
def test_the_examples_in_docstrings_run(module, gpt2, tokenizer):
    names = {"model": gpt2, "tokenizer": tokenizer}
    names |= {name: getattr(actadd, name) for name in actadd.__all__}
    result = doctest.testmod(importlib.import_module(f"actadd.{module}"), extraglobs=names)
    assert result.attempted and not result.failed


# --- recording ------------------------------------------------------------------------------------


def test_the_stream_is_what_each_block_reads(model, request):
    family = request.node.callspec.params["model"]
    ids, mask = left_pad(PROMPTS, pad_id=1)
    seen = {}

    def note(layer):
        return lambda _, args, kwargs: seen.update(
            {layer: args[0] if args else kwargs["hidden_states"]}
        )

    handles = [
        block.register_forward_pre_hook(note(layer), with_kwargs=True)
        for layer, block in enumerate(block_list(model, family))
    ]
    stream = record_activations(model, ids, mask)
    for handle in handles:
        handle.remove()
    assert stream.shape == (LAYERS, *ids.shape, 32) and stream.dtype == torch.float64
    assert all(torch.equal(stream[layer], seen[layer]) for layer in range(LAYERS))


def test_recorded_batches_equal_prompts_alone(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    together = record_activations(model, ids, mask)
    for row, prompt in enumerate(PROMPTS):
        alone = record_activations(model, torch.tensor([prompt]))[:, 0]
        torch.testing.assert_close(together[:, row, -len(prompt) :], alone)


# --- steering -------------------------------------------------------------------------------------


def test_a_batch_with_left_padding_equals_its_rows_alone(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    added = addition(model)
    together = continued(model, ids, mask, [added])
    for row, prompt in enumerate(PROMPTS):
        alone = torch.tensor([prompt])
        assert continued(model, alone, torch.ones_like(alone), [added]) == [together[row]]
    assert together != continued(model, ids, mask)


def test_one_list_of_additions_means_every_row(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    added = [addition(model), addition(model, rows=1, layer=2)]
    assert continued(model, ids, mask, added) == continued(model, ids, mask, [added] * 3)
    mixed = continued(model, ids, mask, [added, [], added])
    plain, steered = continued(model, ids, mask), continued(model, ids, mask, added)
    assert mixed == [steered[0], plain[1], steered[2]]


def test_returned_sequences_are_steered_as_their_prompt(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    rows = [[addition(model)], [], [addition(model, layer=0)]]
    once = continued(model, ids, mask, rows)
    options = {"num_return_sequences": 2, "num_beams": 1}
    torch.manual_seed(0)
    with steer(model, rows, mask):
        written = model.generate(
            ids, attention_mask=mask, **{**GREEDY, "do_sample": True}, top_k=1, **options
        )
    assert written[:, ids.shape[1] :].tolist() == [row for row in once for _ in range(2)]


@pytest.mark.parametrize("arguments", [("tokenizer", "hello"), ("hello", None), ([[1]], None)])
def test_texts_in_place_of_tokens_are_told_what_is_wanted(gpt2, arguments):
    for function in (generate, record_activations):
        with pytest.raises(TypeError, match=r"prompt_batch\(tokenizer"):
            function(gpt2, *arguments)


WRONG_TYPES = {
    "a model's name": ({"model": "gpt2"}, "model is a str.*from_pretrained"),
    "no list": (lambda one: {"additions": one}, r"one Addition; write a list: \[addition\]"),
    "a text": ({"additions": "Love"}, r"additions is a str; write a list of Addition"),
    "an array": ({"additions": [np.ones((2, 8))]}, "holds a ndarray; write a list of Addition"),
    "a config's entry": ({"additions": [{"vector": "love"}]}, "holds a dict; write a list of"),
    "a list in a list": ({"additions": [[3]]}, "holds a int; write a list of"),
    "a temperature": ({"sampling": 0.7}, r"sampling is a float; write Sampling\("),
    "a stop text": ({"stop_ids": "."}, "stop_ids is a str; write a list of ids"),
    "one stop id": ({"stop_ids": 3}, "stop_ids is a int; write a list of ids"),
    "a length in words": ({"max_new_tokens": "5"}, "max_new_tokens is a str; write a whole"),
    "half a sample": ({"samples": 0.5}, "samples is a float; write a whole"),
    "noise of numpy": ({"uniforms": np.zeros((1, 4))}, "uniforms is a ndarray; write a float64"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_an_argument_of_another_type_is_told_what_to_write(gpt2, changes, message):
    changes = changes(addition(gpt2)) if callable(changes) else changes
    ids, mask = left_pad(PROMPTS, pad_id=1)
    arguments = {"model": gpt2, "input_ids": ids, "attention_mask": mask, **changes}
    with pytest.raises(TypeError, match=message):
        generate(**arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0; write a whole number from 1"),
        ({"samples": -1}, "samples is -1"),
        ({"sampling": Sampling(top_p=3)}, "top_p is 3; write a number from 0 to 1"),
        ({"sampling": Sampling(temperature=-1)}, "temperature is -1; write a number from 0 on"),
        ({"sampling": Sampling(temperature="hot")}, "temperature is 'hot'"),
    ],
)
def test_a_value_out_of_range_is_told_what_to_write(gpt2, changes, message):
    with pytest.raises(UserError, match=message):
        generate(gpt2, *left_pad(PROMPTS, pad_id=1), **changes)


def test_other_functions_tell_it_too(gpt2, tokenizer):
    one, (_, mask) = addition(gpt2), left_pad(PROMPTS, pad_id=1)
    for model, additions, wrong in ((gpt2, one, mask), (gpt2, [one], "x"), ("gpt2", [one], mask)):
        with pytest.raises(TypeError, match="write "), steer(model, additions, wrong):
            pass
    for arguments in (("gpt2", tokenizer, "a", "b"), (gpt2, tokenizer, "a", "b", "x")):
        with pytest.raises(TypeError, match="write a"):
            steering_vector(*arguments[:4], layer=arguments[4] if arguments[4:] else 1)
    for rows in ([np.ones((2, 8))], {"6": np.ones((2, 8))}):
        with pytest.raises(TypeError, match=r"rows: write \{layer: array\}"):
            SteeringVectors(rows)


def test_numbers_of_numpy_are_numbers(gpt2):
    one = replace(addition(gpt2), layer=np.int64(1), coefficient=np.float32(2))
    ids, mask = left_pad(PROMPTS, pad_id=1)
    steered = [
        generate(gpt2, ids, mask, additions=[each], max_new_tokens=np.int64(3)).tolist()
        for each in (one, replace(one, layer=1, coefficient=2.0))
    ]
    assert steered[0] == steered[1]


def test_the_library_generates_what_the_model_itself_does(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    result = generate(model, ids, mask, additions=[addition(model)], max_new_tokens=STEPS)
    assert result.tolist() == continued(model, ids, mask, [addition(model)])


def test_hooks_are_removed_however_the_context_ends(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    before, plain = hooks(model), continued(model, ids, mask)
    with pytest.raises(KeyError), steer(model, [addition(model)], mask):
        model(ids, attention_mask=mask)
        raise KeyError
    with pytest.raises(ValueError, match="2 rows, the additions were given for 3"):  # noqa: SIM117
        with steer(model, [addition(model)], mask):
            model(ids[:2], attention_mask=mask[:2])
    with pytest.raises(UserError, match="layer 9 does not exist"):
        steer(model, [addition(model), addition(model, layer=9)], mask).__enter__()
    with pytest.raises(UserError, match="8 positions and the prompt only 5"):
        steer(model, [addition(model, rows=8)], mask).__enter__()
    assert hooks(model) == before
    assert continued(model, ids, mask) == plain


ONES = torch.ones(1, 32)
CLAMPED = Addition(ONES, 1, 2.0, operation="clamp")


@pytest.mark.parametrize(
    ("additions", "message"),
    [
        *(
            ([Addition(0 * ONES, 1, 1.0, operation=name)], f"operation: {name} needs a direction")
            for name in ("rotate", "ablate", "clamp", "add_preserving_norm")
        ),
        ([CLAMPED, Addition(ONES, 1, 1.0, operation="clamp")], "clamp contradict.*remove one"),
        ([CLAMPED, Addition(ONES, 1, 1.0, operation="ablate")], "clamp and ablate contradict"),
        ([[], [CLAMPED, Addition(ONES, 1, 1.0, "all", operation="clamp")]], None),
        ([CLAMPED, Addition(ONES, 1, 1.0, operation="clamp", phase="decode")], None),
        ([CLAMPED, Addition(ONES, 2, 1.0, operation="clamp")], None),
        ([CLAMPED, Addition(ONES * torch.arange(32), 1, 1.0, operation="clamp")], None),
        ([Addition(0 * ONES, 1, 1.0), Addition(ONES, 1, 1.0)], None),
        ([Addition(ONES, 1, float("nan"))], "coefficient: nan; write a finite number"),
        ([Addition(ONES, 7, 1.0)], "layer 7 does not exist: the model has 0 to 2"),
        (
            [Addition(ONES, 1, 1.0, gate=Gate(torch.zeros(32), 0, 1.0))],
            "gate: its vector is zero; take another",
        ),
        (
            [Addition(ONES, 1, 1.0, gate=Gate(ONES[0], 0, float("nan")))],
            "gate: its threshold is nan; write a number",
        ),
    ],
)
def test_what_a_config_refuses_is_refused_of_additions(gpt2, additions, message):
    ids, mask = left_pad(PROMPTS[:2], pad_id=1)
    if message is None:
        with steer(gpt2, additions, mask):
            gpt2(ids, attention_mask=mask)
        return
    with pytest.raises(UserError, match=message):
        generate(gpt2, ids, mask, additions=additions, max_new_tokens=1)
    with pytest.raises(UserError, match=message), steer(gpt2, additions, mask):
        gpt2(ids, attention_mask=mask)


def test_a_gate_needs_a_threshold():
    with pytest.raises(TypeError, match="threshold"):
        Gate(torch.ones(32), 0)


def test_additions_for_another_number_of_rows_are_refused(model):
    _, mask = left_pad(PROMPTS, pad_id=1)
    with pytest.raises(ValueError, match="1 rows of additions for a batch of 3"):
        steer(model, [[addition(model)]], mask).__enter__()


# --- generating -----------------------------------------------------------------------------------


def test_invalid_vectors_are_refused():
    with pytest.raises(TypeError, match=r"vector is a list; write a torch\.Tensor"):
        Addition([[1.0]], 1, 1.0)
    with pytest.raises(ValueError, match=r"shape \(4,\); write \[positions, d_model\]"):
        Addition(torch.ones(4), 1, 1.0)


def test_noise_belongs_to_a_prompt_and_its_sample(model):
    """Rows drawn from the default noise do not depend on the batch; a seed repeats them."""
    ids, mask = left_pad(PROMPTS, pad_id=1)
    options = {"sampling": Sampling(top_p=1.0), "max_new_tokens": STEPS}
    together = generate(model, ids, mask, samples=2, **options).tolist()
    alone = torch.tensor([PROMPTS[1]])
    single = generate(model, alone, torch.ones_like(alone), samples=2, **options).tolist()
    assert single == together[2:4] and single[0] != single[1]
    assert generate(model, ids, mask, samples=2, seed=1, **options).tolist() != together
    assert all(0 <= token < VOCABULARY for row in together for token in row)


# --- steering vectors -----------------------------------------------------------------------------


def test_the_vector_of_plain_objects_is_that_of_the_pipeline(gpt2, tokenizer, prepared):
    contrast = {"kind": "pair", "positive": "Love and peace", "negative": "Hate"}
    ids = contrast_ids(contrast, Tokens(prepared))
    assert len(ids["0.positive"]) == len(ids["0.negative"])
    streams = [record_activations(gpt2, torch.tensor([row]))[:, 0] for row in ids.values()]
    result = steering_vector(gpt2, tokenizer, "Love and peace", "Hate")
    assert torch.equal(result, streams[0] - streams[1]) and result.dtype == torch.float32
    assert not result[:, 0].any()
    assert torch.equal(
        steering_vector(gpt2, tokenizer, "Love and peace", "Hate", layer=2), result[2]
    )


def test_adding_the_difference_reproduces_the_other_prompt(gpt2, tokenizer):
    """Negative + (positive - negative) is the positive prompt, from the layer on."""
    vector = steering_vector(gpt2, tokenizer, "Love", "Hate", layer=1)
    tokens = Tokens.of(tokenizer, pad=" ")
    contrast = {"kind": "pair", "positive": "Love", "negative": "Hate"}
    positive, negative = contrast_ids(contrast, tokens).values()
    negative = torch.tensor([negative])
    with steer(gpt2, [Addition(vector, 1, 1.0)], torch.ones_like(negative)):
        steered = gpt2(negative).logits
    torch.testing.assert_close(steered, gpt2(torch.tensor([positive])).logits)


def test_lists_of_prompts_give_the_mean_of_their_last_differences(gpt2, tokenizer):
    positive, negative = ["good", "happy day"], ["bad", "sad"]
    tokens = Tokens.of(tokenizer)

    def last(text):
        return record_activations(gpt2, torch.tensor([tokens.encode(text)]))[:, 0, -1]

    expected = sum(last(p) - last(n) for p, n in zip(positive, negative, strict=True)) / 2
    result = steering_vector(gpt2, tokenizer, positive, negative)
    torch.testing.assert_close(result[:, 0], expected)
    assert result.shape == (LAYERS, 1, 32)


def test_half_precision_is_subtracted_in_single(gpt2, tokenizer):
    half = GPT2LMHeadModel(gpt2.config).to(torch.bfloat16).eval()
    assert steering_vector(half, tokenizer, "Love", "Hate").dtype == torch.float32


def test_without_a_kind_one_pair_is_its_difference_and_many_their_mean(gpt2, tokenizer):
    one, many = ("Love", "Hate"), (["good", "happy day"], ["bad", "sad"])
    for prompts, kind in ((one, "pair"), (many, "mean_difference")):
        vector = steering_vector(gpt2, tokenizer, *prompts)
        assert torch.equal(vector, steering_vector(gpt2, tokenizer, *prompts, kind=kind))
    # A list of one pair is a list: the row at the last tokens.
    last = steering_vector(gpt2, tokenizer, ["Love"], ["Hate"])
    assert torch.equal(last, steering_vector(gpt2, tokenizer, *one, kind="mean_difference"))


@pytest.mark.parametrize("kind", ["pca", "lda", "logistic", "shuffled"])
def test_other_directions_are_those_of_the_pipeline(gpt2, tokenizer, kind):
    sides = {"positive": ["good", "happy day", "joy"], "negative": ["bad", "sad", "grief"]}
    tokens, options = Tokens.of(tokenizer), {"token": "mean"}
    streams = {
        f"{number}.{side}": record_activations(gpt2, torch.tensor([tokens.encode(text)]))[1, 0]
        for side, texts in sides.items()
        for number, text in enumerate(texts)
    }
    of_kind = VECTOR_KINDS[kind]
    seed = {"seed": 0} if kind == "shuffled" else {}
    expected = of_kind(
        {name: stream.numpy() for name, stream in streams.items()},
        of_kind.options(**sides, **options, **seed),
    )
    vector = steering_vector(gpt2, tokenizer, **sides, kind=kind, layer=1, **options)
    assert vector.numpy() == pytest.approx(expected) and vector.shape == (1, 32)


MANY = {"positive": ["good", "happy"], "negative": ["bad", "sad"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positive": "", "negative": ""}, "both empty"),
        ({"positive": ["a"], "negative": "b"}, "two lists of one length"),
        ({"positive": ["a", "b"], "negative": ["c"]}, "two lists of one length"),
        ({"positive": [], "negative": []}, "both empty"),
        ({"positive": "a", "negative": "b", "layer": 3}, "the model has 0 to 2"),
        ({"positive": "a", "negative": "b", "layer": -1}, "layer -1 does not exist"),
        ({"positive": "a", "negative": "<|endoftext|>"}, "special token"),
        ({"positive": "a", "negative": "b", "pad": "xyzzy"}, "pad: 'xyzzy' is [2-9] tokens"),
        ({"positive": "a", "negative": "b", "bos": "xyzzy"}, "bos: 'xyzzy' is [2-9] tokens"),
        ({"positive": "a", "negative": "a"}, "prompts: positive and negative are both 'a'"),
        ({"positive": "a", "negative": "b", "kind": "pac"}, "kind: .*'pac'.*write one of lda"),
        ({"positive": "a", "negative": "b", "kind": "random"}, "kind: .*'random'.*write one of"),
        ({"positive": "a", "negative": "b", "token": "mean"}, "token: pair has no such option"),
        ({**MANY, "kind": "pair"}, "kind: pair is of one prompt each; .*mean_difference"),
        ({**MANY, "kind": "pca", "centre": False}, "centre: pca has no such option.*center"),
        ({**MANY, "kind": "pca", "like": "v"}, "like: pca has no such option"),
        ({**MANY, "token": "first"}, "token: 'first'.*write last, mean"),
        ({**MANY, "token": 0}, "token: 0 is BOS.*write a position from 1 on"),
        ({**MANY, "token": 9}, "token: 9 is beyond the prompt.*write a position"),
        (
            {"positive": "a", "negative": "b", "kind": "pca"},
            "positive: 1 pair; .*at least 2: write",
        ),
        ({**MANY, "kind": "lda"}, "positive: 2 pairs; a lda vector needs at least 3: write"),
        (
            {"positive": ["a", "b"], "negative": ["b", "a"], "kind": "logistic"},
            "same prompts; write",
        ),
    ],
)
def test_what_gives_no_vector_is_refused(gpt2, tokenizer, arguments, message):
    with pytest.raises(UserError, match=message):
        steering_vector(gpt2, tokenizer, **arguments)


def test_a_tokenizer_without_bos_is_told_what_to_do(gpt2, tiny_model):
    nameless = PreTrainedTokenizerFast(tokenizer_file=str(tiny_model / "tokenizer.json"))
    with pytest.raises(UserError, match=r"bos='<\|endoftext\|>'"):
        prompt_batch(nameless, ["a"])
    ids, _ = prompt_batch(nameless, ["a"], bos="<|endoftext|>")
    assert ids[0, 0] == 0


def test_the_users_tokenizer_stays_as_it_is(gpt2, tokenizer):
    """Also if it pads and cuts texts, which here must not happen."""
    tokenizer.backend_tokenizer.enable_padding(length=9)
    tokenizer.backend_tokenizer.enable_truncation(max_length=2)
    before = tokenizer.backend_tokenizer.to_str()
    ids, mask = prompt_batch(tokenizer, ["I hate you because", "The weather"])
    assert tokenizer.backend_tokenizer.to_str() == before
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    rows = [tokenizer.encode(text) for text in ("I hate you because", "The weather")]
    assert [row[keep.bool()].tolist() for row, keep in zip(ids, mask, strict=True)] == [
        [0, *row] for row in rows
    ]


def test_blocks_are_found_in_models_without_a_head(model):
    assert len(blocks(model.base_model)) == LAYERS


def test_a_prompt_is_a_text_or_ids_or_a_chat(gpt2, tokenizer):
    with_template = copy.deepcopy(tokenizer)
    with_template.chat_template = "{{ messages[0].content }}!{{ 'ok' if add_generation_prompt }}"
    talk = [{"role": "user", "content": "Love"}]
    told = [0, *tokenizer("Love!ok").input_ids]
    ids, _ = prompt_batch(with_template, [talk, told, told[1:], "Love!ok"])
    assert ids.tolist() == [told] * 4
    assert prompt_batch(with_template, talk)[0].tolist() == [told], "one prompt is a batch of one"
    assert prompt_batch(with_template, "Love!ok")[0].tolist() == [told]
    by_text = steering_vector(gpt2, tokenizer, "Love!ok", "Hate", layer=1)
    for positive in (talk, told, told[1:]):
        result = steering_vector(gpt2, with_template, positive, "Hate", layer=1)
        assert torch.equal(result, by_text)
    pairs = steering_vector(gpt2, with_template, [talk, "a"], [told[:3], "b"], layer=1)
    assert pairs.shape[0] == 1
    with pytest.raises(UserError, match="prompts: there is none"):
        prompt_batch(tokenizer, [])
    with pytest.raises(UserError, match="it carries no chat template; write a text or token ids"):
        prompt_batch(tokenizer, [talk])


def test_a_vector_that_acts_late_or_never_is_reported(gpt2, tokenizer):
    with pytest.warns(UserWarning, match="what differs acts from position"):
        vector = steering_vector(gpt2, tokenizer, "The love", "The hate", layer=1)
    zero = [not row.any() for row in vector]
    assert zero[:2] == [True, True] and not all(zero)
    with pytest.raises(UserError, match="'Love ' and 'Love' are the same tokens"):
        steering_vector(gpt2, tokenizer, "Love ", "Love")
    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["<new>"])
    with pytest.raises(UserError, match=r"'<new>' is token .*, and the model has embeddings"):
        steering_vector(gpt2, larger, "a <new>", "b")
