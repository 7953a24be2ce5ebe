"""Borrowed classifiers against transformers' own pipeline."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers as tf
from tokenizers import Tokenizer

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.scorers.models.hub_classifier import hub_classifier
from builders import tiny
from builders.configs import DEFAULT
from builders.encoders import CONTEXT, SMALL, WIDTH

COMMON = {**SMALL, "max_position_embeddings": CONTEXT}
ROBERTA = {**COMMON, "max_position_embeddings": CONTEXT + 2, "pad_token_id": 1}
FEW_KEYS = {**COMMON, "num_key_value_heads": 2}
# family -> settings of its config. RoBERTa and MPNet keep two rows of positions for padding.
FAMILIES = {
    "Bert": COMMON,
    "Roberta": ROBERTA,
    "MPNet": {**COMMON, "max_position_embeddings": CONTEXT + 2},
    "DistilBert": {
        **{"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": WIDTH},
        **{"max_position_embeddings": CONTEXT, "initializer_range": 0.3},
    },
    "DebertaV2": {**COMMON, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "Electra": {**COMMON, "embedding_size": WIDTH},
    "GPT2": {
        **{"n_embd": WIDTH, "n_layer": 2, "n_head": 2, "n_positions": CONTEXT},
        "initializer_range": 0.3,
    },
    "Llama": FEW_KEYS,
    "Qwen2": FEW_KEYS,
    "OPT": {
        **{"hidden_size": WIDTH, "ffn_dim": WIDTH, "word_embed_proj_dim": WIDTH},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "init_std": 0.3},
        "max_position_embeddings": CONTEXT,
    },
    "XLNet": {"d_model": WIDTH, "n_layer": 2, "n_head": 2, "d_inner": WIDTH},
    "ModernBert": COMMON,
}
# Those that the pipeline runs though neither tokenizer nor config has a pad token.
WITHOUT_PAD = ("Bert", "DistilBert", "GPT2", "Llama", "Qwen2", "OPT", "XLNet")
# Those that read no more than their positions; the others go on.
BOUND = ("Bert", "Roberta", "MPNet", "DistilBert", "DebertaV2", "Electra", "GPT2", "OPT")
TEXTS = [
    "The ship left",
    "They danced until the morning",
    "a",
    " ",
    "The weather was cold and wet, and nobody came: " * 6,
    "é 高い 🤦🏽‍♂️ naïve",
    "The ship left port",
    "the bride said",
]
LABELS = {0: "calm", 1: "Angry", 2: "sad"}


@pytest.fixture(scope="module")
def make(tmp_path_factory, tiny_model):
    """Makes a tiny random classifier: (family, pad, dtype, settings of the tokenizer, of the
    config) -> its folder."""
    counter = iter(range(1000))

    def checkpoint(family="Bert", pad=True, dtype="float32", tokenizer=None, **settings) -> Path:
        folder = tmp_path_factory.mktemp("classifier") / f"{family}-{next(counter)}"
        mark = "!" if family == "Roberta" else "#"
        vocabulary = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
        options = {"pad_token": mark} if pad else {}
        tf.PreTrainedTokenizerFast(
            tokenizer_object=vocabulary, **options, **(tokenizer or {})
        ).save_pretrained(folder)
        defaults = {
            "id2label": LABELS,
            "pad_token_id": vocabulary.token_to_id("#"),
            **FAMILIES[family],
        }
        config = getattr(tf, f"{family}Config")(
            vocab_size=vocabulary.get_vocab_size(),
            **{**defaults, **({} if pad else {"pad_token_id": None}), **settings},
        )
        torch.manual_seed(0)
        model = getattr(tf, f"{family}ForSequenceClassification")(config)
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        return folder

    return checkpoint


def ours(folder: Path, label: str | int = "angry", texts=TEXTS, **spec) -> np.ndarray:
    compute = {"device": "cpu", "threads": 1}
    spec = {"name": "mood", "source": "s", "label": label, "compute": compute, **spec}
    result = hub_classifier.score(pd.DataFrame({"completion": texts}), spec, folder)
    return result["probability"].to_numpy()


def theirs(folder: Path, label: str = "Angry", texts=TEXTS, **options) -> list[float]:
    """The pipeline's score of each text alone."""
    pipeline = tf.pipeline("text-classification", model=str(folder), device="cpu")
    answers = [pipeline(text, top_k=None, **options) for text in texts]
    return [entry["score"] for answer in answers for entry in answer if entry["label"] == label]


