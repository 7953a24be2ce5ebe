"""Mistakes in texts and contrast prompts: one message with file, line and remedy."""

from pathlib import Path

import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.data import datasets
from actadd.engine.tokens import Tokens
from actadd.measure.experiment import Experiment
from actadd.vectors.activations import contrast_ids

PAIR = {"kind": "pair", "positive": "a", "negative": "b"}


def prompts_file(folder, *rows: str) -> Path:
    """A prepared dataset of a CSV file; its rows start on line 2."""
    (folder / "mine.csv").write_text("\n".join(["text", *rows]) + "\n")
    spec = {"name": "mine", "title": "x", "file": "mine.csv"}
    datasets.prepare(spec, folder / "mine.csv", folder / "mine.parquet")
    return folder / "mine.parquet"


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        (
            ["We went", "up to <|endoftext|> me"],
            {},
            ["mine.csv:3", "'<|endoftext|>'", "take it out"],
        ),
        (
            ["We went", "word " * 10_000],
            {},
            ["mine.csv:3", "at most 128", "shorten", "_tokens: 128"],
        ),
        (["We went"], {"max_new_tokens": 200}, ["mine.csv:2", "at most 128", "shorter"]),
        (
            ["We went"],
            {"conditions": {"a": {"method": "prompting", "prefix": "<|endoftext|>"}}},
            ["experiments.e.conditions.a.prefix", "'<|endoftext|>'"],
        ),
        (
            ["We went"],
            {"conditions": {"a": {"method": "preadd", "prefix": "word " * 300, "strength": 1}}},
            ["experiments.e.conditions.a.prefix", "at most 128"],
        ),
    ],
    ids=["special", "long", "with-completion", "prefix", "contrast"],
)
def test_a_prompt_that_does_not_fit_is_named_by_file_and_line(
    prepared, tmp_path, rows, changes, words
):
    """Before a model is loaded: only its tokenizer is."""
    spec = {
        "name": "e",
        "model": "tiny",
        "measure": "completions",
        "max_new_tokens": 0,
        "prompts": {"split": "all"},
        "conditions": {"plain": {"method": "unsteered"}},
        **changes,
    }
    experiment = Experiment(spec, prepared, {}, None)
    texts = experiment.texts(prompts_file(tmp_path, *rows))["text"].tolist()
    with pytest.raises(UserError) as caught:
        for condition in experiment.conditions:
            experiment.encode(condition, texts)
            experiment.contrast(condition, texts)
    message = str(caught.value)
    assert all(word in message for word in ("experiments.e", *words)), message
    assert len(message) < 400


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_new_tokens": 100},
        {
            "conditions": {
                "a": {"method": "prompting", "prefix": "Now: "},
                "b": {"method": "unsteered"},
            }
        },
        {"conditions": {"a": {"method": "preadd", "prefix": "A word. " * 4, "strength": 1}}},
    ],
)
def test_the_length_that_a_message_names_is_short_enough(prepared, tmp_path, changes):
    """Of all texts and conditions, whichever is found too long first."""
    spec = {
        "name": "e",
        "model": "tiny",
        "measure": "completions",
        "max_new_tokens": 0,
        "conditions": {"plain": {"method": "unsteered"}},
        "prompts": {"split": "all"},
        **changes,
    }
    file = prompts_file(tmp_path, "We went", "word " * 200, "naïve 🙂 " * 90)

    def encoded(prompts: dict) -> None:
        experiment = Experiment({**spec, "prompts": prompts}, prepared, {}, None)
        texts = experiment.texts(file)["text"].tolist()
        for condition in experiment.conditions:
            experiment.encode(condition, texts)
            experiment.contrast(condition, texts)

    with pytest.raises(
        UserError, match=r"or write experiments\.e\.prompts\.first_tokens: "
    ) as caught:
        encoded({"split": "all"})
    told = int(str(caught.value).rsplit(" ", 1)[1])
    encoded({"split": "all", "first_tokens": told})
    with pytest.raises(UserError, match="first_tokens"):
        encoded({"split": "all", "first_tokens": told + 1})


def test_rows_without_a_text_are_left_out_and_named(tmp_path, capsys):
    table = pd.read_parquet(prompts_file(tmp_path, "one", '"   "', "two", '"\u3000"', '""'))
    assert table["text"].tolist() == ["one", "two"]
    assert table["origin"].tolist() == ["mine.csv:2", "mine.csv:4"]
    output = capsys.readouterr().out
    assert "datasets.mine: 3 rows without a text are left out: mine.csv:3, mine.csv:5" in output


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "text\nHello, world\n", ["line 2", "2 columns", "double quotes"]),
        ("a.csv", 'text\n"never closed\n', ["cannot be read as csv"]),
        ("a.csv", "text,text\na,b\n", ["'text'", "twice"]),
        ("a.csv", b"text\n\xe9\n", ["cannot be read as csv", "0xe9"]),
        ("a.csv", "words\na\n", ["columns.text", "'text'", "words"]),
        ("a.csv", "", ["columns.text"]),
        ("a.csv", "text\n \n", ["no text is left"]),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', ["line 2"]),
        ("a.jsonl", '{"text": "a"}\n[1]\n', ["row 2 is not an object"]),
        ("a.jsonl", '{"text": ["a"]}\n', ["a.jsonl:1", "is not a text"]),
        ("a.jsonl", '{"text": "a"}\n\n{"text": "\\ud800"}\n', ["row 3", "half a character"]),
        ("a.json", '{"text": "a"}', ["not a list of objects"]),
        ("a.json", "[" * 100_000, ["cannot be read as json"]),
    ],
)
def test_a_file_that_is_not_of_its_form_is_named_with_the_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        datasets.prepare({"name": "mine", "file": name}, tmp_path / name, tmp_path / "x.parquet")
    assert all(word in str(caught.value) for word in ("datasets.mine", *words)), caught.value
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            PAIR | {"positive": "to <|endoftext|>"},
            ["vectors.new", "'<|endoftext|>'", "take it out", "{chat: TEXT}", "token_ids"],
        ),
        (PAIR | {"negative": "word " * 300}, ["vectors.new", "'word word", "at most 128"]),
        (PAIR | {"pad": "<|endoftext|>"}, ["vectors.new.pad", "'<|endoftext|>'"]),
        (PAIR | {"pad": "two words"}, ["vectors.new.pad", "not one token"]),
    ],
    ids=["special", "long", "special-pad", "long-pad"],
)
def test_a_contrast_prompt_that_does_not_fit_is_named(prepared, entry, words):
    with pytest.raises(UserError) as caught:
        contrast_ids({"name": "new", **entry}, Tokens(prepared))
    assert all(word in str(caught.value) for word in words), caught.value
