"""Pairs of a dataset, random draws of them, and doses that are chosen."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actadd import UserError
from actadd.base.kinds import build
from actadd.config.checks import checked
from actadd.data import datasets
from actadd.measure.choice import choose
from actadd.measure.conditions import expand
from actadd.pipeline.graph import Graph
from actadd.vectors import pairs
from actadd.vectors.activations import cache_activations, with_rows
from actadd.vectors.derivation import derive_all_layers
from actadd.vectors.kinds import VECTOR_KINDS
from actadd.vectors.vector_files import read_vector
from builders import tiny
from builders.pairs import streams, synthetic

SPEC = {"dtype": "float32", "compute": {"device": "cpu", "threads": 1}}
WORDS = ("ship", "bride", "wedding", "crane", "port", "guests", "weather")
ROWS = "positive,negative\n" + "".join(f"I love the {w},I hate the {w}\n" for w in WORDS)
DATASET = {
    "title": "pairs",
    "file": "pairs.csv",
    "columns": {"text": "positive", "target": "negative"},
}
MEAN = {"kind": "mean_difference", "pairs": {"dataset": "feelings"}}


def options(kind: str = "mean_difference", **values) -> pairs.PairOptions:
    return build(VECTOR_KINDS[kind].options, values)


def drawn(count: int, draws: int = 3, seed: int = 0, whole: int = 12) -> list[list[int]]:
    """The pairs of each draw, told by their activations."""
    activations = np.arange(whole)[:, None, None] * np.ones((whole, 2, 4))
    taken = pairs.subsets(streams(activations), options(count=count, draws=draws, seed=seed))
    return [[int(each[f"{n}.positive"][-1, 0]) for n in range(pairs.count(each))] for each in taken]


def test_draws_are_different_pairs_and_smaller_ones_are_parts_of_larger_ones():
    small, large = drawn(3), drawn(8)
    assert [len(set(each)) for each in large] == [8] * 3 and len({*map(tuple, large)}) == 3
    assert all(set(one) < set(other) for one, other in zip(small, large, strict=True))
    assert drawn(3) == small and drawn(3, seed=1) != small
    assert drawn(12) == [list(range(12))] * 3


def test_more_pairs_than_there_are_are_refused():
    with pytest.raises(UserError, match="count: 13 is more than the 12 pairs"):
        drawn(13)


@pytest.fixture
def table(tmp_path) -> Path:
    """The dataset as its job prepares it."""
    (tmp_path / "pairs.csv").write_text(ROWS)
    path = tmp_path / "pairs.parquet"
    datasets.prepare({"name": "feelings", **DATASET}, tmp_path / "pairs.csv", path)
    return path


def test_rows_of_a_dataset_are_pairs(prepared, tmp_path, table):
    files = [tmp_path / f"layer_{layer}.safetensors" for layer in range(tiny.LAYERS)]
    entry = {"name": "v", **MEAN}
    facts = cache_activations({**SPEC, "contrast": entry}, prepared, files, table)
    written = [tmp_path / f"written_{layer}.safetensors" for layer in range(tiny.LAYERS)]
    spelled = {
        "name": "v",
        "kind": "mean_difference",
        "positive": [f"I love the {word}" for word in WORDS],
        "negative": [f"I hate the {word}" for word in WORDS],
    }
    assert facts == cache_activations({**SPEC, "contrast": spelled}, prepared, written)
    assert [each.read_bytes() for each in files] == [each.read_bytes() for each in written]
    # Draws of them: each is what the kind makes of its pairs.
    vector, norms = tmp_path / "vector.safetensors", tmp_path / "norms.csv"
    own = {"name": "w", "kind": "pca", "like": "v", "count": 4, "draws": 2, "seed": 0}
    derive_all_layers({"vector": own}, files, vector, norms)
    rows, columns = read_vector(vector)[1], pd.read_csv(norms)
    assert rows.shape == (2, 1, 32) and not np.allclose(rows[0], rows[1])
    means = columns.set_index("layer")["vector_norm"]
    assert means[1] == pytest.approx(np.linalg.norm(rows, axis=2).mean(), rel=1e-4)
    assert columns.groupby("layer").size().eq(1).all() and {"auc", "cosine"} <= {*columns}


def test_a_row_without_the_prompt_that_is_subtracted_is_named(table, tmp_path):
    rows = pd.read_parquet(table)
    rows.loc[2, "target"] = None
    rows.to_parquet(table)
    with pytest.raises(
        UserError, match=r"vectors\.v\.pairs\.dataset: .*no target.*columns\.target"
    ):
        with_rows({"name": "v", **MEAN}, table)


@pytest.mark.parametrize("kind", ["mean_difference", "logistic", "shuffled"])
def test_a_draw_is_what_the_kind_makes_of_its_pairs(kind):
    activations, chosen = synthetic(10, 16), options(kind, count=6, draws=2, seed=0)
    one = options(kind, count=6, seed=0)
    for subset in pairs.subsets(streams(activations), chosen):
        assert VECTOR_KINDS[kind](subset, one).shape == (1, 16)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ({"v": {**MEAN, "count": 8}}, ["vectors.v.count", "8", "7 pairs"]),
        ({"m": MEAN, "v": {"kind": "pca", "like": "m", "count": 8}}, ["vectors.v.count", "7"]),
        (
            {"m": MEAN, "v": {"kind": "pca", "like": "m", "count": 1}},
            ["vectors.v.count", "1 pair;", "at least 2", "mean_difference"],
        ),
        (
            {"v": {"kind": "mean_difference", "pairs": {"dataset": "feelings", "split": "x"}}},
            ["vectors.v.pairs", "0 pairs", "split 'x'", "datasets.feelings"],
        ),
        ({"v": {**MEAN, "draws": 3}}, ["vectors.v.draws", "all pairs", "count"]),
        ({"v": {**MEAN, "seed": 3}}, ["vectors.v.seed", "all pairs", "count"]),
        ({"v": {**MEAN, "positive": ["a"]}}, ["vectors.v.positive", "'feelings'", "remove"]),
        ({"m": MEAN, "v": {**MEAN, "like": "m"}}, ["vectors.v.pairs", "'m'", "remove pairs"]),
        (
            {"v": {"kind": "pca", "pairs": {"dataset": "felings"}}},
            ["vectors.v.pairs.dataset", "'felings'", "feelings"],
        ),
    ],
)
def test_draws_that_cannot_be_are_refused_before_anything_runs(vectors, words, tmp_path):
    config = tiny.config()
    tiny.write_data(tmp_path)
    (tmp_path / "pairs.csv").write_text(ROWS)
    config["datasets"]["feelings"] = DATASET
    config["vectors"] |= vectors
    with pytest.raises(UserError) as caught:
        checked(config, tmp_path)
    assert all(word in str(caught.value) for word in words), caught.value


def test_the_run_s_seed_draws_only_where_something_is_drawn(tmp_path):
    config = tiny.config()
    tiny.write_data(tmp_path)
    (tmp_path / "pairs.csv").write_text(ROWS)
    config["datasets"]["feelings"] = DATASET
    config["vectors"] |= {"m": MEAN, "v": {"kind": "lda", "like": "m", "count": 4, "draws": 2}}
    valid = checked(config, tmp_path)
    assert "seed" not in valid["vectors"]["m"] and valid["vectors"]["v"]["seed"] == config["seed"]
    plan = Graph(valid, tmp_path)
    above = [job.name for job in plan.vectors("tiny", "v").above]
    assert "activations/tiny/m" in above and plan.activations("tiny", "m").inputs["pairs"]
    assert "activations/tiny/v" not in above


# --- a dose that is chosen ------------------------------------------------------------------------


def test_a_dose_is_chosen_like_a_coefficient(tmp_path):
    rows = [
        {
            "condition": "a",
            "method": "actadd",
            "source_layer": 1,
            "layer": 1,
            "coefficient": dose,
            "additions": json.dumps([{"vector": "v", "dose": dose}]),
            "metric": "m.x",
            "group": "all",
            "mean": 1 - abs(dose - 0.5),
            "failed": None,
        }
        for dose in (0.25, 0.5, 1.0)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "sweep.parquet")
    rule = {"experiment": "sweep", "condition": "a", "metric": "m.x", "direction": "max"}
    spec = {"name": "e", "choices": {"best": rule}}
    summaries, output = {"sweep": tmp_path / "sweep.parquet"}, tmp_path / "choice.json"
    choose(spec, summaries=summaries, output=output)
    chosen = json.loads(output.read_text())
    assert chosen["best"]["strength"] == "dose"
    entries = {"c": {"method": "actadd", "additions": [{"vector": "w", "choice": "best"}]}}
    [condition] = expand(entries, chosen)
    assert condition.additions[0].dosed and condition.additions[0].coefficient == 0.5


def test_who_takes_a_dose_that_is_chosen_reads_the_norms(tmp_path):
    config = tiny.config()
    tiny.write_data(tmp_path)
    swept = config["experiments"]["sweep"]["conditions"]["actadd"]["additions"][0]
    swept["dose"] = swept.pop("coefficient")
    config["dose"] = {"dataset": "prompts", "split": "development"}
    config["experiments"]["chosen"]["scorers"] = ["distinct"]
    plan = Graph(checked(config, tmp_path), tmp_path)
    assert plan.cells("tiny", "chosen").inputs["norms"]
    assert not plan.cells("tiny", "ratio").inputs["norms"]
