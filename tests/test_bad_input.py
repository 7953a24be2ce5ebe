"""Mistakes in the config: one message with key, value and remedy, before a model is loaded."""

import copy
import time

import pytest
import yaml

import tiny
from actadd.config import checked
from actadd.errors import UserError

DEFAULT = yaml.safe_load((tiny.ROOT / "config.yaml").read_text(encoding="utf-8"))
DELETE = object()
ADDITION = "experiments.topic-sweep.conditions.actadd.additions.0"


def changed(path: str, value) -> dict:
    """The default config with one value set, or its key removed."""
    config = copy.deepcopy(DEFAULT)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    last = int(last) if isinstance(place, list) else last
    if value is DELETE:
        del place[last]
    else:
        place[last] = value
    return config


# path, value, what the message must name
MISTAKES = [
    ("sed", 1, ["sed", "unknown key", "seed"]),
    ("seed", "zero", ["seed", "'zero'", "integer"]),
    ("seed", -1, ["seed", "-1"]),
    ("compute.device", "tpu", ["compute.device", "'tpu'", "cpu, cuda"]),
    ("compute.threads", 0, ["compute.threads", "0"]),
    ("models", DELETE, ["models", "missing"]),
    ("models.smollm2-135m.layers", "thirty", ["models.smollm2-135m.layers", "'thirty'", "integer"]),
    ("models.smollm2-135m.layer", 30, ["models.smollm2-135m", "'layer'", "layers"]),
    ("models.smollm2-135m.source", "nowhere", ["models.smollm2-135m.source", "'nowhere'"]),
    ("models.smollm2-135m.format", "pickle", ["format", "'pickle'", "gguf"]),
    ("models.smollm2-135m.bos", "", ["models.smollm2-135m.bos"]),
    ("models.Big Model", {}, ["'Big Model'"]),
    ("experiments.topic.models", ["stories15m"], ["choices.best.experiment", "stories15m"]),
    (
        "scorers.disfluency.model",
        "gemma-3-270m",
        ["models.gemma-3-270m.licence", "licences_accepted"],
    ),
    ("experiments.topic.models", ["gpt5"], ["experiments.topic.models", "'gpt5'", "smollm2-135m"]),
    ("experiments.topic.models", [], ["experiments.topic.models"]),
    (f"{ADDITION}.layer", [6, 30], [f"{ADDITION}.layer", "30", "0 to 29"]),
    (f"{ADDITION}.layer", -1, [f"{ADDITION}.layer", "-1"]),
    (f"{ADDITION}.layer", 6.5, [f"{ADDITION}.layer"]),
    (f"{ADDITION}.layer", DELETE, [ADDITION, "layer", "missing"]),
    (f"{ADDITION}.coefficient", "four", [f"{ADDITION}.coefficient", "'four'"]),
    (f"{ADDITION}.coefficient", float("inf"), [f"{ADDITION}.coefficient", "inf"]),
    (f"{ADDITION}.vector", "wedding", [f"{ADDITION}.vector", "'wedding'", "weddings"]),
    (f"{ADDITION}.position", "start", [f"{ADDITION}.position", "'start'"]),
    (f"{ADDITION}.position", "all", [f"{ADDITION}.position", "mean_difference"]),
    (f"{ADDITION}.choice", "best", [f"{ADDITION}.choice", "'best'"]),
    (f"{ADDITION}.dimensions", 2, [f"{ADDITION}.dimensions", "2", "maximum of 1"]),
    (f"{ADDITION}.dimensions", [0.5, -1], [f"{ADDITION}.dimensions", "-1"]),
    (f"{ADDITION}.depth", 0.5, [ADDITION, "depth and layer", "keep one"]),
    (f"{ADDITION}.depth", 1.5, [f"{ADDITION}.depth", "1.5"]),
    ("experiments.topic.choices.best.metric", "joy.any", ["choices.best", "'joy.any'"]),
    ("experiments.topic.choices.best.experiment", "sweep", ["choices.best.experiment", "'sweep'"]),
    ("experiments.topic.conditions.unsteered.prefix", "x", ["unsteered.prefix"]),
    ("experiments.topic.conditions.again", {"method": "unsteered"}, ["conditions", "again"]),
    ("experiments.topic.conditions.prompting", {"method": "prompting"}, ["prompting", "prefix"]),
    ("experiments.topic.conditions.actadd.method", "caa", ["actadd.method", "'caa'"]),
    ("experiments.topic.prompts.dataset", "poems", ["prompts.dataset", "'poems'"]),
    ("experiments.sentiment.prompts.split", "test", ["prompts.split", "'test'", "held-out"]),
    ("experiments.topic.scorers", ["joy"], ["experiments.topic.scorers", "'joy'"]),
    ("experiments.topic.samples", 0, ["experiments.topic.samples", "0"]),
    ("experiments.topic.sampling", {"top_p": 1.5}, ["sampling.top_p", "1.5"]),
    ("experiments.topic.sampling", {"top_k": 5}, ["sampling", "'top_k'", "top_p"]),
    ("experiments.perplexity-ratio.conditions.unsteered", DELETE, ["unsteered"]),
    ("experiments.perplexity-ratio.scorers", ["vader"], ["perplexity-ratio.scorers"]),
    ("datasets.openings.file", "openings.csv", ["datasets.openings.file", "openings.csv"]),
    ("datasets.openings.file", "../secret.csv", ["datasets.openings.file", "../secret.csv"]),
    ("datasets.openings.texts", ["a b"], ["datasets.openings"]),
    ("datasets.empty", {"title": "none", "texts": []}, ["datasets.empty"]),
    ("datasets.blank", {"title": "none", "texts": ["   "]}, ["datasets.blank.texts.0"]),
    ("datasets.human-ratings.splits.fit", 0.9, ["datasets.human-ratings.splits", "1.1"]),
    ("datasets.review-openings.source", "imdb", ["datasets.review-openings.source", "'imdb'"]),
    ("vectors.weddings.negative", " weddings", ["vectors.weddings", "both"]),
    ("vectors.weddings.negative", 3, ["vectors.weddings.negative", "3"]),
    ("vectors.weddings.kind", "pca", ["vectors.weddings.kind", "'pca'"]),
    ("vectors.weddings-random.like", "hope", ["vectors.weddings-random.like", "'hope'"]),
    ("experiments.topic.sampling", {"temperature": float("nan")}, ["sampling.temperature", "nan"]),
    ("experiments.topic.prompts.split", "development", ["choices.best.experiment", "same prompts"]),
    ("experiments.topic.choices.best.metric", "wedding-words.some", ["wedding-words.any"]),
    (f"{ADDITION}.position", ["front", "back"], ["choices.best.condition", "position"]),
    ("scorers.vader.validate.metric", "probability", ["scorers.vader.validate.metric", "compound"]),
    ("scorers.sentiment.validate.split", "fit", ["scorers.sentiment.validate.split", "fitted"]),
    ("figures.norms.models", ["gemma-3-270m"], ["models.gemma-3-270m.licence"]),
    ("figures.topic-sweep.condition", "unsteered", ["figures.topic-sweep.condition"]),
    ("sources.all-minilm-l6-v2.type", DELETE, ["sources.all-minilm-l6-v2", "'type'", "missing"]),
    ("datasets.openings.file", "x\n/../../y.csv", ["datasets.openings.file"]),
    (
        "experiments.knowledge.conditions.actadd.additions.0.position",
        "back",
        ["knowledge.conditions.actadd.additions.0", "back", "front or middle"],
    ),
    (
        "experiments.knowledge.conditions.actadd.additions.0.phase",
        "every_step",
        ["knowledge.conditions.actadd.additions.0", "every_step", "prefill"],
    ),
    # null takes it away, and then something else asks for it.
    ("experiments.topic", None, ["figures.topic.experiment", "'topic'"]),
    ("experiments.topic", "none", ["experiments.topic", "'none'"]),
    ("vectors", [], ["vectors", "[]"]),
    ("vectors.a/b", {"kind": "single", "prompt": "x"}, ["'a/b'"]),
    ("vectors", {"..": {"kind": "single", "prompt": "x"}}, ["vectors", "'..'"]),
    (
        "vectors.uneven",
        {"kind": "mean_difference", "positive": ["a", "b"], "negative": ["c"]},
        ["vectors.uneven", "2 positive and 1 negative"],
    ),
    ("scorers.vader.kind", "sentiment", ["scorers.vader.kind", "'sentiment'"]),
    ("scorers.relevance.source", "minilm", ["scorers.relevance.source", "'minilm'"]),
    ("scorers.wedding-words.words", [], ["scorers.wedding-words.words"]),
    ("scorers.sentiment.cut", 1.5, ["scorers.sentiment.cut", "1.5"]),
    (
        "scorers.about",
        {"kind": "topics", "source": "minilm", "topics": {"art": ["about art"]}},
        ["scorers.about.source", "'minilm'"],
    ),
    (
        "scorers.about",
        {"kind": "topics", "source": "all-minilm-l6-v2", "topics": {"count": ["about counts"]}},
        ["scorers.about.topics", "'count'"],
    ),
    (
        "scorers.judge",
        {"kind": "llm_judge", "url": "http://x/v1", "model": "m", "question": "Is it nice?"},
        ["scorers.judge.question", "{completion}"],
    ),
    (
        "scorers.toxic",
        {"kind": "perspective", "url": "https://x/analyze?key=abc"},
        ["scorers.toxic.url", "key_env"],
    ),
    ("scorers.toxic", {"kind": "perspective", "key": "abc"}, ["scorers.toxic", "'key'", "key_env"]),
    ("scorers.sentiment.fit.split", "train", ["scorers.sentiment.fit.split", "'train'"]),
    ("figures.topic.kind", "pie", ["figures.topic.kind", "'pie'"]),
    ("figures.topic.experiment", "topics", ["figures.topic.experiment", "'topics'"]),
    ("figures.topic.experiment", "knowledge", ["figures.topic.kind", "logprobs"]),
    ("figures.topic.metrics", ["vader.compound"], ["figures.topic.metrics", "'vader.compound'"]),
    ("figures.norms.vectors", ["joy"], ["figures.norms.vectors", "'joy'"]),
    ("sources.all-minilm-l6-v2.type", "ftp", ["sources.all-minilm-l6-v2.type", "'ftp'"]),
    ("sources.all-minilm-l6-v2.parts.0.sha256", "abc", ["parts.0.sha256", "'abc'"]),
    (
        "sources.all-minilm-l6-v2.parts.0.members",
        {"../evil": "x"},
        ["sources.all-minilm-l6-v2.parts.0.members", "../evil"],
    ),
    (
        "experiments.topic.conditions.again",
        {"method": "preadd", "prefix": "x"},
        ["conditions.again", "preadd", "'strength'"],
    ),
    (
        "experiments.topic.conditions.again",
        {"method": "preadd", "strength": -1},
        ["conditions.again", "preadd", "'prefix'"],
    ),
    (
        "experiments.topic.conditions.prompting.strength",
        2,
        ["conditions.prompting.strength", "prompting"],
    ),
    (
        "experiments.topic.conditions.actadd.prefix",
        "x",
        ["conditions.actadd.prefix", "method prompting"],
    ),
    (
        "experiments.knowledge.conditions.again",
        {"method": "preadd", "prefix": "x", "strength": -1},
        ["conditions.again.method", "preadd"],
    ),
    (
        "experiments.knowledge.conditions.actadd.sampling",
        {"top_p": 1},
        ["knowledge.conditions.actadd.sampling", "logprobs"],
    ),
    ("experiments.knowledge.conditions.actadd.seed", 1, ["actadd.seed", "logprobs"]),
    ("experiments.topic.conditions.actadd.sampling", {"top_p": 2}, ["actadd.sampling"]),
    ("experiments.topic.watch", [" wedding"], ["experiments.topic.watch", "divergence"]),
    ("experiments.topic.prompts.first_tokens", 1, ["prompts.first_tokens", "1"]),
    ("experiments.topic.measure", "entropy", ["experiments.topic.measure", "'entropy'"]),
    (
        "lenses",
        {"all": {"vectors": ["joy"], "models": ["smollm2-135m"]}},
        ["lenses.all.vectors", "'joy'"],
    ),
    (
        "figures.reading",
        {"kind": "lens", "title": "x", "lens": "weddings"},
        ["figures.reading.lens", "'weddings'"],
    ),
    ("figures.reading", {"kind": "lens", "title": "x"}, ["figures.reading", "'lens'", "missing"]),
    (
        "tables",
        {"time": {"kind": "overhead", "title": "x", "overhead": "all"}},
        ["tables.time.overhead", "'all'"],
    ),
    (
        "tables",
        {"hits": {"kind": "precision", "title": "x", "experiment": "topic"}},
        ["tables.hits.kind", "logprobs", "experiments.topic measures completions"],
    ),
    (
        "tables",
        {"next": {"kind": "next_tokens", "title": "x", "experiment": "knowledge"}},
        ["tables.next.kind", "divergence"],
    ),
    (
        "tables",
        {"all": {"kind": "methods", "title": "x", "experiment": "topic", "metrics": ["joy.any"]}},
        ["tables.all.metrics", "'joy.any'"],
    ),
    (
        "tables",
        {"all": {"kind": "methods", "title": "x", "experiment": "topic"}},
        ["tables.all", "'metrics'", "missing"],
    ),
    (
        "tables",
        {"all": {"kind": "sweep", "title": "x", "experiment": "topic"}},
        ["tables.all.kind", "'sweep'"],
    ),
    (
        "comparison",
        {
            "claims": {
                "kept": {
                    "title": "x",
                    "source": "Table 1",
                    "test": {"above": 0},
                    "ours": {"experiment": "joy", "metric": "words.any"},
                }
            }
        },
        ["comparison.claims.kept", "'joy'", "knowledge"],
    ),
    ("comparison", {"published": "numbers.csv"}, ["comparison.published", "numbers.csv"]),
    (
        "figures.numbers",
        {"kind": "comparison", "title": "x"},
        ["comparison", "compares nothing"],
    ),
    ("run_on", ["gpt5"], ["run_on", "'gpt5'"]),
    ("budget", {"topic": {"cells": 3}}, ["budget.topic.cells", "4 cells"]),
    ("budget", {"joy": {"cells": 3}}, ["budget.joy", "'joy'"]),
    ("data_dir", "nowhere", ["data_dir", "'nowhere'"]),
    ("sources.hub-model", {"type": "hub", "repository": "a/b", "revision": "main"}, ["'main'"]),
]


