"""What jobs ask a cluster for, against models whose sizes are known."""

import pytest

from actadd.config.checks import checked
from actadd.pipeline.resources import (
    DOCUMENT,
    PROGRAM,
    PROMPT,
    START,
    TEXT,
    TEXTS,
    Needs,
    Tokens,
    assumed_size,
    model_need,
    preparing_need,
)
from builders import tiny

CPU = {"device": "cpu", "threads": 4, "batch_rows": 128}
GPU = {"device": "cuda", "threads": 4, "batch_rows": "auto"}

# (parameters, layers, dtype, bytes of weights, bytes of one token's keys and values, vocabulary) as
# the models' own configs give them.
KNOWN = {
    "smollm2-135m": (134_515_008, 30, "float32", 538e6, 2 * 30 * 3 * 64 * 4, 49_152),
    "gpt2-xl": (1_557_611_200, 48, "float32", 6.23e9, 2 * 48 * 1600 * 4, 50_257),
    "opt-6.7b": (6_658_473_984, 32, "float16", 13.3e9, 2 * 32 * 4096 * 2, 50_272),
    "llama-13b": (13_015_864_320, 40, "float16", 26.0e9, 2 * 40 * 5120 * 2, 32_000),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_assumed_size_is_enough_but_not_much_more(name):
    parameters, layers, dtype, weights, token, vocabulary = KNOWN[name]
    size = assumed_size(parameters, layers, dtype)
    assert size.weights == pytest.approx(weights, rel=0.01)
    # Three of nine heads have keys in SmolLM2; the others have as many as heads.
    assert token <= size.token <= (3.3 if name == "smollm2-135m" else 1.05) * token
    assert 4 * vocabulary <= size.logits <= 4 * 4.1 * vocabulary


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    # Two copies of the weights, keys and values of 128 rows of 104 tokens, six rows of logits each.
    [("smollm2-135m", 7), ("gpt2-xl", 24), ("opt-6.7b", 36), ("llama-13b", 66)],
)
def test_memory_of_a_job_that_draws_on_a_cpu(name, gigabytes):
    parameters, layers, dtype, weights, token, vocabulary = KNOWN[name]
    tokens = Tokens(drawn=1000, row=PROMPT + 40)
    need = model_need(parameters, layers, dtype, tokens, compute=CPU)
    assert need.megabytes / 1000 == pytest.approx(gigabytes, abs=1.5)
    least = 2 * weights + 128 * (104 * token + 6 * 4 * vocabulary)
    assert need.memory > 0.99 * least


def test_a_cell_of_a_million_log_probabilities_takes_a_gigabyte_more():
    parameters, layers, dtype, *_ = KNOWN["gpt2-xl"]
    more, none = (
        model_need(parameters, layers, dtype, Tokens(read=10**7, kept=kept), compute=GPU)
        for kept in (10**6, 0)
    )
    assert more.memory - none.memory == pytest.approx(1.2e9, rel=0.1)


def test_on_a_gpu_main_memory_holds_the_weights_only():
    parameters, layers, dtype, weights, *_ = KNOWN["llama-13b"]
    need = model_need(parameters, layers, dtype, Tokens(drawn=10**6), compute=GPU)
    assert need.memory == pytest.approx(PROGRAM + 2 * weights, rel=0.01)


def test_time_grows_with_tokens_and_parameters_and_shrinks_with_threads():
    parameters, layers, dtype, *_ = KNOWN["smollm2-135m"]

    def minutes(tokens, compute=CPU, parameters=parameters):
        return model_need(parameters, layers, dtype, tokens, compute=compute).minutes

    # 2 x 134.5e6 operations for a token at 4 x 10e9 in a second: 149 tokens in a second.
    assert minutes(Tokens(drawn=149 * 3600)) == pytest.approx(START + 60, abs=2)
    assert minutes(Tokens(read=149 * 3600)) == pytest.approx(START + 30, abs=2)
    assert minutes(Tokens(drawn=149 * 3600), {**CPU, "threads": 1}) == pytest.approx(
        START + 240, abs=2
    )
    assert minutes(Tokens(drawn=149 * 3600), parameters=2 * parameters) > START + 115
    assert minutes(Tokens(drawn=149 * 3600), GPU) <= START + 3


def test_preparing_converts_in_memory_but_links_a_checkpoint():
    assert preparing_need(6_658_473_984, "transformers").memory == PROGRAM
    assert preparing_need(134_515_008, "gguf").memory == PROGRAM + 3 * 4 * 134_515_008
    assert preparing_need(6_658_473_984, "transformers").minutes == START + 5


@pytest.fixture(scope="module")
def needs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("needs")
    tiny.write_data(folder)
    return Needs(checked(tiny.config(), folder), folder)


def test_tokens_are_counted_from_the_config(needs):
    # Five cells x two prompts x two samples x five tokens.
    assert needs.tokens("tiny", "sweep") == Tokens(100, 5 * 2 * PROMPT, PROMPT + 5)
    # Unsteered, a chosen one, a random one; two shards.
    assert needs.tokens("tiny", "chosen", shards=2).drawn == 2 * 2 * 2 * 5
    # Three cells; the file has five lines, one of them its header.
    assert needs.tokens("tiny", "ratio") == Tokens(read=3 * 5 * TEXT, row=TEXT, kept=5 * TEXT)


def test_texts_of_a_dataset(needs):
    config = {
        "datasets": {
            "hub": {"source": "s", "file": "f", "sentences": False, "format": "documents"},
            "cut": {"source": "s", "file": "f", "splits": {"held-out": 300, "fit": 0.5}},
        }
    }
    elsewhere = Needs(config)
    assert elsewhere.texts("hub") == TEXTS and elsewhere._text("hub") == DOCUMENT
    assert elsewhere.texts("cut", "held-out") == 300 and elsewhere.texts("cut", "fit") == TEXTS
    assert elsewhere.texts("cut", "held-out", limit=7) == 7
    assert needs.texts("prompts") == 4


def test_judges_need_what_they_judge_by(needs):
    assert needs.scores("tiny", "chosen", "words").megabytes == PROGRAM / 1e6
    fluency = needs.scores("tiny", "sweep", "fluency")
    assert fluency.memory > PROGRAM + 2 * 4 * 55_072
    assert needs.validation("mood").minutes == START
