"""Vectors, datasets, conditions, summaries: what the library computes, against plain arithmetic."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from actadd.base.errors import UserError
from actadd.base.files import canonical_json, digest, whole_file
from actadd.base.intervals import mean_interval, ratio_interval
from actadd.data import datasets
from actadd.engine.additions import Addition
from actadd.engine.logprobs import token_logprobs
from actadd.engine.tokens import Tokens
from actadd.measure import conditions
from actadd.measure.measurement import measure
from actadd.models import loading, preparation
from actadd.results.summaries import log_probabilities
from actadd.results.summaries.controls import COORDINATES
from actadd.vectors import derivation
from actadd.vectors.activations import cache_activations, contrast_ids
from actadd.vectors.kinds import VECTOR_KINDS
from actadd.vectors.kinds.random import Options as Random
from actadd.vectors.pairs import PairOptions
from actadd.vectors.vector_files import read_vector
from builders import tiny

SPEC = {"dtype": "float32", "compute": {"device": "cpu", "threads": 1}}
CONTRAST = {"name": "x", "kind": "pair", "positive": "Love", "negative": "I hate the ship"}


@pytest.fixture(scope="module")
def cached(prepared, tmp_path_factory):
    """Layer files of a pair of unequal lengths."""
    folder = tmp_path_factory.mktemp("activations")
    files = [folder / f"layer_{layer:02d}.safetensors" for layer in range(tiny.LAYERS)]
    cache_activations({**SPEC, "contrast": CONTRAST}, prepared, files)
    return files


# --- tokens and contrasts ---


def test_bos_always_and_padding_in_token_space(prepared):
    tokens = Tokens(prepared)
    pair = {"name": "x", "kind": "pair", "positive": "Love", "negative": "I hate the ship"}
    ids = contrast_ids(pair, tokens)
    positive, negative = ids["0.positive"], ids["0.negative"]
    pieces = tokens.pieces("Love")
    assert positive[0] == negative[0] == tokens.bos_id
    assert positive == [tokens.bos_id, *pieces] + [tokens.pieces(" ")[0]] * (
        len(negative) - len(pieces) - 1
    )
    assert negative[1:] == tokens.pieces("I hate the ship")


def test_an_empty_side_is_bos_and_pads(prepared):
    tokens = Tokens(prepared)
    pair = {"name": "x", "kind": "pair", "positive": "Love", "negative": "", "pad": "a"}
    negative = contrast_ids(pair, tokens)["0.negative"]
    assert negative == [tokens.bos_id] + tokens.pieces("a") * (len(negative) - 1)


def test_text_survives_the_tokenizer(prepared):
    tokens = Tokens(prepared)
    for text in ("a  b", " été 中文 🙂", "line\nbreak\ttab"):
        assert tokens.decode(tokens.encode(text)) == text


def test_a_continuation_is_read_with_its_prompt(tmp_path):
    """Also by a tokenizer that puts a space before every text, as LLaMA's does."""
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    names = ["<s>", "▁", *"abc", "▁a", "▁b"]
    tokenizer = Tokenizer(BPE({name: i for i, name in enumerate(names)}, [("▁", "a"), ("▁", "b")]))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    facts = {"model": "x", "bos_id": 0, "pad_id": 1, "stop_ids": [], "chat_template": None}
    (tmp_path / "model.json").write_text(json.dumps(facts))
    tokens = Tokens(tmp_path)
    ids = {name: i for i, name in enumerate(names)}
    assert tokens.split("a c", " b") == (
        [0, ids["▁a"], ids["▁"], ids["c"]],
        [ids["▁b"]],
    ), "not a lone space and a b"
    assert tokens.continuation([0, ids["▁a"]], [ids["▁b"], ids["c"]]) == " bc"
    assert tokens.split("a", "") == ([0, ids["▁a"]], [])


