"""Sentence encoders against plain arithmetic, and against sentence-transformers itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers as tf
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from actadd.base.errors import UserError
from actadd.data.sources.fetch import fetch
from actadd.models import encoders
from actadd.models.encoders import embed
from actadd.scorers.kinds import metrics
from actadd.scorers.models.similarity import similarity
from actadd.scorers.models.topics import topics
from builders.configs import DEFAULT
from builders.encoders import CONTEXT, SMALL, WIDTH
from builders.packages import install

TOOLS = Path(__file__).parents[1] / "tools"
# family -> (class, settings); RoBERTa and MPNet keep two rows of their positions for padding.
FAMILIES = {
    "bert": (tf.BertModel, {**SMALL, "max_position_embeddings": CONTEXT}),
    "roberta": (tf.RobertaModel, {**SMALL, "max_position_embeddings": CONTEXT + 2}),
    "mpnet": (tf.MPNetModel, {**SMALL, "max_position_embeddings": CONTEXT + 2}),
    "qwen2": (
        tf.Qwen2Model,
        {**SMALL, "max_position_embeddings": CONTEXT, "num_key_value_heads": 2},
    ),
    "gpt2": (
        tf.GPT2Model,
        {"n_embd": WIDTH, "n_layer": 2, "n_head": 2, "n_positions": CONTEXT},
    ),
    "xlnet": (tf.XLNetModel, {"d_model": WIDTH, "n_layer": 2, "n_head": 2, "d_inner": WIDTH}),
    "t5": (
        tf.T5EncoderModel,
        {"d_model": WIDTH, "d_kv": 8, "d_ff": WIDTH, "num_layers": 2, "num_heads": 2},
    ),
}
TEXTS = [
    "The ship left",
    "They danced until the morning",
    "A",
    " ",
    "The weather was cold and wet, and nobody came: " * 6,
    "é 高い 🤦🏽‍♂️ Naïve ΟΔΟΣ",
    " said the bride",
    "The ship left port",
]
OLD = "sentence_transformers.models."
NEW = "sentence_transformers.sentence_transformer.modules."


class Zoo:
    """Makes tiny random encoders, each in a folder of its own."""

    def __init__(self, folder: Path, vocabulary: Path):
        self.folder, self.vocabulary = folder, vocabulary

    def make(
        self,
        name: str,
        family: str = "bert",
        *,
        special: bool = True,
        transformer: str = "",
        modules: tuple = (),
        **files,
    ) -> Path:
        """modules: (kind, settings) behind the transformer; none for a folder without their list.
        files: the name of another JSON file, without its suffix, and what it holds."""
        folder = self.folder / name
        (folder / transformer).mkdir(parents=True)
        kind, settings = FAMILIES[family]
        tokenizer = Tokenizer.from_file(str(self.vocabulary))
        if special:
            single = '! $A "'
            ids = [("!", tokenizer.token_to_id("!")), ('"', tokenizer.token_to_id('"'))]
            tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=ids)
        pad = tokenizer.token_to_id("#")
        torch.manual_seed(0)
        config = kind.config_class(
            vocab_size=tokenizer.get_vocab_size(),
            pad_token_id=1 if family == "roberta" else pad,
            **settings,
        )
        kind(config).eval().save_pretrained(folder / transformer)
        marks = {"pad_token": "!" if family == "roberta" else "#", "sep_token": '"'}
        tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(
            folder / transformer
        )
        for file, content in files.items():
            (folder / transformer / f"{file}.json").write_text(json.dumps(content))
        listed = [{"idx": 0, "name": "0", "path": transformer, "type": f"{OLD}Transformer"}]
        for index, (module, settings) in enumerate(modules, 1):
            path = f"{index}_{module}"
            listed.append({"idx": index, "name": str(index), "path": path, "type": OLD + module})
            if settings is not None:
                (folder / path).mkdir()
                (folder / path / "config.json").write_text(json.dumps(settings))
            if module == "Dense":
                torch.manual_seed(index)
                layer = torch.nn.Linear(settings["in_features"], settings["out_features"])
                weights = {f"linear.{key}": value for key, value in layer.state_dict().items()}
                save_file(weights, folder / path / "model.safetensors")
        if modules:
            (folder / "modules.json").write_text(json.dumps(listed))
        return folder


@pytest.fixture(scope="module")
def zoo(tmp_path_factory, tiny_model):
    return Zoo(tmp_path_factory.mktemp("encoders"), tiny_model / "tokenizer.json")


def pooling(mode: str, **more) -> tuple[str, dict]:
    return "Pooling", {"embedding_dimension": WIDTH, "pooling_mode": mode, **more}


def pooled(mode: str, tokens: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """tokens: number and hidden state of each."""
    rows = [row for _, row in tokens]
    match mode:
        case "cls":
            return rows[0]
        case "lasttoken":
            return rows[-1]
        case "max":
            return np.max(rows, axis=0)
        case "mean":
            return sum(rows) / len(rows)
        case "mean_sqrt_len_tokens":
            return sum(rows) / len(rows) ** 0.5
    return sum((n + 1) * row for n, row in tokens) / sum(n + 1 for n, _ in tokens)


def by_hand(folder: Path, mode: str, *, prompt="", skipped=0, longest=CONTEXT) -> np.ndarray:
    """One text at a time, without padding, with loops in float64."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    model = tf.AutoModel.from_pretrained(folder).eval()
    result = []
    for text in TEXTS:
        ids = tokenizer(prompt + text, truncation=True, max_length=longest)["input_ids"]
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0].double().numpy()
        row = pooled(mode, list(enumerate(hidden))[skipped:])
        result.append(row / np.linalg.norm(row))
    return np.array(result)