@pytest.mark.parametrize(
    ("family", "pad"),
    [*((family, True) for family in FAMILIES), *((family, False) for family in WITHOUT_PAD)],
)
def test_every_family_scores_as_the_pipeline_does(make, family, pad):
    folder = make(family, pad)
    cut = {"truncation": True, "max_length": CONTEXT} if family in BOUND else {}
    np.testing.assert_allclose(ours(folder), theirs(folder, **cut), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"id2label": {0: "Angry"}},
        {"id2label": {0: "Angry"}, "problem_type": "regression"},
        {"problem_type": "multi_label_classification"},
        {"problem_type": "single_label_classification"},
        {"problem_type": "regression"},
        {"function_to_apply": "sigmoid"},
        {"id2label": {0: "Angry", 1: "calm"}},
    ],
)
def test_the_function_of_the_logits_is_the_pipelines(make, settings):
    folder = make(**settings)
    cut = {"truncation": True, "max_length": CONTEXT}
    np.testing.assert_allclose(ours(folder), theirs(folder, **cut), atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokenizers_settings_count(make, side):
    options = {"padding_side": side, "truncation_side": side, "model_max_length": 9}
    for family in ("GPT2", "Roberta"):
        folder = make(family, tokenizer=options)
        np.testing.assert_allclose(ours(folder), theirs(folder, truncation=True), atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_checkpoint_in_half_precision_is_run_in_it(make, dtype):
    folder = make("Bert", dtype=dtype)
    texts = [text for text in TEXTS if len(text) < 100]
    # A batch may round otherwise than a row alone, in the last bit.
    np.testing.assert_allclose(ours(folder, texts=texts), theirs(folder, texts=texts), atol=5e-3)


def test_a_score_does_not_depend_on_the_texts_beside_it(make):
    for family in ("GPT2", "Bert", "Roberta"):
        folder = make(family)
        together = ours(folder)
        alone = [ours(folder, texts=[text])[0] for text in TEXTS]
        np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("label", ["Angry", "ANGRY", "angry", 1, "1"])
def test_a_label_by_its_name_or_number(make, label):
    folder = make()
    expected = theirs(folder, truncation=True, max_length=CONTEXT)
    np.testing.assert_allclose(ours(folder, label), expected, atol=1e-5)


def test_labels_that_are_numbers_or_differ_in_case_alone(make):
    folder = make(id2label={0: "1", 1: "0", 2: "A", 3: "a"})
    assert (ours(folder, "1") == ours(folder, 0)).all()
    assert (ours(folder, "a") == ours(folder, 3)).all()
    assert not np.allclose(ours(folder, "1"), ours(folder, 1))
    folder = make(id2label={0: "A", 1: "A", 2: "aB", 3: "Ab"})
    assert not np.allclose(ours(folder, 0), ours(folder, 1))
    for label in ("A", "AB"):
        with pytest.raises(UserError, match=r"scorers\.mood\.label: .*several labels.*1: 'A'"):
            ours(folder, label)
    with pytest.raises(UserError, match=r"scorers\.mood\.label: .*no label 7"):
        ours(folder, 7)


def test_a_text_without_tokens_has_no_score(make):
    result = ours(make("GPT2"), texts=["The ship", "", "left"])
    assert np.isnan(result[1]) and not np.isnan(result[[0, 2]]).any()


def test_what_the_pipeline_cannot_run_is_refused_with_its_reason(make):
    folder = make("Roberta", pad=True, tokenizer={"additional_special_tokens": ["ship"]})
    with pytest.raises(UserError, match=r"scorers\.mood\.source: .*IndexError.*mend"):
        ours(folder)


def test_a_label_may_be_a_number_in_a_config():
    config = copy.deepcopy(DEFAULT)
    entry = {"kind": "hub_classifier", "source": "all-minilm-l6-v2"}
    config["scorers"]["mood"] = {**entry, "label": 1}
    assert checked(config, tiny.ROOT)["scorers"]["mood"]["label"] == 1
    config["scorers"]["mood"] = {**entry, "label": True}
    with pytest.raises(UserError, match=r"scorers\.mood\.label"):
        checked(config, tiny.ROOT)
