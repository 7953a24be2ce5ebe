"""Mistakes in the config: one message with key, value and remedy, before a model is loaded."""

import datetime
import sys
import time

import pytest
import yaml

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.config.files import load
from builders import tiny
from builders.configs import BOMB, DELETE, changed

ADDITION = "experiments.topic-sweep.conditions.actadd.additions.0"
SOURCE = "sources.new"
PAIR = {"kind": "pair", "positive": "a", "negative": "b"}
ADDED = {"vector": "weddings"}
RATIO = "experiments.perplexity-ratio.conditions.actadd.additions.0"
TOPIC = "experiments.topic"
ACTADD = f"{TOPIC}.conditions.actadd"
TIMING = {"positive": "a", "negative": "b"}
SHAPE = {"layers": 2, "d_model": 8, "heads": 4, "vocabulary": 16}
# Stands where a secret would; no message may show it.
SECRET = "hunter2"


def url(address: str) -> dict:
    return {"type": "url", "url": address}


def part(**changes) -> dict:
    """A source of one package whose entry is changed."""
    whole = {
        "name": "a",
        "version": "1",
        "file": "a.whl",
        "sha256": "0" * 64,
        "members": {"x": "y"},
    }
    return {"type": "package", "parts": [{**whole, **changes}]}


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
        ["gemma-3-270m", "licences_accepted"],
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
    (
        "experiments.topic.prompts",
        {"dataset": "review-openings", "split": "test"},
        ["prompts.split", "'test'", "held-out"],
    ),
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
    ("vectors.weddings.kind", "umap", ["vectors.weddings.kind", "'umap'"]),
    ("vectors.pirates-draws.like", "hope", ["vectors.pirates-draws.like", "'hope'"]),
    ("experiments.topic.sampling", {"temperature": float("nan")}, ["sampling.temperature", "nan"]),
    ("experiments.topic.prompts.split", "development", ["choices.best.experiment", "same prompts"]),
    ("experiments.topic.choices.best.metric", "pirate-words.some", ["pirate-words.any"]),
    (f"{ADDITION}.dimensions", [0.5, 1], ["choices.best.condition", "dimensions"]),
    ("scorers.vader.validate.metric", "probability", ["scorers.vader.validate.metric", "compound"]),
    ("scorers.sentiment.validate.split", "fit", ["scorers.sentiment.validate.split", "fitted"]),
    ("figures.norms.models", ["gemma-3-270m"], ["licences_accepted", "gemma-3-270m"]),
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
    ("scorers.pirate-words.words", [], ["scorers.pirate-words.words"]),
    ("scorers.sentiment.cut", 1.5, ["scorers.sentiment.cut", "1.5"]),
    (
        "scorers.about",
        {"kind": "topics", "source": "minilm", "topics": {"art": ["about art"]}},
        ["scorers.about.source", "'minilm'"],
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
    ("figures.topic.experiment", "knowledge", ["figures.topic.metrics", "precision_at_1"]),
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
    ("budget", {"topic": {"cells": 3}}, ["budget.topic.cells", "6 cells"]),
    ("budget", {"joy": {"cells": 3}}, ["budget.joy", "'joy'"]),
    ("data_dir", "nowhere", ["data_dir", "'nowhere'"]),
    ("sources.hub-model", {"type": "hub", "repository": "a/b", "revision": "main"}, ["'main'"]),
    # --- types: numbers as text, yes and no, lists, null
    ("seed", True, ["seed", "True", "whole number"]),
    ("seed", 0.5, ["seed", "0.5", "whole number"]),
    ("seed", "0", ["seed", "'0'", "without quotes"]),
    ("seed", None, ["'seed'", "missing"]),
    ("seed", 2**70, ["seed", "too large"]),
    ("seed", [0], ["seed", "[0]", "whole number"]),
    ("compute", "cpu", ["compute", "'cpu'", "keys with values"]),
    ("compute.device", True, ["compute.device", "True", "cpu, cuda"]),
    ("compute.threads", "2", ["compute.threads", "'2'", "2, without quotes"]),
    ("compute.threads", 10**6, ["compute.threads", "1000000", "1024"]),
    ("compute.batch_rows", "many", ["compute.batch_rows", "'many'", "auto"]),
    ("compute.batch_rows", 0, ["compute.batch_rows", "0"]),
    ("compute.batch_rows", 1.5, ["compute.batch_rows", "1.5", "auto"]),
    ("compute.gpu", 1, ["compute", "'gpu'", "device"]),
    ("models", True, ["models", "True"]),
    ("figures", 3, ["figures", "3"]),
    ("models.smollm2-135m.dtype", "float8", ["dtype", "'float8'", "bfloat16"]),
    ("models.smollm2-135m.chat_template", "yes", ["chat_template", "'yes'", "true or false"]),
    ("models.smollm2-135m.layers", 0, ["layers", "0"]),
    ("models.smollm2-135m.layers", 10**9, ["layers", "1000000000", "1000"]),
    ("models.smollm2-135m.layers", True, ["layers", "True", "whole number"]),
    ("models.smollm2-135m.chat_template", 3, ["chat_template", "3", "name of one"]),
    ("models.smollm2-135m.chat_date", "26.7.2024", ["chat_date", "'26.7.2024'", "2024-07-26"]),
    ("models.smollm2-135m.chat_date", "2024-13-01", ["chat_date", "'2024-13-01'"]),
    ("models.smollm2-135m.chat_date", "2024-02-31", ["chat_date", "'2024-02-31'", "a day of"]),
    ("models.smollm2-135m.chat_variables", [1], ["chat_variables", "[1]"]),
    ("models.smollm2-135m.stop", "</s>", ["stop", "'</s>'", "[</s>]"]),
    ("models.smollm2-135m.stop", [""], ["stop.0", "empty"]),
    ("models.smollm2-135m.licence", 2.0, ["licence", "2", "put it in quotes"]),
    ("models.smollm2-135m.bos", False, ["bos", "False", "quotes"]),
    ("models.smollm2-135m.bos", DELETE, ["models.smollm2-135m", "'bos'", "missing"]),
    # --- names
    (f"models.{'a' * 61}", {}, ["models", "aaa", "60"]),
    ("models.two_words", {}, ["'two_words'", "hyphens"]),
    ("models.-a", {}, ["'-a'", "hyphens"]),
    ("models.a--b", {}, ["'a--b'", "hyphens"]),
    ("models.tiny\n", {}, [r"'tiny\n'", "hyphens"]),
    ("models.über", {}, [r"'\xfcber'", "lower-case"]),
    ("models.tіny", {}, [r"'t\u0456ny'", "lower-case"]),
    ("models.tiny\u200b", {}, [r"'tiny\u200b'", "lower-case"]),
    ("vectors", {"~": PAIR}, ["vectors", "'~'"]),
    ("vectors", {"a.b": PAIR}, ["vectors", "'a.b'"]),
    ("vectors", {"/etc": PAIR}, ["vectors", "'/etc'"]),
    ("vectors", {"": PAIR}, ["vectors", "''"]),
    ("vectors", {"a\0b": PAIR}, ["vectors.a?b", "U+0000"]),
    ("figures.FIG", {}, ["figures", "'FIG'"]),
    ("tables", {"scorer_card": {}}, ["tables", "'scorer_card'"]),
    ("datasets.human-ratings.splits", {"Held Out": 3}, ["splits", "'Held Out'"]),
    ("experiments.topic.conditions.a b", {"method": "unsteered"}, ["conditions", "'a b'"]),
    ("seеd", 1, [r"'se\u0435d'", "seed"]),
    # --- paths
    (
        "datasets.openings.file",
        "/etc/passwd",
        ["datasets.openings.file", "'/etc/passwd'", "relative"],
    ),
    ("datasets.openings.file", "~/texts.csv", ["datasets.openings.file", "'~/texts.csv'", "~"]),
    ("datasets.openings.file", "workflow/data/", ["datasets.openings.file", "end"]),
    ("datasets.openings.file", "workflow/data", ["datasets.openings.file", "does not exist"]),
    (
        "datasets.openings.file",
        "workflow//data/openings.csv",
        ["datasets.openings.file", "relative"],
    ),
    ("datasets.openings.file", "workflow/./data/openings.csv", ["datasets.openings.file"]),
    ("datasets.openings.file", "workflow/data/openings.csv/x", ["datasets.openings.file", "exist"]),
    ("datasets.openings.file", "a\0b", ["datasets.openings.file", "U+0000"]),
    ("datasets.openings.file", "a\\b.csv", ["datasets.openings.file", "relative"]),
    ("datasets.openings.file", "{dataset}.csv", ["datasets.openings.file", "relative"]),
    ("datasets.openings.file", "-rf.csv", ["datasets.openings.file", "relative"]),
    ("datasets.openings.file", "a.csv\n", ["datasets.openings.file", r"'a.csv\n'"]),
    ("datasets.openings.file", "a" * 300, ["datasets.openings.file", "300 characters"]),
    ("data_dir", "~nobody-of-this-name/x", ["data_dir", "home folder"]),
    ("data_dir", "a" * 300, ["data_dir", "not a folder"]),
    ("data_dir", "/dev/null", ["data_dir", "not a folder"]),
    ("data_dir", "", ["data_dir", "empty"]),
    (SOURCE, {"type": "path", "path": "."}, [f"{SOURCE}.path", "'.'", "results"]),
    (SOURCE, {"type": "path", "path": "/"}, [f"{SOURCE}.path", "'/'", "results"]),
    (SOURCE, {"type": "path", "path": "results/models"}, [f"{SOURCE}.path", "results"]),
    (SOURCE, {"type": "path", "path": "workflow/../results"}, [f"{SOURCE}.path", "results"]),
    (SOURCE, {"type": "path", "path": "~nobody-of-this-name"}, [f"{SOURCE}.path", "home folder"]),
    (SOURCE, {"type": "path", "path": "a\0b"}, [f"{SOURCE}.path", "U+0000"]),
    (SOURCE, url("ftp://host/x"), [f"{SOURCE}.url", "https://"]),
    (SOURCE, url("https://host/a b"), [f"{SOURCE}.url", "spaces"]),
    (SOURCE, url("https:///x"), [f"{SOURCE}.url", "no host"]),
    (SOURCE, url("https://me:hunter2@host/x"), [f"{SOURCE}.url", "***", "type: path"]),
    (SOURCE, url("https://hunter2@host/x"), [f"{SOURCE}.url", "***", "type: path"]),
    (SOURCE, url("https://host/x?token=hunter2"), [f"{SOURCE}.url", "token=***", "type: path"]),
    (SOURCE, url("https://host/x?a=1&X-Amz-Signature=hunter2"), [f"{SOURCE}.url", "type: path"]),
    (SOURCE, url("https://host/x?apiKey=hunter2"), [f"{SOURCE}.url", "type: path"]),
    (
        SOURCE,
        {**url("https://host/x.zip"), "members": {"a": "b", "a/c": "d"}},
        [f"{SOURCE}.members", "'a/c'"],
    ),
    (
        SOURCE,
        {**url("https://host/x.zip"), "members": {"a": "b", "A": "d"}},
        [f"{SOURCE}.members", "one file"],
    ),
    (
        SOURCE,
        {**url("https://host/x.zip"), "members": {"a": "../b"}},
        [f"{SOURCE}.members.a", "without .."],
    ),
    (SOURCE, {**url("https://host/x.zip"), "file": "../x"}, [f"{SOURCE}.file", "'../x'"]),
    (SOURCE, part(name="-x"), [f"{SOURCE}.parts.0.name", "'-x'"]),
    (SOURCE, part(name="a\n"), [f"{SOURCE}.parts.0.name", r"'a\n'"]),
    (SOURCE, part(version=""), [f"{SOURCE}.parts.0.version", "''"]),
    (SOURCE, part(version=1.0), [f"{SOURCE}.parts.0.version", "put it in quotes"]),
    (SOURCE, part(file="../x.whl"), [f"{SOURCE}.parts.0.file", "'../x.whl'"]),
    (SOURCE, part(sha256="0" * 64 + "\n"), [f"{SOURCE}.parts.0.sha256"]),
    (SOURCE, part(members={}), [f"{SOURCE}.parts.0.members", "empty"]),
    (SOURCE, part(members={"/x": "y"}), [f"{SOURCE}.parts.0.members", "'/x'"]),
    (SOURCE, {"type": "package", "parts": []}, [f"{SOURCE}.parts", "empty"]),
    (SOURCE, {"type": "hub", "repository": "a/b/c"}, [f"{SOURCE}.repository", "'a/b/c'"]),
    (SOURCE, {"type": "hub", "repository": "../b"}, [f"{SOURCE}.repository", "'../b'"]),
    (
        SOURCE,
        {"type": "hub", "repository": "a/b", "revision": "0" * 40 + "\n"},
        [f"{SOURCE}.revision"],
    ),
    (SOURCE, {"type": "hub", "repository": "a/b", "token": "hunter2"}, [SOURCE, "'token'"]),
    # --- texts
    ("datasets.openings.title", "", ["datasets.openings.title", "empty"]),
    ("datasets.openings.title", "red \x1b[31m", ["datasets.openings.title", "U+001B"]),
    ("datasets.openings.title", 12, ["datasets.openings.title", "put it in quotes"]),
    ("datasets.new", {"title": "x", "texts": "one"}, ["datasets.new.texts", "[one]"]),
    ("datasets.new", {"title": "x", "texts": [True]}, ["datasets.new.texts.0", "quotes"]),
    ("datasets.new", {"title": "x", "texts": ["a" * 301]}, ["datasets.new.texts.0", "300"]),
    ("datasets.new", {"title": "x", "texts": ["a b"] * 201}, ["datasets.new.texts", "200"]),
    (
        "datasets.new",
        {"title": "x", "texts": ["\u2003\u3000"]},
        ["datasets.new.texts.0", "not blank"],
    ),
    ("datasets.new", {"title": "x", "texts": ["word " * 10_000]}, ["datasets.new.texts.0", "300"]),
    ("datasets.new", {"title": "x", "files": ["a.csv"]}, ["datasets.new", "exactly one of"]),
    ("datasets.new", {"title": "x"}, ["datasets.new", "exactly one of"]),
    ("datasets.openings.table", {"separator": ""}, ["table.separator", "''", "one character"]),
    ("datasets.openings.table", {"separator": "(a+)+"}, ["table.separator", "one character"]),
    ("datasets.openings.table", {"encoding": "utf 8"}, ["table.encoding", "'utf 8'"]),
    ("datasets.openings.table", {"columns": ["a", "a"]}, ["table.columns", "twice"]),
    ("datasets.openings.columns", {"texts": "x"}, ["openings.columns", "'texts'", "text"]),
    ("datasets.openings.columns", {"text": 3}, ["openings.columns.text", "put it in quotes"]),
    ("datasets.openings.format", "xlsx", ["openings.format", "'xlsx'", "csv"]),
    ("datasets.openings.group_names", {"other.csv": "x"}, ["group_names", "'other.csv'"]),
    ("datasets.openings.templates", {"IsA": "{subject} is"}, ["openings", "triples"]),
    ("datasets.openings.templates", {"IsA": "it is "}, ["templates.IsA", "{subject}"]),
    ("datasets.openings.groups", {"low": [2, 1]}, ["groups.low", "2 is above 1"]),
    ("datasets.openings.groups", {"a": [0, 2], "b": [1, 3]}, ["openings.groups", "overlap"]),
    ("datasets.openings.groups", {"a": [0]}, ["openings.groups.a", "[0]"]),
    ("datasets.openings.frequency", {"words": ["Wed"]}, ["frequency.words.0", "'Wed'"]),
    ("datasets.openings.splits", {"a": 0}, ["openings.splits.a", "0"]),
    ("datasets.openings.splits", {"a": -0.5}, ["openings.splits.a", "-0.5"]),
    ("datasets.openings.per_group", 0, ["openings.per_group", "0"]),
    ("datasets.openings.order", "random", ["openings.order", "'random'", "file"]),
    ("datasets.openings.punkt", "all-minilm-l6-v2", ["openings.punkt", "sentences: true"]),
    ("datasets.openings.path", "x.csv", ["datasets.openings", "'path'", "file"]),
    # --- vectors
    ("vectors.new", {"positive": "a", "negative": "b"}, ["vectors.new", "'kind'", "missing"]),
    ("vectors.new", {"kind": "pair", "positive": "a"}, ["vectors.new", "'negative'", "missing"]),
    ("vectors.new", {"kind": "pair", "positive": "  ", "negative": " "}, ["vectors.new", "blank"]),
    ("vectors.new", {"kind": "pair", "positive": "", "negative": ""}, ["vectors.new", "both"]),
    ("vectors.new", {**PAIR, "positive": "word " * 10_000}, ["vectors.new.positive", "2000"]),
    ("vectors.new", {**PAIR, "positive": ["a"]}, ["vectors.new.positive", "['a']", "a text"]),
    ("vectors.new", {**PAIR, "positive": "a\ud800"}, ["line", "escape"]),
    ("vectors.new", {**PAIR, "pad": ""}, ["vectors.new.pad", "empty"]),
    ("vectors.new", {**PAIR, "pad_with_bos": "no"}, ["pad_with_bos", "'no'", "true or false"]),
    ("vectors.new", {**PAIR, "prompt": "a"}, ["vectors.new", "'prompt'", "positive"]),
    ("vectors.new", {**PAIR, "positive": {"chat": ""}}, ["vectors.new.positive", "chat"]),
    ("vectors.new", {**PAIR, "positive": {"chat": [{"role": "user"}]}}, ["positive", "content"]),
    ("vectors.new", {**PAIR, "positive": {"token_ids": []}}, ["vectors.new.positive", "empty"]),
    ("vectors.new", {**PAIR, "positive": {"token_ids": [-1]}}, ["vectors.new.positive", "-1"]),
    ("vectors.new", {**PAIR, "positive": {"ids": [1]}}, ["vectors.new.positive", "token_ids"]),
    (
        "vectors.new",
        {**PAIR, "positive": {"chat": "a"}, "negative": {"chat": "a"}},
        ["vectors.new", "both {'chat': 'a'}", "differ"],
    ),
    ("vectors.new", {"kind": "single", "prompt": " \t"}, ["vectors.new.prompt", "not blank"]),
    ("vectors.new", {"kind": "single", "prompt": "a" * 301}, ["vectors.new.prompt", "300"]),
    (
        "vectors.new",
        {"kind": "mean_difference", "positive": [], "negative": []},
        ["vectors.new", "empty"],
    ),
    (
        "vectors.new",
        {"kind": "mean_difference", "positive": [" "], "negative": ["a"]},
        ["vectors.new.positive.0", "not blank"],
    ),
    (
        "vectors.pirates-draws.like",
        "pirates-draws",
        ["vectors.pirates-draws", "computed from itself"],
    ),
    ("vectors.pirates-draws.seed", -1, ["vectors.pirates-draws.seed", "-1"]),
    # --- scorers
    ("scorers.pirate-words.words", ["Pirate"], ["words.0", "'Pirate'"]),
    ("scorers.pirate-words.words", ["two words"], ["words.0", "'two words'"]),
    ("scorers.pirate-words.words", ["yes", True], ["words.1", "quotes"]),
    ("scorers.sentiment.fit", DELETE, ["scorers.sentiment", "'fit'", "missing"]),
    ("scorers.sentiment.margin", -1, ["scorers.sentiment.margin", "-1"]),
    ("scorers.sentiment.allow_pickle", True, ["scorers.sentiment", "'allow_pickle'"]),
    ("scorers.new", {}, ["scorers.new", "'kind'", "missing"]),
    (
        "scorers.new",
        {"kind": "perspective", "key_env": "sk-hunter2"},
        ["scorers.new.key_env", "variable"],
    ),
    (
        "scorers.new",
        {"kind": "perspective", "url": "https://me:hunter2@x/y"},
        ["scorers.new.url", "key_env"],
    ),
    ("scorers.new", {"kind": "perspective", "language": "english"}, ["language", "'english'"]),
    (
        "scorers.new",
        {
            "kind": "hub_classifier",
            "source": "all-minilm-l6-v2",
            "label": "x",
            "allow_pickle": "yes",
        },
        ["scorers.new.allow_pickle", "'yes'", "true or false"],
    ),
    # --- experiments
    (f"{TOPIC}.title", "", [f"{TOPIC}.title", "empty"]),
    (f"{TOPIC}.title", DELETE, [TOPIC, "'title'", "missing"]),
    (f"{TOPIC}.samples", "6", [f"{TOPIC}.samples", "6, without quotes"]),
    (f"{TOPIC}.samples", 10**9, [f"{TOPIC}.samples", "100000"]),
    (f"{TOPIC}.max_new_tokens", 0, [f"{TOPIC}.max_new_tokens", "0"]),
    (f"{TOPIC}.shards", 1000, [f"{TOPIC}.shards", "1000", "999"]),
    (f"{TOPIC}.ranks", [0], [f"{TOPIC}.ranks.0", "0"]),
    (f"{TOPIC}.scorers", ["distinct", "distinct"], [f"{TOPIC}.scorers", "twice"]),
    (f"{TOPIC}.scorers", "distinct", [f"{TOPIC}.scorers", "[distinct]"]),
    (f"{TOPIC}.conditions", {}, [f"{TOPIC}.conditions", "at least one"]),
    (f"{TOPIC}.conditions", ["unsteered"], [f"{TOPIC}.conditions", "keys with values"]),
    (f"{TOPIC}.conditions.unsteered", "unsteered", ["conditions.unsteered", "keys"]),
    (f"{TOPIC}.prompts", "openings", [f"{TOPIC}.prompts", "'openings'", "keys"]),
    (f"{TOPIC}.prompts.limit", 0, ["prompts.limit", "0"]),
    (f"{TOPIC}.prompts.group", [], ["prompts.group", "empty"]),
    (f"{TOPIC}.measure", DELETE, [TOPIC, "'measure'", "missing"]),
    (f"{TOPIC}.choices.best.experiment", "topic", ["choices.best.experiment", "topic"]),
    (f"{TOPIC}.choices.best.condition", "best", ["choices.best.condition", "'best'"]),
    (f"{TOPIC}.choices.best.direction", "up", ["direction", "'up'", "max, min"]),
    (f"{TOPIC}.choices.best.cap.factor", 0, ["cap.factor", "0"]),
    (f"{ACTADD}.additions", [], [f"{ACTADD}.additions", "empty"]),
    (f"{ACTADD}.additions.0.layer", 6, [f"{ACTADD}.additions.0.layer", "'best'"]),
    (f"{ACTADD}.additions.0.match_norm", 1, ["match_norm", "1", "true or false"]),
    (f"{ACTADD}.seed", [1, 1], [f"{ACTADD}.seed"]),
    (f"{ADDITION}.layer", "6", [f"{ADDITION}.layer", "'6'", "layer number"]),
    (f"{ADDITION}.layer", True, [f"{ADDITION}.layer", "True"]),
    (f"{ADDITION}.layer", [6, 6], [f"{ADDITION}.layer"]),
    (f"{ADDITION}.layer", [], [f"{ADDITION}.layer"]),
    (f"{ADDITION}.coefficient", "1e3", [f"{ADDITION}.coefficient", "'1e3'", "number"]),
    (f"{ADDITION}.coefficient", True, [f"{ADDITION}.coefficient", "True"]),
    (f"{ADDITION}.coefficient", 1e300, [f"{ADDITION}.coefficient", "too large"]),
    (f"{ADDITION}.coefficient", float("nan"), [f"{ADDITION}.coefficient", "nan"]),
    (f"{ADDITION}.phase", "decoding", [f"{ADDITION}.phase", "'decoding'", "every_step"]),
    (f"{ADDITION}.position", -1, [f"{ADDITION}.position", "-1"]),
    (f"{ADDITION}.position", "start", [f"{ADDITION}.position", "'start'", "a position from 0 on"]),
    (f"{ADDITION}.position", True, [f"{ADDITION}.position", "True", "front, middle, back"]),
    (f"{ADDITION}.layers", [1, 2], [ADDITION, "layer and layers", "keep one"]),
    (RATIO, {**ADDED, "layers": [4, 40], "coefficient": 1}, [f"{RATIO}.layers", "40", "0 to 29"]),
    (RATIO, {**ADDED, "layers": [], "coefficient": 1}, [f"{RATIO}.layers", "empty"]),
    (
        RATIO,
        {**ADDED, "layer": 6, "coefficient": 1, "gate": {**ADDED, "layer": 99, "threshold": 1}},
        [f"{RATIO}.gate.layer", "99", "up to 6"],
    ),
    (f"{ADDITION}.degrees", 30, [ADDITION, "'degrees'", "unknown key"]),
    (f"{ADDITION}.operation", "turn", [f"{ADDITION}.operation", "'turn'", "rotate"]),
    *[
        (RATIO, {"vector": "weddings", "layer": 6, **addition}, words)
        for addition, words in (
            ({"operation": "rotate"}, [RATIO, "'degrees'", "missing"]),
            ({"operation": "rotate", "coefficient": 1}, [RATIO, "'coefficient'", "degrees"]),
            ({"operation": "rotate", "degrees": 400}, [f"{RATIO}.degrees", "400", "360"]),
            ({"operation": "rotate", "degrees": [9, 9]}, [f"{RATIO}.degrees", "twice"]),
            ({"operation": "ablate", "share": 1.5}, [f"{RATIO}.share", "1.5"]),
            ({"operation": "rotate", "degrees": 9, "dose": 1}, [RATIO, "'dose'", "unknown key"]),
            ({"operation": "ablate", "dose": 1}, [RATIO, "'dose'", "unknown key"]),
            ({"dose": 1, "coefficient": 1}, [RATIO, "dose and coefficient", "keep one"]),
            ({"dose": [1, 1]}, [f"{RATIO}.dose", "twice"]),
            (
                {"coefficient": 1, "gate": {"vector": "joy", "layer": 1, "threshold": 0}},
                [f"{RATIO}.gate.vector", "'joy'"],
            ),
            (
                {"coefficient": 1, "gate": {"vector": "weddings", "layer": 1}},
                [f"{RATIO}.gate", "'threshold'", "missing"],
            ),
            (
                {"coefficient": 1, "gate": {"vector": "weddings", "layer": 7, "threshold": 0}},
                [f"{RATIO}.gate.layer", "7", "up to 6"],
            ),
            ({"operation": "clamp"}, [RATIO, "'coefficient'", "missing"]),
            (
                {"coefficient": 1, "phase": "decode", "position": "back"},
                [f"{RATIO}.position", "decode"],
            ),
        )
    ],
    *[
        (RATIO, {"vector": "weddings", "operation": "ablate", "layers": layers}, words)
        for layers, words in (
            ([2, 30], [f"{RATIO}.layers", "30", "0 to 29"]),
            ([2, 2], [f"{RATIO}.layers", "twice"]),
            ([], [f"{RATIO}.layers", "empty"]),
            ("every", [f"{RATIO}.layers", "'every'", "all"]),
            (3, [f"{RATIO}.layers", "3"]),
        )
    ],
    *[
        (
            f"{ACTADD}.additions",
            [{"vector": "weddings", **{"layer": 3} | one} for one in (first, second)],
            [f"{ACTADD}.additions.1", "contradict", "remove one"],
        )
        for first, second in (
            ({"operation": "ablate"}, {"operation": "clamp", "coefficient": 1}),
            (
                {"operation": "clamp", "coefficient": [1, 2]},
                {"operation": "clamp", "coefficient": 3},
            ),
            (
                {"operation": "ablate", "phase": "every_step"},
                {"operation": "ablate", "phase": "decode"},
            ),
            (
                {"operation": "ablate", "layer": [2, 3], "position": ["front", "middle"]},
                {"operation": "ablate", "layer": [3, 4], "position": "front"},
            ),
            ({"operation": "ablate", "position": "front"}, {"operation": "ablate", "position": 0}),
        )
    ],
    (
        f"{ACTADD}.additions.0",
        {"vector": "weddings", "choice": "best", "dose": 1, "factor": 2},
        [f"{ACTADD}.additions.0.factor", "chosen strength"],
    ),
    (
        f"{ACTADD}.additions.0",
        {"vector": "weddings", "choice": "best", "operation": "rotate"},
        [f"{ACTADD}.additions.0.choice", "rotate", "add"],
    ),
    (f"{ADDITION}.source_layer", 30, [f"{ADDITION}.source_layer", "30", "0 to 29"]),
    (f"{ADDITION}.factor", -1, [f"{ADDITION}.factor"]),
    (
        "experiments.perplexity-ratio.conditions.actadd.additions.0",
        {
            "vector": "weddings",
            "layer": list(range(30)),
            "coefficient": list(range(1000)),
            "dimensions": [0.1, 0.2, 0.3, 0.4],
        },
        ["perplexity-ratio.conditions", "120001 cells", "100000"],
    ),
    ("budget", {"topic": {"samples": 0}}, ["budget.topic.samples", "0"]),
    ("run_on", ["stories15m", "stories15m"], ["run_on", "twice"]),
    ("run_on", "all", ["run_on", "[all]"]),
    ("licences_accepted", True, ["licences_accepted", "True"]),
    # --- figures, tables, lenses, timings, comparison
    ("figures.topic.title", DELETE, ["figures.topic", "'title'", "missing"]),
    ("figures.topic.kind", DELETE, ["figures.topic", "'kind'", "missing"]),
    ("figures.topic.metrics", [], ["figures.topic.metrics", "empty"]),
    (
        "figures.topic.metrics",
        "pirate-words.any",
        ["figures.topic.metrics", "[pirate-words.any]"],
    ),
    ("figures.topic.colour", "red", ["figures.topic", "'colour'"]),
    ("figures.topic-sweep.x", "time", ["figures.topic-sweep.x", "'time'", "coefficient"]),
    ("figures.topic-sweep.log", "yes", ["figures.topic-sweep.log", "'yes'", "true or false"]),
    ("figures.norms.relative_to", "joy", ["figures.norms.relative_to", "'joy'"]),
    ("figures.norms.depth", 0.5, ["figures.norms", "'depth'", "vectors"]),
    ("figures.topic-sweep.condition", "none", ["figures.topic-sweep.condition", "'none'"]),
    (
        "lenses",
        {"all": {"vectors": ["weddings"], "models": ["smollm2-135m"], "top": 0}},
        ["lenses.all.top"],
    ),
    ("lenses", {"all": {"vectors": ["weddings"], "models": []}}, ["lenses.all.models", "empty"]),
    ("overheads", {"t": TIMING}, ["overheads.t", "'models'"]),
    (
        "overheads",
        {"t": {**TIMING, "models": ["smollm2-135m"], "layer": 30}},
        ["overheads.t.layer", "30", "0 to 29"],
    ),
    (
        "overheads",
        {"t": {**TIMING, "models": [], "shapes": {"s": {**SHAPE, "d_model": 10}}}},
        ["overheads.t.shapes.s.heads", "divide"],
    ),
    (
        "overheads",
        {"t": {**TIMING, "models": ["stories15m"], "shapes": {"stories15m": SHAPE}}},
        ["overheads.t.shapes", "'stories15m'", "rename"],
    ),
    ("comparison", {"published": "/etc/passwd"}, ["comparison.published", "'/etc/passwd'"]),
    ("comparison", {"comparisons": {"a": {}}}, ["comparison.comparisons.a", "'title'"]),
    ("comparison", [], ["comparison", "[]"]),
    *[
        ("comparison", {"claims": {"c": {"title": "x", "source": "Table 1", **claim}}}, parts)
        for claim, parts in (
            ({"test": "rising"}, ["claims.c.test", "'rising'", "write increasing, decreasing"]),
            ({"test": {"abov": 0}}, ["claims.c.test", "'abov'", "above, below, greater_than"]),
            ({"test": {"near": [1]}}, ["claims.c.test.near", "[1]", "write 2"]),
            ({"test": {"above": "0"}}, ["claims.c.test", "above"]),
            ({"test": {"above": 0}}, ["claims.c", "above", "'ours'", "add it"]),
            (
                {"test": "increasing", "ours": {"experiment": "topic"}},
                ["claims.c", "increasing", "'x'", "add it"],
            ),
            ({"test": {"above": 0}, "our": {}}, ["claims.c", "'our'", "ours"]),
            (
                {"test": {"above": 0}, "ours": {"experiment": "topic"}, "y": "median"},
                ["claims.c.y", "'median'", "difference"],
            ),
        )
    ],
]