MODES = ("cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean")


@pytest.mark.parametrize("mode", MODES)
def test_each_pooling(zoo, mode):
    folder = zoo.make(f"pool-{mode}", modules=(pooling(mode),))
    np.testing.assert_allclose(embed(TEXTS, folder, "cpu"), by_hand(folder, mode), atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_is_put_before_each_text_and_may_be_left_out_of_the_pooling(zoo, mode):
    described = {"prompts": {"query": "Query: ", "other": "no"}, "default_prompt_name": "query"}
    folder = zoo.make(
        f"prompt-{mode}",
        modules=(pooling(mode, include_prompt=False),),
        config_sentence_transformers=described,
    )
    prompt = tf.AutoTokenizer.from_pretrained(folder)("Query: ")["input_ids"]
    result = embed(TEXTS, folder, "cpu")
    expected = by_hand(folder, mode, prompt="Query: ", skipped=len(prompt) - 1)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("family", ["roberta", "mpnet", "qwen2", "gpt2", "xlnet"])
def test_families_and_texts_longer_than_they_read(zoo, family):
    folder = zoo.make(f"family-{family}", family, modules=(pooling("lasttoken"),))
    longest = 10**6 if family == "xlnet" else CONTEXT
    expected = by_hand(folder, "lasttoken", longest=longest)
    np.testing.assert_allclose(embed(TEXTS, folder, "cpu"), expected, atol=1e-5)


def test_a_pooling_by_cls_is_not_averaged(zoo):
    """Also in the old form of the file, and where modules.json was not fetched."""
    old = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": True}
    old["pooling_mode_mean_tokens"] = False
    folder = zoo.make("cls-old", modules=(("Pooling", old),))
    expected = by_hand(folder, "cls")
    np.testing.assert_allclose(embed(TEXTS, folder, "cpu"), expected, atol=1e-5)
    alone = shutil.copytree(folder, zoo.folder / "cls-alone")
    (alone / "modules.json").unlink()
    np.testing.assert_allclose(embed(TEXTS, alone, "cpu"), expected, atol=1e-5)


def test_a_folder_without_pooling_is_averaged_with_a_message(zoo, capsys):
    folder = zoo.make("plain")
    np.testing.assert_allclose(embed(TEXTS, folder, "cpu"), by_hand(folder, "mean"), atol=1e-5)
    assert "sources.plain: no modules.json, so a text is its tokens' mean" in (
        capsys.readouterr().out
    )


def test_lower_case_bound_width_and_modules_behind_the_pooling(zoo):
    dense = {"in_features": 2 * WIDTH, "out_features": 5}
    dense["activation_function"] = "torch.nn.modules.activation.ReLU"
    folder = zoo.make(
        "many",
        modules=(pooling(["max", "cls"]), ("Dense", dense), ("Normalize", None)),
        sentence_bert_config={"max_seq_length": 7, "do_lower_case": True},
        config_sentence_transformers={"truncate_dim": 4},
    )
    result = embed(TEXTS, folder, "cpu")
    assert result.shape == (len(TEXTS), 4)
    upper = embed([text.upper() for text in TEXTS[:3]], folder, "cpu")
    np.testing.assert_allclose(upper, result[:3], atol=1e-5)
    # The first seven tokens count, the last of them the mark at the end.
    longer = embed([TEXTS[4] + " and more"], folder, "cpu")
    np.testing.assert_allclose(longer[0], result[4], atol=1e-5)
    assert not np.allclose(result[0], result[1])


def test_a_text_without_tokens_has_no_embedding(zoo):
    folder = zoo.make("no-marks", "gpt2", special=False, modules=(pooling("mean"),))
    result = embed(["The ship", "", "left"], folder, "cpu")
    assert np.isnan(result[1]).all() and not np.isnan(result[[0, 2]]).any()
    assert np.isnan(embed([""], folder, "cpu")).all()


REFUSALS = [
    ("modules", [{"type": "my.Own", "path": ""}], "my.Own"),
    ("modules", [{"type": f"{OLD}Transformer", "path": ""}], "lists Transformer"),
    ("modules", [{"type": f"{OLD}WordEmbeddings", "path": ""}], "WordEmbeddings"),
    ("modules", [{"type": f"{OLD}Transformer", "path": "../x"}], "modules.json"),
    ("1_Pooling/config", {"pooling_mode": "median"}, "median"),
    ("config_sentence_transformers", {"default_prompt_name": "gone"}, "gone"),
    ("config_sentence_transformers", {"model_type": "SparseEncoder"}, "SparseEncoder"),
    ("sentence_bert_config", {"transformer_task": "fill-mask"}, "fill-mask"),
    ("sentence_bert_config", {"modality_config": {"message": {}}}, "modality_config"),
    ("2_Dense/config", {"in_features": WIDTH, "out_features": 9}, "2_Dense/model.safetensors"),
    ("2_Dense/config", {"activation_function": "os.system"}, "os.system"),
    ("2_Dense/config", {"use_residual": True}, "use_residual"),
]


@pytest.mark.parametrize(("file", "content", "words"), REFUSALS)
def test_what_is_not_done_is_refused_by_name(zoo, tmp_path, file, content, words):
    dense = {"in_features": WIDTH, "out_features": 5}
    good = zoo.folder / "good"
    if not good.exists():
        zoo.make("good", modules=(pooling("mean"), ("Dense", dense)))
    folder = shutil.copytree(good, tmp_path / "bad")
    assert embed(["a"], folder, "cpu").shape == (1, 5)
    encoders._encoder.cache_clear()
    (folder / f"{file}.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        embed(["a"], folder, "cpu")
    assert "sources.bad: " in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize(
    ("gone", "pattern"),
    [
        ("1_Pooling", "1_Pooling/config.json"),
        ("2_Dense/model.safetensors", "2_Dense has no model.safetensors"),
        ("modules.json", "add modules.json"),
        ("model.safetensors", "safetensors"),
    ],
)
def test_a_file_that_was_not_fetched_is_named(zoo, tmp_path, gone, pattern):
    dense = {"in_features": WIDTH, "out_features": 5}
    folder = zoo.make(f"gone-{gone[:5]}", modules=(pooling("mean"), ("Dense", dense)))
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=pattern):
        embed(["a"], folder, "cpu")


def test_both_scorers_take_the_encoder_as_its_files_say(zoo):
    folder = zoo.make("scored", modules=(pooling("cls"),))
    table = pd.DataFrame({"prompt": TEXTS[0], "completion": [TEXTS[0], TEXTS[1], ""]})
    compute = {"compute": {"device": "cpu", "threads": 1}}
    cosine = similarity.score(table, {"name": "near", "source": "s", **compute}, folder)["cosine"]
    rows = by_hand(folder, "cls")
    np.testing.assert_allclose(cosine[:2], rows[:2] @ rows[0], atol=1e-5)
    assert np.isnan(cosine[2])
    spec = {
        "name": "about",
        "source": "s",
        "topics": {"a": [TEXTS[0]], "b": [TEXTS[1]]},
        "temperature": 1,
    }
    result = topics.score(table, {**spec, **compute}, folder)
    odds = np.exp(rows[:2] @ rows[0])
    np.testing.assert_allclose(result["a_probability"][0], odds[0] / odds.sum(), atol=1e-5)


def test_similarity_to_texts_has_a_metric_for_each_and_reads_no_prompt(zoo):
    folder = zoo.make("texts", modules=(pooling("mean"),))
    spec = {"name": "about", "kind": "similarity", "source": "s"}
    spec |= {"texts": {"ship": TEXTS[0], "dance": TEXTS[1]}}
    compute = {"compute": {"device": "cpu", "threads": 1}}
    table = pd.DataFrame({"prompt": ["p", "q", "r"], "completion": [TEXTS[7], TEXTS[0], " "]})
    result = similarity.score(table, {**spec, **compute}, folder)
    assert list(result) == list(metrics(spec)) == ["ship", "dance"]
    rows = by_hand(folder, "mean")
    np.testing.assert_allclose(result.iloc[:2], rows[[7, 0]] @ rows[:2].T, atol=1e-5)
    assert result.iloc[2].isna().all()
    other = similarity.score(table.assign(prompt="another"), {**spec, **compute}, folder)
    pd.testing.assert_frame_equal(result, other, check_exact=True)


@pytest.mark.network
def test_sentence_transformers_embeds_as_we_do(zoo, tmp_path):
    """Every family, pooling and kind of file, and the encoder of the default run."""
    library = install(tmp_path / "library", "sentence-transformers==6.2.0")
    described = {"prompts": {"query": "Query: "}, "default_prompt_name": "query"}
    folders = [zoo.make(f"st-{mode}", modules=(pooling(mode),)) for mode in MODES]
    for mode in MODES:
        modules = (pooling(mode, include_prompt=False),)
        files = {"config_sentence_transformers": described}
        folders.append(zoo.make(f"st-prompt-{mode}", modules=modules, **files))
    # Theirs reads past the end of the positions that RoBERTa and MPNet keep for padding.
    for family in set(FAMILIES) - {"bert"}:
        bound = {"sentence_bert_config": {"max_seq_length": CONTEXT}}
        modules = (pooling("mean" if family == "t5" else "lasttoken"),)
        folders.append(zoo.make(f"st-{family}", family, modules=modules, **bound))
    folders += [zoo.make("st-bare"), zoo.make("st-bare-gpt2", "gpt2")]
    dense = {"in_features": 2 * WIDTH, "out_features": 5}
    for index, activation in enumerate(("activation.Tanh", "activation.GELU", "linear.Identity")):
        dense["activation_function"] = f"torch.nn.modules.{activation}"
        modules = (pooling(["lasttoken", "mean"]), ("Normalize", None), ("Dense", dense))
        folders.append(zoo.make(f"st-dense-{index}", modules=modules))
    files = {"sentence_bert_config": {"max_seq_length": 9, "do_lower_case": True}}
    files["config_sentence_transformers"] = {**described, "truncate_dim": 7}
    folders.append(zoo.make("st-all", modules=(pooling("mean"), ("Normalize", None)), **files))
    old = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": True}
    old |= {"pooling_mode_weightedmean_tokens": True, "pooling_mode_mean_tokens": True}
    modules = (("Pooling", old), ("Dropout", {"dropout": 0.5}))
    folders.append(
        zoo.make(
            "st-old",
            transformer="0_Transformer",
            modules=modules,
            **{"sentence_roberta_config": {"max_seq_length": 11, "do_lower_case": False}},
        )
    )
    source = DEFAULT["sources"]["all-minilm-l6-v2"]
    fetch("minilm", source, tmp_path / "minilm", tmp_path / "lock.json")
    folders.append(tmp_path / "minilm")

    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    program = TOOLS / "other_programs" / "run_sentence_transformers.py"
    done = subprocess.run(
        [sys.executable, program, tmp_path / "texts.json", tmp_path / "theirs.npz", *folders],
        env={**os.environ, "PYTHONPATH": str(library), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = np.load(tmp_path / "theirs.npz")
    for folder in folders:
        result = embed(TEXTS, folder, "cpu")
        np.testing.assert_allclose(result, theirs[folder.name], atol=1e-5, err_msg=folder.name)