def test_a_chat_model_gets_its_template_and_one_bos(tiny_model, prepared, tmp_path):
    import shutil

    source = shutil.copytree(tiny_model, tmp_path / "source")
    template = "{{ bos_token }}user: {{ messages[0]['content'] }}\nme:"
    (source / "chat_template.jinja").write_text(template)
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": True}
    preparation.prepare(entry, source, tmp_path / "chat")
    chat, plain = Tokens(tmp_path / "chat"), Tokens(prepared)
    assert chat.encode("We said") == plain.encode("user: We said\nme:")


def test_the_activations_are_the_models(cached, prepared):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(prepared)
    with safe_open(cached[0], "numpy") as opened:
        ids = json.loads(opened.metadata()["actadd"])["token_ids"]
    with torch.no_grad():
        hidden = model(torch.tensor([ids["0.positive"]]), output_hidden_states=True).hidden_states
    for layer, path in enumerate(cached):
        stored = torch.from_numpy(load_file(path)["0.positive"])
        assert torch.allclose(stored, hidden[layer][0], atol=1e-5)


# --- vectors ---


def test_pair_single_and_random(cached):
    streams = load_file(cached[1])
    pair = VECTOR_KINDS["pair"](streams, None)
    assert np.array_equal(pair, streams["0.positive"] - streams["0.negative"])
    assert not pair[0].any() and np.linalg.norm(pair[1:], axis=1).min() > 0
    assert np.array_equal(VECTOR_KINDS["single"](streams, None), streams["0.positive"])
    like = {"x": pair}
    random = VECTOR_KINDS["random"](like, Random(like="x", seed=3))
    assert np.allclose(np.linalg.norm(random, axis=1), np.linalg.norm(pair, axis=1), rtol=1e-5)
    assert np.array_equal(random, VECTOR_KINDS["random"](like, Random(like="x", seed=3)))
    assert not np.allclose(random, VECTOR_KINDS["random"](like, Random(like="x", seed=4)))
    cosine = (random[1:] * pair[1:]).sum(1) / np.linalg.norm(pair[1:], axis=1) ** 2
    assert np.abs(cosine).max() < 0.7


def test_mean_difference_is_the_mean_over_last_tokens(prepared, tmp_path):
    files = [tmp_path / f"layer_{layer:02d}.safetensors" for layer in range(tiny.LAYERS)]
    contrast = {
        "name": "m",
        "kind": "mean_difference",
        "positive": ["The bride", "They were happy and"],
        "negative": ["The ship", "The crane"],
    }
    cache_activations({**SPEC, "contrast": contrast}, prepared, files)
    streams = load_file(files[2])
    by_hand = [
        streams["0.positive"][-1] - streams["0.negative"][-1],
        streams["1.positive"][-1] - streams["1.negative"][-1],
    ]
    vector = VECTOR_KINDS["mean_difference"](streams, PairOptions())
    assert vector.shape == (1, 32)
    assert np.allclose(vector[0], np.mean(by_hand, axis=0), atol=1e-6)


def test_norms_beside_the_vector_and_a_warning_where_one_dwarfs_the_stream(
    cached, tmp_path, capsys
):
    target = tmp_path / "vector.safetensors"
    spec = {"vector": CONTRAST}
    derivation.derive_all_layers(spec, cached, target, tmp_path / "norms.csv")
    norms = pd.read_csv(tmp_path / "norms.csv")
    assert list(norms.columns[:2]) == ["layer", "position"]
    assert (norms[norms["position"] == 0]["vector_norm"] == 0).all()
    vector = read_vector(target)[1]
    row = norms[(norms["layer"] == 1) & (norms["position"] == 2)].iloc[0]
    assert row["vector_norm"] == pytest.approx(np.linalg.norm(vector[2]), rel=1e-4)
    capsys.readouterr()
    loud = norms.assign(ratio=np.where(norms["position"] == 2, 9.0, 0.5))
    [warning] = derivation.dwarfing(loud)
    assert "position 2" in warning and "9 times" in warning