TEXT = (tiny.ROOT / "config.yaml").read_text(encoding="utf-8")
SEED_LINE = TEXT[: TEXT.index("\nseed:")].count("\n") + 2

# What is in the file, what the message must name beside the file.
WRITTEN = [
    (TEXT + "\nseed: 1\n", ["seed", f"line {SEED_LINE}", "remove or rename"]),
    ("a:\n  b: 1\n  c: 2\n  'b': 1\n", ["line 4", "a.b", "line 2"]),
    ('{"seed": 1,\n "seed": 2}', ["line 2", "seed", "line 1"]),
    ("figures: {}\ntables: {}\nfigures: {}\n", ["line 3", "figures", "line 1"]),
    ("a: {<<: {b: 1}, <<: {b: 2}}\n", ["line 1", "a.<<"]),
    ("seed: [1\n", ["line 2", "not valid YAML", "brackets"]),
    ("a:\n\tb: 1\n", ["line 2", "spaces, not tabs"]),
    ("title: a: b\n", ["line 1", "quotes"]),
    ("title: @b\n", ["line 1", "quotes"]),
    ("title: 'it's\n", ["not valid YAML", "quotes"]),
    ("a: *b\n", ["line 1", "undefined alias"]),
    ("seed: 1\n---\nseed: 2\n", ["line 2", "another document"]),
    ("just a sentence\n", ["line 1", "write keys"]),
    ("", ["line 1", "write keys"]),
    ("- seed: 1\n", ["line 1", "write keys"]),
    ("a: !!python/object/apply:os.system [exit]\n", ["line 1", "a", "python/object", "plain"]),
    ("a: !!python/name:os.system\n", ["line 1", "a", "python/name", "plain"]),
    ("a: !!binary aGk=\n", ["line 1", "a", "!!binary"]),
    ("a: !!set {x}\n", ["line 1", "a", "!!set"]),
    ("a: !other b\n", ["line 1", "a", "!other"]),
    ("__use_yte__: true\nseed: ?1 + 1\n", ["line 1", "__use_yte__", "run code"]),
    (BOMB, ["aliases", "200,000"]),
    ("a: &a [*a]\n", ["line 1", "a.0", "contain"]),
    ("a: &a {b: *a}\n", ["line 1", "a.b", "contain"]),
    ("a: " + "[" * 100_000, ["line 1", "fewer levels"]),
    ("a: " + "[" * 60 + "]" * 60, ["line 1", "fewer levels"]),
    ("on: 1\n", ["line 1", "key on", "quotes"]),
    ("datasets:\n  1: {}\n", ["line 2", "datasets", "key 1", "quotes"]),
    ("? [a]\n: b\n", ["line 1", "[...]", "quotes"]),
    ("a: 2024-01-01\n", ["line 1", "a", "2024-01-01", "quotes"]),
    ("a: =\n", ["line 1", "a", "quotes"]),
    ("a: 12:30\n", ["line 1", "a", "12:30", "base 60"]),
    ("a: 010\n", ["line 1", "a", "010", "octal"]),
    ("a: " + "9" * 5000 + "\n", ["line 1", "a", "5000 digits"]),
    ("seed: 1\nb: \x01\n", ["not valid YAML", "control"]),
    ('a: "\\ud800"\n', ["line 1", "escape"]),
    ("seed: 1\ntitle: é\n".encode("latin-1"), ["line 2", "0xe9", "UTF-8"]),
    (TEXT.encode("utf-16"), ["line 1", "UTF-8"]),
    (b"# " + b"x" * 6_000_000, ["5,000,000", "dataset"]),
]


