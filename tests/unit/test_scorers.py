"""Scorers against plain arithmetic or against texts whose order is plain to see."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from actadd.base.errors import CellError, UserError
from actadd.base.files import read_json
from actadd.data import datasets
from actadd.engine.tokens import Tokens
from actadd.models import loading, preparation
from actadd.results import scorer_card
from actadd.scorers import scores
from actadd.scorers.models.classifier import classifier
from actadd.scorers.models.hub_classifier import hub_classifier
from actadd.scorers.models.perplexity import perplexity
from actadd.scorers.models.similarity import similarity
from actadd.scorers.text.distinct import distinct
from actadd.scorers.text.vader import vader
from actadd.scorers.text.words import words
from builders import tiny

MOOD = {
    "name": "mood",
    "kind": "classifier",
    "fit": {"dataset": "x", "split": "fit"},
    "threshold": 0,
}


def table(*completions, prompt="We said"):
    return pd.DataFrame({"prompt": prompt, "completion": list(completions)})


def test_topic_words_are_counted_as_the_authors_count():
    result = words.score(
        table("A wedding! Weddings? bride-groom", "weddinglike", "", prompt="wedding"),
        {"words": ["wedding", "weddings", "bride", "groom"]},
        None,
    )
    assert result["count"].tolist() == [4, 0, 0] and result["any"].tolist() == [1, 0, 0]


def test_a_word_counts_however_its_accents_are_written():
    composed, apart = "caf\u00e9", "cafe\u0301"
    for word in (composed, apart):
        result = words.score(
            table(f"A {composed}", f"a {apart.upper()}!", "cafe"), {"words": [word]}, None
        )
        assert result["count"].tolist() == [1, 1, 0]


ODD = [
    "",
    " ",
    "\0",
    "\u200b",
    "\U0001f926\u200d\u2642\ufe0f",
    "\u202egood",
    "!" * 500,
    "\ufffd",
    "\u9ad8\u3044",
]


@pytest.mark.parametrize("kind", [vader, words, distinct], ids=lambda kind: kind.name)
def test_odd_texts_have_a_score_or_none(kind):
    result = kind.score(table(*ODD), {"words": ["\u9ad8\u3044"]}, None)
    assert len(result) == len(ODD) and (kind is distinct or result.notna().all(axis=None))
    if kind is words:
        assert result["count"].tolist() == [0] * (len(ODD) - 1) + [1]


def test_distinct_n():
    result = distinct.score(table("a b a b", "a", ""), {}, None)
    assert result["distinct_1"].tolist()[:2] == [0.5, 1.0]
    assert result["distinct_2"].tolist()[0] == pytest.approx(2 / 3)
    assert result["distinct_1"].isna().tolist() == [False, False, True]


def test_vader_tells_good_from_bad():
    texts = table("This is wonderful", "This is horrible", "This is a table")
    result = vader.score(texts, {}, None)
    good, bad, neutral = result["compound"]
    assert good > 0.4 and bad < -0.4 and neutral == 0


def test_perplexity_is_of_the_completion_given_the_prompt(tiny_model, tmp_path):
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    preparation.prepare(entry, tiny_model, tmp_path / "tiny")
    spec = {"model": "tiny", "dtype": "float32", "batch_rows": 8}
    spec |= {"compute": {"device": "cpu", "threads": 1}}
    result = perplexity.score(table(" the ship", " a", "", " the ship"), spec, tmp_path / "tiny")
    model = loading.load(tmp_path / "tiny", dtype="float32", device="cpu", threads=1)
    tokens = Tokens(tmp_path / "tiny")
    prompt, completion = tokens.encode("We said"), tokens.pieces(" the ship")
    with torch.no_grad():
        logs = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
    by_hand = [float(logs[len(prompt) - 1 + i, token]) for i, token in enumerate(completion)]
    assert result["mean_logprob"][0] == pytest.approx(np.mean(by_hand), abs=1e-4)
    assert result["perplexity"][0] == pytest.approx(math.exp(-np.mean(by_hand)), rel=1e-3)
    assert math.isnan(result["perplexity"][2])
    assert result["perplexity"][3] == pytest.approx(result["perplexity"][0], rel=1e-5)


def test_a_special_token_in_generated_text_is_text_to_the_judge(tiny_model, tmp_path):
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    preparation.prepare(entry, tiny_model, tmp_path / "tiny")
    spec = {"model": "tiny", "dtype": "float32", "batch_rows": 8}
    spec |= {"compute": {"device": "cpu", "threads": 1}}
    result = perplexity.score(table(" <|endoftext|> the"), spec, tmp_path / "tiny")
    assert result["perplexity"].notna().all()


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Texts whose label is plain from their words, as a prepared dataset."""
    folder = tmp_path_factory.mktemp("labelled")
    good, bad = ["lovely", "great", "happy"], ["awful", "poor", "sad"]
    rows = [
        (f"it was a {word} day number {n} for all of us", sign)
        for n in range(40)
        for sign, group in ((1.5, good), (-1.5, bad))
        for word in group
    ]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "x.csv", index=False)
    spec = {"name": "x", "title": "x", "splits": {"held-out": 0.25, "fit": 0.75}}
    datasets.prepare(spec, folder / "x.csv", folder / "x.parquet")
    return folder / "x.parquet"


