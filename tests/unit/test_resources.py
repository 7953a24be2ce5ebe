"""What jobs ask a cluster for, against models whose sizes are known."""

import copy

import pytest

from actadd.config.checks import checked
from actadd.measure.work import Work
from actadd.pipeline.costs import PROGRAM_SECONDS, Costs
from actadd.pipeline.graph import Graph
from actadd.pipeline.resources import (
    PROGRAM,
    START,
    Needs,
    assumed_size,
    model_memory,
    preparing_need,
)
from actadd.pipeline.text_counts import DOCUMENT, PROMPT, TEXT, TEXTS
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
    memory = model_memory(parameters, layers, dtype, CPU, PROMPT + 40)
    assert memory / 1e9 == pytest.approx(gigabytes, abs=1.5)
    least = 2 * weights + 128 * (104 * token + 6 * 4 * vocabulary)
    assert memory > 0.99 * least


def test_a_cell_of_a_million_log_probabilities_takes_a_gigabyte_more():
    known = KNOWN["gpt2-xl"][:3]
    more, none = (model_memory(*known, GPU, TEXT, kept) for kept in (10**6, 0))
    assert more - none == pytest.approx(1.2e9, rel=0.1)


def test_on_a_gpu_main_memory_holds_the_weights_only():
    parameters, layers, dtype, weights, *_ = KNOWN["llama-13b"]
    memory = model_memory(parameters, layers, dtype, GPU, TEXT)
    assert memory == pytest.approx(PROGRAM + 2 * weights, rel=0.01)


def test_preparing_converts_in_memory_but_links_a_checkpoint():
    assert preparing_need(6_658_473_984, "transformers").memory == PROGRAM
    assert preparing_need(134_515_008, "gguf").memory == PROGRAM + 3 * 4 * 134_515_008
    assert preparing_need(6_658_473_984, "transformers").minutes == START + 5


@pytest.fixture(scope="module")
def needs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("needs")
    tiny.write_data(folder)
    return Needs(Graph(checked(tiny.config(), folder), folder))


def test_time_grows_with_tokens_and_parameters_and_shrinks_with_threads(needs):
    parameters, _, dtype, weights, *_ = KNOWN["smollm2-135m"]

    def seconds(compute=CPU, parameters=parameters, **tokens):
        return needs.costs.model_time(parameters, dtype, compute, **tokens).cells

    # 2 x 134.5e6 operations for a token at 4 x 50e9 / 5 in a second: 149 tokens in a second.
    hour = seconds(computed=149 * 3600)
    assert hour == pytest.approx(3600, rel=0.01)
    assert seconds(read=149 * 3600) == pytest.approx(hour / 2)
    assert seconds({**CPU, "threads": 1}, computed=149 * 3600) == pytest.approx(4 * hour)
    assert seconds(parameters=2 * parameters, computed=149 * 3600) == pytest.approx(2 * hour)
    assert seconds(GPU, computed=149 * 3600) < 180
    start = needs.costs.model_time(parameters, dtype, CPU).start
    assert start == pytest.approx(PROGRAM_SECONDS + weights / 100e6, rel=0.01)


def test_work_is_counted_from_the_config(needs):
    costs = needs.costs
    # Four characters a token, and BOS.
    lengths = [1 + len(text) / 4 for text in tiny.CONFIG["datasets"]["prompts"]["texts"]]
    # Five cells x two prompts x two samples x five tokens, in batches of four rows.
    read = round(5 * 2 * sum(lengths) / 4)
    assert costs.work("tiny", "sweep") == Work(30, 100, read, 120, 20)
    # Unsteered, a chosen one, a random one; two shards.
    assert costs.work("tiny", "chosen", shards=2).drawn == 2 * 2 * 2 * 5
    # Three cells of the file's four texts. A text takes eight rows.
    lengths = [1 + (len(line.strip()) - 2) / 4 for line in tiny.TEXTS.splitlines()[1:]]
    assert costs.work("tiny", "ratio") == Work(24, read=round(3 * sum(lengths)))
    assert needs.cells("tiny", "ratio").memory > needs.cells("tiny", "sweep").memory


def test_work_counts_the_texts_that_a_group_and_a_limit_leave(needs):
    config = copy.deepcopy(needs.costs.config)
    experiment = config["experiments"]["ratio"]

    def texts(**prompts):
        experiment["prompts"] = {"dataset": "texts", "split": "all", **prompts}
        return Costs(Graph(config, needs.graph.root)).prompts("ratio")

    assert (texts(), texts(group=["a"]), texts(limit=3)) == (4, 2, 3)
    assert texts(limit=1, each_group=True) == 2
    experiment["conditions"]["actadd"]["group"] = "a"
    costs = Costs(Graph(config, needs.graph.root))
    experiment["prompts"] = {"dataset": "texts", "split": "all"}
    # Unsteered on four texts, two conditions on two.
    assert costs.work("tiny", "ratio").passes == (4 + 2 * 2) * 8 / 4


def test_texts_of_a_dataset(needs):
    config = {
        "datasets": {
            "hub": {"source": "s", "file": "f", "sentences": False, "format": "documents"},
            "cut": {"source": "s", "file": "f", "splits": {"held-out": 300, "fit": 0.5}},
        }
    }
    experiments = {"read": {"measure": "logprobs", "prompts": {"dataset": "hub"}}}
    elsewhere = Costs(Graph({**config, "experiments": experiments}))
    assert elsewhere.texts("hub") == TEXTS and elsewhere.tokens("read") == DOCUMENT
    assert elsewhere.texts("cut", "held-out") == 300 and elsewhere.texts("cut", "fit") == TEXTS
    assert elsewhere.texts("cut", "held-out", limit=7) == 7
    assert needs.costs.texts("prompts") == 4


def test_judges_need_what_they_judge_by(needs):
    assert needs.scores("tiny", "chosen", "words").megabytes == PROGRAM / 1e6
    fluency = needs.scores("tiny", "sweep", "fluency")
    assert fluency.memory > PROGRAM + 2 * 4 * 55_072
    assert needs.validation("mood").minutes == START