def refused(file, words: list[str], monkeypatch) -> None:
    """The way that the Snakefile and the command line read a config ends in a good message."""
    # None here makes their import fail.
    for module in ("torch", "transformers", "pandas", "sklearn"):
        monkeypatch.setitem(sys.modules, module, None)
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        checked(load([file]), tiny.ROOT)
    message = str(caught.value)
    assert time.monotonic() - start < 5
    assert all(word in message for word in words), message
    assert len(message.splitlines()) <= 5 and len(message) < 600
    assert SECRET not in message and message.replace("\n", "").isprintable()


def test_the_default_config_is_valid():
    checked(load([tiny.ROOT / "config.yaml"]), tiny.ROOT)


@pytest.mark.parametrize(
    ("path", "value", "words"), MISTAKES, ids=[str(m[0])[:60] for m in MISTAKES]
)
def test_a_mistake_is_named(tmp_path, monkeypatch, path, value, words):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(changed(path, value), allow_unicode=True), encoding="utf-8")
    refused(file, words, monkeypatch)


@pytest.mark.parametrize(("content", "words"), WRITTEN, ids=range(len(WRITTEN)))
def test_an_unreadable_config_is_named_with_its_line(tmp_path, monkeypatch, content, words):
    file = tmp_path / "odd.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(file, [str(file), *words], monkeypatch)


