"""Divergence of next-token distributions, against the model's own logits and plain arithmetic."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from actadd.data import datasets
from actadd.engine.structure import blocks
from actadd.engine.tokens import Tokens
from actadd.measure.measurement import measure
from actadd.measure.measures import divergence
from actadd.results.summaries import divergences
from actadd.results.summaries.controls import COORDINATES
from builders import tiny
from builders.vectors import write_layer

TEXTS = ["The ship left the port with its cargo", "The bride went home"]
WATCH = [" wedding", "the"]
PREFIX = " happy"


@pytest.fixture(scope="module")
def vector():
    result = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    result[0] = 0
    return result


@pytest.fixture(scope="module")
def files(prepared, vector, tmp_path_factory):
    """(divergence table, its summary)"""
    folder = tmp_path_factory.mktemp("divergence")
    datasets.prepare({"name": "t", "title": "t", "texts": TEXTS}, None, folder / "t.parquet")
    steered = {"vector": "v", "layer": 1, "coefficient": 1.5}
    spec = {
        "name": "e",
        "measure": "divergence",
        "model": "tiny",
        "prompts": {"split": "all"},
        "batch_rows": 4,
        "watch": WATCH,
        "dtype": "float32",
        "compute": {"device": "cpu", "threads": 1},
        "conditions": {
            "unsteered": {"method": "unsteered"},
            "actadd": {"method": "actadd", "additions": [steered]},
            "middle": {"method": "actadd", "additions": [{**steered, "position": "middle"}]},
            "prompting": {"method": "prompting", "prefix": PREFIX},
        },
    }
    measure(
        spec,
        model_dir=prepared,
        texts_file=folder / "t.parquet",
        vector_files={"v": write_layer(folder, "v", 1, vector)},
        choice=None,
        store=folder / "store",
        output=folder / "d.parquet",
    )
    divergences.summarise_divergence(
        {}, divergence=folder / "d.parquet", csv=folder / "s.csv", parquet=folder / "s.parquet"
    )
    return pd.read_parquet(folder / "d.parquet"), pd.read_parquet(folder / "s.parquet")


@pytest.fixture(scope="module")
def table(files):
    return files[0]


@pytest.fixture(scope="module")
def log_probabilities(prepared, vector):
    """A function: log-probabilities after each token of a text, its stream changed from `first`."""
    model = AutoModelForCausalLM.from_pretrained(prepared).eval()
    tokens = Tokens(prepared)

    def run(text: str, first: int | None = None, prefix: str = "") -> np.ndarray:
        def change(_module, args):
            hidden = args[0].clone()
            hidden[0, first : first + len(vector)] += 1.5 * torch.from_numpy(vector)
            return (hidden, *args[1:])

        handle = None
        if first is not None:
            handle = blocks(model)[1].register_forward_pre_hook(change)
        with torch.no_grad():
            logits = model(torch.tensor([tokens.encode(text, prefix)])).logits[0]
        if handle:
            handle.remove()
        return logits.double().log_softmax(-1).numpy()

    return run


def rows(table, condition: str, text: int) -> pd.DataFrame:
    result = table[(table["condition"] == condition) & (table["text_id"] == text)]
    return result.sort_values("position_index")


def first_changed(condition: str, text: str, prepared) -> int:
    return {"actadd": 0, "middle": len(Tokens(prepared).encode(text)) // 2 - 1}[condition]


@pytest.mark.parametrize("condition", ["actadd", "middle"])
def test_kl_and_entropy_at_every_position(table, log_probabilities, prepared, condition):
    for number, text in enumerate(TEXTS):
        before = log_probabilities(text)
        after = log_probabilities(text, first_changed(condition, text, prepared))
        result = rows(table, condition, number)
        assert result["position_index"].tolist() == list(range(len(before)))
        for position, row in enumerate(result.itertuples()):
            p = np.exp(before[position])
            assert row.entropy == pytest.approx(-(p @ before[position]), abs=1e-4)
            kl = torch.nn.functional.kl_div(
                torch.from_numpy(after[position]),
                torch.from_numpy(before[position]),
                log_target=True,
                reduction="sum",
            )
            assert row.kl == pytest.approx(float(kl), abs=1e-4)
        assert result["kl"].iloc[-1] > 1e-3, "steering should move something"


def test_unsteered_differs_from_itself_in_nothing(table):
    result = table[table["condition"] == "unsteered"]
    assert (result["kl"].abs() < 1e-12).all() and (result["entropy"] > 0).all()
    for row in result[result["token_ids"].notna()].itertuples():
        assert np.array_equal(row.before, row.after)


def test_modified_positions(table, prepared):
    """BOS, and where the vector's rows are added."""
    for number, text in enumerate(TEXTS):
        length = len(Tokens(prepared).encode(text))
        middle = length // 2 - 1
        for condition, changed in (
            ("unsteered", {0}),
            ("actadd", {0, 1, 2}),
            ("middle", {0, middle, middle + 1, middle + 2}),
            ("prompting", {0}),
        ):
            result = rows(table, condition, number)["modified"]
            assert set(np.flatnonzero(result)) == changed