def test_a_changed_vector_file_is_refused(cached, tmp_path):
    target = tmp_path / "vector.safetensors"
    spec = {"vector": CONTRAST}
    derivation.derive_all_layers(spec, cached, target, tmp_path / "norms.csv")
    content = bytearray(target.read_bytes())
    content[-5] ^= 1
    target.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"vector\.safetensors is damaged"):
        read_vector(target)


# --- log-probabilities ---


def test_logprobs_and_ranks_against_one_text_at_a_time(prepared):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(prepared).eval()
    tokens = Tokens(prepared)
    rows = [tokens.encode(line) for line in tiny.TEXTS.splitlines()]
    for row, (logprob, rank) in zip(rows, token_logprobs(model, rows), strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([row])).logits[0, :-1].log_softmax(-1)
        for index, token in enumerate(row[1:]):
            assert float(logprob[index]) == pytest.approx(float(logits[index, token]), abs=1e-4)
            assert int(rank[index]) == int((logits[index] > logits[index, token]).sum())


def test_a_vector_is_aligned_in_the_prompt_not_in_its_target(prepared):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(prepared).eval()
    row = Tokens(prepared).encode("The ship left the port")
    vector = torch.randn(2, 32)
    back = Addition(vector, 1, 1.0, "back")
    front = Addition(torch.cat([torch.zeros(len(row) - 4, 32), vector]), 1, 1.0, "front")
    aligned_in_prompt, _ = token_logprobs(model, [row], [[back]], [len(row) - 2])[0]
    by_hand, _ = token_logprobs(model, [row], [[front]])[0]
    assert torch.allclose(aligned_in_prompt, by_hand, atol=1e-5)
    assert not torch.allclose(aligned_in_prompt, token_logprobs(model, [row], [[back]])[0][0])


# --- datasets, conditions, statistics ---