@pytest.mark.parametrize("name", ["none.yaml", ".", "a\0b", "a" * 300])
def test_a_config_that_is_not_a_file_is_named(tmp_path, monkeypatch, name):
    refused(f"{tmp_path}/{name}", ["cannot be read", "name a config file"], monkeypatch)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": {1, 2}}, ["a", "set", "quotes"]),
        ({"a": datetime.date(2024, 1, 1)}, ["a", "date", "quotes"]),
        ({"a": b"x"}, ["a", "bytes"]),
        ({"a": "\ud800"}, ["a", "U+D800"]),
        ({"a\0": 1}, ["a?", "U+0000"]),
        ({"a": 10**400}, ["a", "too large"]),
        ({"a": [0] * 300_000}, ["values"]),
    ],
    ids=["set", "date", "bytes", "surrogate", "nul", "digits", "size"],
)
def test_values_that_came_past_the_files_are_named(value, words):
    """From --config, from a template's result, from Python."""
    with pytest.raises(UserError) as caught:
        checked(value, tiny.ROOT)
    assert all(word in str(caught.value) for word in words), caught.value


def test_values_that_hold_themselves_are_refused():
    value: dict = {"a": []}
    value["a"].append(value)
    with pytest.raises(UserError, match="contain"):
        checked(value, tiny.ROOT)