def test_a_prefix_moves_nothing_out_of_place(table, log_probabilities):
    """Positions are the text's own; the first compared is what follows the prefix's last token."""
    for number, text in enumerate(TEXTS):
        before, after = log_probabilities(text), log_probabilities(text, prefix=PREFIX)
        after = after[len(after) - len(before) :]
        result = rows(table, "prompting", number)
        expected = (np.exp(before) * (before - after)).sum(-1)
        assert np.allclose(result["kl"], expected, atol=1e-4)


def test_tokens_of_the_last_position_only(table, log_probabilities, prepared):
    tokens = Tokens(prepared)
    watched = {tokens.pieces(text)[0] for text in WATCH}
    for number, text in enumerate(TEXTS):
        result = rows(table, "actadd", number)
        assert result["token_ids"].isna().tolist() == [True] * (len(result) - 1) + [False]
        last = result.iloc[-1]
        before, after = log_probabilities(text)[-1], log_probabilities(text, 0)[-1]
        ids = last["token_ids"]
        for name, values in (("before", before), ("after", after)):
            assert np.allclose(last[name], np.exp(values[ids]), atol=1e-5)
            assert set(np.argsort(-values)[: divergence.KEPT]) <= set(ids), "the likeliest"
        moved = np.abs(np.exp(before) * (before - after))
        assert set(np.argsort(-moved)[: divergence.KEPT]) <= set(ids), "the most moved"
        assert watched <= set(ids) and len(set(ids)) == len(ids)
        assert set(ids[last["watched"]]) == watched
        assert last["tokens"].tolist() == [tokens.token(token) for token in ids]


# --- its summary ---


def test_the_summary_is_over_texts_and_unchanged_positions(files):
    table, summary = files
    for condition in ("unsteered", "actadd", "prompting"):
        rows = table[(table["condition"] == condition) & ~table["modified"]]
        means = [part[["kl", "entropy"]].mean() for _, part in rows.groupby("text_id")]
        result = summary[summary["condition"] == condition].set_index("metric")
        assert result.loc["kl", "mean"] == pytest.approx(np.mean([m["kl"] for m in means]))
        share = np.mean([m["kl"] / m["entropy"] for m in means])
        assert result.loc["kl_over_entropy", "mean"] == pytest.approx(share)
        assert result.loc["kl", "n_prompts"] == len(TEXTS)


def test_watched_tokens_beside_unsteered(files, log_probabilities, prepared):
    _, summary = files
    result = summary[summary["condition"] == "actadd"].set_index("metric")
    for text in WATCH:
        pieces = Tokens(prepared).pieces(text)
        name = Tokens(prepared).token(pieces[0]).strip()
        before, after = (
            np.array([np.exp(log_probabilities(t, first)[-1, pieces[0]]) for t in TEXTS])
            for first in (None, 0)
        )
        row = result.loc[f"probability {name}"]
        assert row["mean"] == pytest.approx(after.mean(), rel=1e-3)
        assert row["difference"] == pytest.approx((after - before).mean(), rel=1e-2)
        assert result.loc[f"ratio {name}", "mean"] == pytest.approx(
            (after / before).mean(), rel=1e-3
        )
    metrics = set(summary["metric"])
    assert len(metrics) == 2 + 2 * len(WATCH), "tokens that were not asked for are not there"


def test_a_token_with_and_without_its_space_are_two(tmp_path):
    """` wed` and `wed` are different tokens: neither may stand in for the other."""
    coordinates = dict.fromkeys(COORDINATES) | {"model": "m", "experiment": "e"}
    row = {
        **coordinates,
        **{"condition": "actadd", "method": "actadd", "cell": "c", "text_id": 0, "group": None},
        **{"position_index": 1, "entropy": 1.0, "kl": 0.5, "modified": False},
        **{"token_ids": [5, 6], "tokens": [" wed", "wed"], "watched": [True, True]},
        **{"before": [0.1, 0.2], "after": [0.4, 0.6]},
    }
    tiny.none_failed(pd.DataFrame([row])).to_parquet(tmp_path / "d.parquet")
    files = {"csv": tmp_path / "s.csv", "parquet": tmp_path / "s.parquet"}
    divergences.summarise_divergence({}, divergence=tmp_path / "d.parquet", **files)
    table = pd.read_parquet(tmp_path / "s.parquet")
    means = table[table["metric"].str.startswith("probability")]["mean"]
    assert sorted(means) == [0.4, 0.6]