def test_the_default_config_is_valid():
    checked(copy.deepcopy(DEFAULT), tiny.ROOT)


@pytest.mark.parametrize(("path", "value", "named"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_named(path, value, named):
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        checked(changed(path, value), tiny.ROOT)
    message = str(caught.value)
    assert all(word in message for word in named), message
    assert len(message.splitlines()) <= 5 and len(message) < 600
    assert time.monotonic() - start < 5


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed: [1\n", "Config file is not valid"),
        ("just a sentence\n", "Config file"),
        (None, "experiments.sweep.models"),
    ],
)
def test_snakemake_says_it_in_a_few_lines(space, text, named):
    if text is None:
        settings = tiny.config()
        settings["experiments"]["sweep"]["models"] = ["large"]
        text = yaml.safe_dump(settings)
    (space.folder / "config.yaml").write_text(text)
    printed = space.run("-n", fails=True)
    assert named in printed and "Traceback" not in printed
    assert len([line for line in printed.splitlines() if line.strip()]) <= 9


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("section", "change", "log", "named"),
    [
        (
            "datasets",
            {"prompts": {"title": "short", "texts": ["Go", "I went up to my friend"]}},
            "completions/tiny/sweep",
            "prompt 'Go': the vector has",
        ),
        (
            "datasets",
            {"prompts": {"title": "special", "texts": ["I went to <|endoftext|> my friend"]}},
            "completions/tiny/sweep",
            "'<|endoftext|>'",
        ),
        ("models", {"tiny": {"layers": 4}}, "model/tiny", "models.tiny.layers: 4 is wrong"),
        ("models", {"tiny": {"bos": "<s>"}}, "model/tiny", "models.tiny.bos: '<s>' is"),
        ("sources", {"tiny": {"path": "nowhere"}}, "fetch/tiny", "sources.tiny.path: nowhere"),
    ],
)
def test_what_only_a_job_can_see(tmp_path, tiny_model, section, change, log, named):
    settings = tiny.config()
    for name, values in change.items():
        if section == "datasets":
            settings[section][name] = values
        else:
            settings[section][name] |= values
    del settings["experiments"]["chosen"]
    settings["experiments"]["sweep"]["prompts"] = {"dataset": "prompts"}
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, settings)
    space.run(fails=True)
    said = space.log(log)
    assert named in said and "Traceback" not in said
    assert len(said.splitlines()) <= 5