def test_a_file_behind_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "texts.csv").write_text(tiny.TEXTS)
    (tmp_path / "here/labelled.csv").write_text("text,label\na b,1\nc d,-1\n")
    (tmp_path / "here/texts.csv").symlink_to(tmp_path / "texts.csv")
    with pytest.raises(UserError, match=r"datasets\.texts\.file: .*a link out of this folder"):
        checked(tiny.config(), tmp_path / "here")
    (tmp_path / "here/texts.csv").unlink()
    (tmp_path / "here/data").mkdir()
    (tmp_path / "here/data/texts.csv").write_text(tiny.TEXTS)
    (tmp_path / "here/texts.csv").symlink_to("data/texts.csv")
    checked(tiny.config(), tmp_path / "here")


def test_a_byte_order_mark_and_a_comment_in_any_language_are_accepted(tmp_path):
    (tmp_path / "config.yaml").write_text("\ufeff# Größe, 大きさ\nseed: 1\n", encoding="utf-8")
    assert load([tmp_path / "config.yaml"]) == {"seed": 1}


def test_files_are_merged_as_snakemake_merges_them(tmp_path):
    from snakemake.utils import update_config

    texts = [
        "a: {b: 1, c: [1, 2]}\nd: 1\n",
        "a: {c: [3], e: {f: 1}}\nd: {g: 1}\n",
        "a: {e: null}\n",
    ]
    merged: dict = {}
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
        update_config(merged, yaml.safe_load(text))
    assert load(sorted(tmp_path.glob("*.yaml"))) == merged