def test_splits_follow_the_hash_so_first_splits_nest(tmp_path):
    lines = [f"sentence number {n} has some more words" for n in range(200)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    (tmp_path / "b.txt").write_text("\n".join(reversed([*lines, "x y z", lines[0], "  "])))
    small = {"name": "a", "title": "a", "splits": {"one": 5, "two": 10}, "take_words": 3}
    large = {"name": "b", "title": "b", "splits": {"held-out": 0.2, "fit": 0.8}}
    datasets.prepare(small, tmp_path / "a.txt", tmp_path / "a.parquet")
    datasets.prepare(large, tmp_path / "b.txt", tmp_path / "b.parquet")
    prompts = datasets.read(tmp_path / "a.parquet", None, "")
    held_out = datasets.read(tmp_path / "b.parquet", "held-out", "")
    fitted = datasets.read(tmp_path / "b.parquet", "fit", "")
    assert len(prompts) == 15 and len(held_out) + len(fitted) == 201
    openings = {" ".join(text.split()[:3]) for text in fitted["text"]}
    assert not openings & set(prompts["text"])


def test_a_grid_is_spelled_out():
    entries = {
        "steered": {
            "method": "actadd",
            "additions": [
                {"vector": "a", "layer": [1, 2], "coefficient": [1, -0.5]},
                {"vector": "b", "layer": 3, "source_layer": 0, "coefficient": 2},
            ],
        },
        "plain": {"method": "unsteered"},
    }
    spelled = conditions.expand(entries)
    assert [c.name for c in spelled] == ["plain"] + ["steered"] * 4
    settings = [
        tuple((a.vector, a.sources[a.layer], a.layer, a.coefficient) for a in c.additions)
        for c in spelled[1:]
    ]
    assert settings[0] == (("a", 1, 1, 1), ("b", 0, 3, 2))
    assert settings[3] == (("a", 2, 2, -0.5), ("b", 0, 3, 2))
    assert conditions.vectors_needed(entries, {}) == {("a", 1), ("a", 2), ("b", 0)}


def test_a_choice_fills_in_layer_and_coefficient():
    entries = {
        "x": {"method": "actadd", "additions": [{"vector": "a", "choice": "c", "factor": -1}]}
    }
    chosen = {"c": {"layer": 5, "source_layer": 4, "coefficient": 2.0}}
    [condition] = conditions.expand(entries, chosen)
    addition = condition.additions[0]
    assert (addition.sources, addition.coefficient) == ({5: 4}, -2)


def test_intervals_cover_and_do_not_depend_on_order_or_time():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        mean, low, high = mean_interval(rng.normal(0.3, 1, 60))
        assert low < mean < high
        hits += low < 0.3 < high
    assert hits >= 50
    values = rng.normal(size=20)
    assert mean_interval(values) == mean_interval(values)
    mean, low, high = mean_interval(np.full(5, 0.25))
    assert mean == 0.25 and np.isnan(low) and np.isnan(high), "five equal values prove nothing"
    assert mean_interval(np.zeros(40), share=True) == pytest.approx((0, 0, 0.0881), abs=1e-4)
    assert mean_interval(np.ones(40), share=True) == pytest.approx((1, 0.9119, 1), abs=1e-4)
    ratio, low, high = ratio_interval(np.array([1.0, 8.0]), np.array([1.0, 4.0]))
    assert ratio == pytest.approx(9 / 5) and low <= ratio <= high


def test_perplexity_ratio_by_hand(tmp_path):
    """Two texts, one condition; the token predicted at a modified position is left out."""
    coordinates = dict.fromkeys(COORDINATES) | {"model": "m", "experiment": "e"}
    rows = []
    for name, method, shift in (("plain", "unsteered", 0.0), ("steered", "actadd", 0.2)):
        for text, count in ((0, 3), (1, 5)):
            for index in range(1, count + 1):
                modified = method == "actadd" and index == 1
                rows.append(
                    {
                        **coordinates,
                        "condition": name,
                        "method": method,
                        "cell": name,
                        "text_id": text,
                        "document": None,
                        "group": "g",
                        "token_index": index,
                        "logprob": -1.0 + (5.0 if modified else shift),
                        "rank": 0,
                        "modified": modified,
                        "target": True,
                    }
                )
    tiny.none_failed(pd.DataFrame(rows)).to_parquet(tmp_path / "in.parquet")
    log_probabilities.summarise_logprobs(
        {"ranks": [1, 10]},
        logprobs=tmp_path / "in.parquet",
        csv=tmp_path / "o.csv",
        parquet=tmp_path / "o.parquet",
    )
    table = pd.read_parquet(tmp_path / "o.parquet").set_index(["condition", "metric"])
    ratio = table.loc[("steered", "perplexity_ratio")]
    assert ratio["mean"] == pytest.approx(np.exp(-0.2)) and ratio["n_tokens"] == 6
    assert table.loc[("plain", "perplexity_ratio"), "mean"] == pytest.approx(1)


def test_a_masked_first_target_is_left_out_not_replaced(tmp_path):
    """Its prediction was changed directly; the second target token is another question."""
    coordinates = dict.fromkeys(COORDINATES) | {"model": "m", "experiment": "e"}
    rows = [
        {
            **coordinates,
            "condition": method,
            "method": method,
            "cell": method,
            "text_id": text,
            "document": None,
            "group": f"g{text}",
            "token_index": index,
            "logprob": -1.0,
            "rank": 0 if index == 3 else 500,
            "modified": method == "actadd" and text == 0 and index == 3,
            "target": index >= 3,
        }
        for method in ("unsteered", "actadd")
        for text in (0, 1)
        for index in (1, 2, 3, 4)
    ]
    tiny.none_failed(pd.DataFrame(rows)).to_parquet(tmp_path / "in.parquet")
    log_probabilities.summarise_logprobs(
        {"ranks": [1, 10]},
        logprobs=tmp_path / "in.parquet",
        csv=tmp_path / "o.csv",
        parquet=tmp_path / "o.parquet",
    )
    table = pd.read_parquet(tmp_path / "o.parquet")
    row = table[(table["method"] == "actadd") & (table["group"] == "all")]
    hits = row[row["metric"] == "precision_at_1"].iloc[0]
    assert (hits["mean"], hits["n_prompts"]) == (1, 1)


def test_a_prefix_is_not_part_of_the_measured_text(prepared, tmp_path):
    """Prompting's tokens keep their index, so that they are compared with their own."""
    spec = {"name": "t", "title": "t"}
    (tmp_path / "t.csv").write_text("text\nThe ship left the port\nThe bride went home\n")
    datasets.prepare(spec, tmp_path / "t.csv", tmp_path / "t.parquet")
    experiment = {
        "name": "e",
        "measure": "logprobs",
        "model": "tiny",
        "prompts": {"split": "all"},
        "batch_rows": 4,
        "conditions": {
            "unsteered": {"method": "unsteered"},
            "prompting": {"method": "prompting", "prefix": " wedding"},
        },
        **SPEC,
    }
    measure(
        experiment,
        model_dir=prepared,
        texts_file=tmp_path / "t.parquet",
        vector_files={},
        choice=None,
        store=tmp_path / "store",
        output=tmp_path / "o.parquet",
    )
    table = pd.read_parquet(tmp_path / "o.parquet")
    columns = ["text_id", "token_index", "token_id"]
    plain = table[table["method"] == "unsteered"][columns].reset_index(drop=True)
    prefixed = table[table["method"] == "prompting"].reset_index(drop=True)
    assert prefixed[columns].equals(plain)
    model = loading.load(prepared, dtype="float32", device="cpu", threads=1)
    tokens = Tokens(prepared)
    ids = tokens.encode("The ship left the port", " wedding")
    by_hand, _ = token_logprobs(model, [ids])[0]
    shift = len(tokens.pieces(" wedding"))
    stored = prefixed[prefixed["text_id"] == 0]["logprob"].to_numpy()
    assert np.allclose(stored, by_hand[shift:], atol=1e-5)


def test_halves_of_an_odd_number_are_all_of_it(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"row {n}" for n in range(7)))
    spec = {"name": "a", "title": "a", "splits": {"one": 0.5, "two": 0.5}}
    assert datasets.prepare(spec, tmp_path / "a.txt", tmp_path / "a.parquet")["rows"] == 7