def test_a_fitted_classifier_is_stored_without_pickle_and_validated(labelled, tmp_path):
    entry = {
        **MOOD,
        "margin": 0.5,
        "validate": {
            "dataset": "x",
            "split": "held-out",
            "metric": "probability",
            "threshold": 0,
            "cut": 0.5,
        },
    }
    classifier.fit_on(datasets.read(labelled, "fit", ""), entry, tmp_path / "mood")
    files = {path.name for path in (tmp_path / "mood").iterdir()}
    assert files == {"classifier.safetensors", "vocabulary.json"}
    result = classifier.score(table("a lovely day", "an awful day"), entry, tmp_path / "mood")
    assert result["probability"][0] > 0.8 and result["probability"][1] < 0.2
    scores.validate(
        {"scorer": entry},
        texts_file=labelled,
        inputs=tmp_path / "mood",
        output=tmp_path / "mood.json",
    )
    figures = read_json(tmp_path / "mood.json")["all"]
    assert figures["auc"] == 1 and figures["accuracy"] == 1 and figures["spearman"] > 0.8
    # Of one text no order can be told.
    one = {**entry, "validate": {**entry["validate"], "limit": 1}}
    inputs = {"texts_file": labelled, "inputs": tmp_path / "mood", "output": tmp_path / "one.json"}
    scores.validate({"scorer": one}, **inputs)
    figures = read_json(tmp_path / "one.json")["all"]
    assert figures["n"] == 1 and figures["auc"] is None and figures["spearman"] is None
    plain = {"name": "count", "kind": "words", "note": "counts are exact"}
    scorer_card.scorer_card(
        {"scorers": [entry, plain]},
        validations={"mood": tmp_path / "mood.json"},
        **{kind: tmp_path / f"card.{kind}" for kind in ("csv", "markdown", "latex")},
    )
    card = pd.read_csv(tmp_path / "card.csv").set_index("scorer")
    assert card.loc["mood", "auc"] == 1 and "counts are exact" in card.loc["count", "note"]


def test_labels_on_one_side_are_refused(labelled, tmp_path):
    entry = {**MOOD, "threshold": 5}
    with pytest.raises(UserError, match=r"scorers\.mood\.threshold"):
        classifier.fit_on(datasets.read(labelled, "fit", ""), entry, tmp_path / "mood")


@pytest.mark.parametrize(
    ("rows", "entry", "message"),
    [
        ([("good day", None), ("bad day", None)], {}, r"scorers\.mood\.fit: none of the 2 .*label"),
        ([("good day", 1), ("good night", 1)], {}, r"scorers\.mood\.threshold: .*one side of 0"),
        ([("good day", 1), ("bad day", -1)], {"margin": 5}, r"one side of 0.*smaller margin"),
        ([("alpha", 1), ("beta", -1)], {}, r"scorers\.mood\.fit: no word is in two of the 2"),
        ([("!!!", 1), ("!!!", -1)], {}, r"scorers\.mood\.fit: no word is in two of the 2"),
    ],
)
def test_what_a_classifier_cannot_be_fitted_on_is_reported(tmp_path, rows, entry, message):
    texts = pd.DataFrame(rows, columns=["text", "label"]).astype({"label": "float64"})
    with pytest.raises(UserError, match=message):
        classifier.fit_on(texts, {**MOOD, **entry}, tmp_path / "mood")
    assert not (tmp_path / "mood").exists()


def test_a_row_without_a_label_is_left_out_of_the_fit(tmp_path):
    rows = [("good day", 1.0), ("good one", 1.0), ("bad day", -1.0), ("bad one", -1.0)]
    texts = pd.DataFrame([*rows, ("odd day", math.nan)], columns=["text", "label"])
    facts = classifier.fit_on(texts, MOOD, tmp_path / "mood")
    assert facts == {"rows": 4, "positive": 2, "terms": 4}


@pytest.fixture(scope="module")
def bert(tmp_path_factory, tiny_model):
    """A tiny random BERT in the form that a hub repository has."""
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(tiny_model / "tokenizer.json")),
        pad_token="<|endoftext|>",
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        pad_token_id=0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_hub_classifier_scores_one_label(bert):
    spec = {
        "name": "hub",
        "source": "s",
        "label": "positive",
        "compute": {"device": "cpu", "threads": 1},
    }
    texts = table("The ship left", "They danced until the morning", "a")
    positive = hub_classifier.score(texts, spec, bert)["probability"]
    negative = hub_classifier.score(texts, {**spec, "label": "NEGATIVE"}, bert)["probability"]
    assert np.allclose(positive + negative, 1, atol=1e-6) and positive.between(0, 1).all()
    alone = hub_classifier.score(texts.tail(1), spec, bert)["probability"]
    assert alone.iloc[0] == pytest.approx(positive[2], abs=1e-5)
    with pytest.raises(UserError, match=r"scorers\.hub\.label: .* 0: 'NEGATIVE', 1: 'POSITIVE'"):
        hub_classifier.score(texts, {**spec, "label": "joy"}, bert)


def test_similarity_of_a_text_with_itself_is_one(bert):
    spec = {"source": "s", "compute": {"device": "cpu", "threads": 1}}
    texts = pd.DataFrame(
        {"prompt": ["The ship left"] * 3, "completion": ["The ship left", "a", ""]}
    )
    cosine = similarity.score(texts, spec, bert)["cosine"]
    assert cosine[0] == pytest.approx(1, abs=1e-5) and cosine[1] < 0.9999 and math.isnan(cosine[2])


def test_what_a_judge_cannot_read_as_it_is_too_long_fails_its_cell(prepared):
    """Half characters of a completion may be more tokens to the judge than were drawn."""
    spec = {"name": "fluency", "model": "tiny", "dtype": "float32", "batch_rows": 8}
    spec |= {"compute": {"device": "cpu", "threads": 1}}
    with pytest.raises(CellError, match=r"scorers\.fluency: .* tiny reads at most 128"):
        perplexity.score(table("\ufffd" * 80, " a"), spec, prepared)