def test_a_dose_without_texts_for_its_norm_is_refused():
    config = changed(RATIO, {"vector": "weddings", "layer": 6, "dose": [0.5, 1]})
    checked(config)
    del config["dose"]
    with pytest.raises(UserError, match=rf"{RATIO}\.dose: .*dose: \{{ dataset: NAME \}}"):
        checked(config)
    other = changed("dose.split", "developments", changed("datasets.norm-texts.splits", {"a": 3}))
    with pytest.raises(UserError, match=r"dose\.split: .*'developments'.*: a"):
        checked(other)


@pytest.mark.parametrize("kind", ["mean_difference", "pca", "lda", "logistic"])
def test_pairs_of_one_class_are_refused(kind):
    pairs = {"kind": kind, "positive": ["a", "b", "c"], "negative": ["c", "a", "b"]}
    with pytest.raises(UserError, match=r"vectors\.same: positive and negative.*; write others"):
        checked(changed("vectors.same", pairs))


RULE = {"dataset": "cloze", "split": "fit", "report": "test", "positive": ["nature"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": "clozes"}, ["threshold.dataset", "'clozes'", "cloze"]),
        ({"positive": []}, ["threshold.positive", "empty"]),
        ({"positive": None}, ["threshold", "'positive'", "missing"]),
        (
            {"at_most_false_positive": 1.5},
            ["threshold.at_most_false_positive", "1.5", "maximum of 1"],
        ),
        ({"split": "fits"}, ["threshold.split", "'fits'", "fit"]),
        ({"report": "tests"}, ["threshold.report", "'tests'", "test"]),
        ({"report": "fit"}, ["threshold.report", "'fit'", "another split"]),
        ({"report": "all"}, ["threshold.report", "'fit'", "another split"]),
        ({"negative": ["nature"]}, ["threshold.negative", "'nature'", "one side"]),
    ],
)
def test_a_rule_for_a_gates_threshold(change, words):
    rule = {key: value for key, value in {**RULE, **change}.items() if value is not None}
    gate = {"vector": "weddings", "layer": 1, "threshold": rule}
    config = changed(RATIO, {"vector": "weddings", "layer": 6, "coefficient": 1, "gate": gate})
    config["datasets"]["cloze"]["splits"] = {"test": 0.5, "fit": 0.5}
    with pytest.raises(UserError) as error:
        checked(config)
    for word in (f"{RATIO}.gate", *words):
        assert word in str(error.value)


def test_a_gate_without_a_threshold_says_what_to_write():
    gate = {"vector": "weddings", "layer": 1}
    config = changed(RATIO, {"vector": "weddings", "layer": 6, "coefficient": 1, "gate": gate})
    with pytest.raises(UserError, match=rf"{RATIO}\.gate: .*'threshold'.*missing"):
        checked(config)
