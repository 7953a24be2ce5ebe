"""Checkpoints of classifiers and sentence encoders: whole, or refused with a reason."""

import pandas as pd
import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from actadd.base.errors import UserError
from actadd.models import weights
from builders.checkpoints import POINTER, SINGLE, SMALL, edit_config, saved


@pytest.fixture
def bert():
    torch.manual_seed(0)
    return tf.BertConfig(**SMALL, pad_token_id=0)


def test_a_classifier_without_its_head_is_refused(bert, tmp_path):
    tf.BertForMaskedLM(bert).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"^scorers\.x: .*classifier\.(bias|weight)"):
        weights.load_whole(tf.AutoModelForSequenceClassification, tmp_path, "scorers.x")


def test_a_classifier_of_another_number_of_labels_is_refused(bert, tmp_path):
    tf.BertForSequenceClassification(bert).save_pretrained(tmp_path)
    edit_config(tmp_path, id2label={"0": "a", "1": "b", "2": "c"}, label2id={})
    with pytest.raises(UserError, match=r"^scorers\.x: .*classifier.*\[2.*\[3"):
        weights.load_whole(tf.AutoModelForSequenceClassification, tmp_path, "scorers.x")


@pytest.mark.parametrize(
    ("make", "whole"),
    [
        (lambda config: tf.BertModel(config), True),
        (lambda config: tf.BertModel(config, add_pooling_layer=False), True),
        (tf.BertForMaskedLM, True),
        (tf.BertForSequenceClassification, True),
        (lambda config: tf.BertModel(tf.BertConfig(**{**SMALL, "num_hidden_layers": 2})), False),
    ],
)
def test_an_encoder_may_lack_what_its_output_does_not_depend_on(
    bert, tmp_path, make, whole, capsys
):
    model = make(bert)
    model.save_pretrained(tmp_path)
    edit_config(tmp_path, num_hidden_layers=3)

    def load():
        return weights.load_whole(
            tf.AutoModel, tmp_path, "sources.x", output=weights.last_hidden_state
        )

    if not whole:
        with pytest.raises(UserError, match=r"^sources\.x: .*encoder\.layer\.2"):
            load()
        return
    base = getattr(model, "bert", model).eval()
    with torch.no_grad():
        assert torch.equal(weights.last_hidden_state(load()), weights.last_hidden_state(base))
    assert "pooler" not in {name.split(".")[0] for name, _ in base.named_children()} or (
        "is not used" not in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "head",
    ["vocab_transform.weight", "lm_head.bias", "generator_predictions.dense.weight", "score.bias"],
)
def test_other_heads_of_an_encoder_are_not_read(bert, tmp_path, head, capsys):
    tf.BertForSequenceClassification(bert).save_pretrained(tmp_path)
    save_file(load_file(tmp_path / SINGLE) | {head: torch.ones(3)}, tmp_path / SINGLE)
    weights.load_whole(tf.AutoModel, tmp_path, "sources.x")
    assert head in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["Roberta", "XLMRoberta", "Camembert"])
def test_a_pooler_that_a_classifier_does_without_is_not_read(tmp_path, kind, capsys):
    config = getattr(tf, f"{kind}Config")(**SMALL)
    model = getattr(tf, f"{kind}ForSequenceClassification")(config)
    model.save_pretrained(tmp_path)
    name = f"{model.base_model_prefix}.pooler.dense.weight"
    save_file(load_file(tmp_path / SINGLE) | {name: torch.ones(3, 3)}, tmp_path / SINGLE)
    weights.load_whole(tf.AutoModelForSequenceClassification, tmp_path, "scorers.x")
    assert name in capsys.readouterr().out


def test_the_scorers_check_what_they_load(tiny_model, bert, tmp_path):
    from actadd.models import encoders
    from actadd.scorers.models.hub_classifier import hub_classifier

    compute = {"device": "cpu", "threads": 1}
    table = pd.DataFrame({"prompt": ["a"], "completion": ["b"]})
    spec = {"name": "mood", "source": "s", "label": "LABEL_1", "compute": compute}
    saved(tf.BertForMaskedLM(bert), tiny_model, tmp_path / "classifier")
    with pytest.raises(UserError, match=r"^scorers\.mood: .*lacks"):
        hub_classifier.score(table, spec, tmp_path / "classifier")
    short = tf.BertModel(tf.BertConfig(**{**SMALL, "num_hidden_layers": 2}))
    saved(short, tiny_model, tmp_path / "encoder")
    edit_config(tmp_path / "encoder", num_hidden_layers=3)
    with pytest.raises(UserError, match=r"^sources\.encoder: .*lacks"):
        encoders.embed(["a"], tmp_path / "encoder", "cpu")
    (tmp_path / "encoder" / SINGLE).write_bytes(POINTER)
    with pytest.raises(UserError, match=r"^sources\.encoder: .*git lfs pull"):
        encoders.embed(["b"], tmp_path / "encoder", "cpu")