@pytest.mark.parametrize(
    ("text", "spec", "pattern"),
    [
        ("text,label\na b,good\n", {}, r"columns.label: x\.csv:2: labels must be numbers"),
        ("text\na b\n", {"columns": {"target": "answer"}}, "columns.target"),
        ("text\na b\n", {"table": {"encoding": "utf-99"}}, "cannot be read"),
        ("text\n\n", {}, "no text is left"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, text, spec, pattern):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(UserError, match=pattern):
        datasets.prepare(
            {"name": "x", "title": "x", **spec}, tmp_path / "x.csv", tmp_path / "x.parquet"
        )


# --- files ---


def test_one_meaning_has_one_digest():
    assert canonical_json({"b": 1.0, "a": [2, 0.5]}) == '{"a":[2,0.5],"b":1}'
    assert digest({"a": 1}) == digest({"a": 1.0}) != digest({"a": 1.5})


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_batches_by_length_hold_every_text_once_and_little_padding():
    from actadd.engine.batching import by_length

    lengths = [5, 190, 6, 7, 30, 31, 5, 28, 6]
    batches = list(by_length(lengths, 3))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert batches[:3] == [[1], [5, 4, 7], [3]]
    for batch in batches:
        assert len(batch) <= 3
        assert 10 * min(lengths[i] for i in batch) >= 9 * lengths[batch[0]]
