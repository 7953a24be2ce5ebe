"""Which targets are scored, and which predictions count: the ways of the paper's ConceptNet."""

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.data import datasets
from actadd.engine.tokens import Tokens
from actadd.measure import measurement
from actadd.pipeline.graph import Graph
from actadd.results.summaries import log_probabilities
from builders import tiny
from builders.vectors import write_layer

# In the tiny model's tokens " the", " and" and " we" are one, longer words several; "T" is one too.
ITEMS = [
    ("T", " the"),
    ("The wedding was held in", " the"),
    ("They danced until the", " morning"),
    ("The ship left the port with its", " zebra crossing"),
    ("The guests were happy", " and"),
    ("It rained on the", " xylophones"),
    ("In the morning", " we"),
]
STEERED = {"vector": "v", "layer": 1, "coefficient": 3}


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    file = tmp_path_factory.mktemp("items") / "items.csv"
    pd.DataFrame(ITEMS, columns=["text", "target"]).to_csv(file, index=False)
    datasets.prepare({"name": "items"}, file, file.with_suffix(".parquet"))
    return file.with_suffix(".parquet")


@pytest.fixture
def measured(prepared, items, tmp_path):
    """Measures the items under prompts settings; returns (facts, rows)."""
    rows = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
    rows[0] = 0
    vector = write_layer(tmp_path, "v", 1, rows)

    def run(file=items, **prompts):
        spec = {
            **{"name": "e", "model": "tiny", "measure": "logprobs", "batch_rows": 16},
            **{"dtype": "float32", "compute": {"device": "cpu", "threads": 1}},
            "prompts": {"split": "all", **prompts},
            "conditions": {
                "unsteered": {"method": "unsteered"},
                "actadd": {"method": "actadd", "additions": [STEERED]},
            },
        }
        facts = measurement.measure(
            spec,
            model_dir=prepared,
            texts_file=file,
            vector_files={"v": vector},
            choice=None,
            store=tmp_path / "store",
            output=tmp_path / "rows.parquet",
        )
        return facts, pd.read_parquet(tmp_path / "rows.parquet")

    return run


def lengths(prepared) -> list[int]:
    """Tokens of each item's target, by the tokenizer alone."""
    tokens = Tokens(prepared)
    return [len(tokens.pieces(target)) for _, target in ITEMS]


def test_texts_with_longer_targets_are_left_out_and_counted(measured, prepared, capsys):
    single = [number for number, length in enumerate(lengths(prepared)) if length == 1]
    assert 0 < len(single) < len(ITEMS)
    facts, rows = measured(targets="single_token")
    assert sorted(set(rows["text_id"])) == single
    lost = len(ITEMS) - len(single)
    assert facts["left_out"] == lost
    output = capsys.readouterr().out
    assert "experiments.e.prompts.targets" in output and f"{lost} of {len(ITEMS)} texts" in output
    # What is scored of the others are the same numbers as without the key.
    for settings in ({}, {"targets": "first_token"}):
        facts, everything = measured(**settings)
        assert "left_out" not in facts and set(everything["text_id"]) == set(range(len(ITEMS)))
        kept = everything[everything["text_id"].isin(single)].reset_index(drop=True)
        columns = ["text_id", "condition", "token_index", "token_id", "rank", "target"]
        assert kept[columns].equals(rows[columns])
        assert np.allclose(kept["logprob"], rows["logprob"], atol=1e-5)


def test_texts_without_such_a_target_name_the_key(measured, tmp_path):
    file = tmp_path / "plain.parquet"
    datasets.prepare({"name": "plain", "texts": ["The ship left", "They danced"]}, None, file)
    with pytest.raises(UserError, match=r"^experiments\.e\.prompts: .*check targets"):
        measured(file, targets="single_token")
    with pytest.raises(UserError, match=r"^experiments\.e\.prompts: .*check targets"):
        measured(targets="single_token", group=["nowhere"], limit=2)


def test_a_limit_counts_what_is_left(measured, prepared):
    single = [number for number, length in enumerate(lengths(prepared)) if length == 1]
    _, rows = measured(targets="single_token", limit=2)
    assert sorted(set(rows["text_id"])) == single[:2]


def summarised(tmp_path, **spec) -> pd.Series:
    """Number of texts behind each condition's precision."""
    files = {name: tmp_path / f"s.{name}" for name in ("csv", "parquet")}
    log_probabilities.summarise_logprobs(
        {"ranks": [1], **spec}, logprobs=tmp_path / "rows.parquet", **files
    )
    table = pd.read_parquet(files["parquet"])
    table = table[(table["metric"] == "precision_at_1") & (table["group"] == "all")]
    return table.set_index("condition")["n_prompts"]


def test_a_changed_prediction_counts_only_without_the_mask(measured, tmp_path):
    """The vector has two rows, so the first prompt, BOS and one token, is changed to its end."""
    measured()
    count = len(ITEMS)
    assert summarised(tmp_path).to_dict() == {"unsteered": count, "actadd": count - 1}
    assert summarised(tmp_path, mask=True).to_dict() == summarised(tmp_path).to_dict()
    without = summarised(tmp_path, mask=False)
    assert without.to_dict() == {"unsteered": count, "actadd": count}


@pytest.fixture
def root(tmp_path):
    """A folder with the files that the tiny config names."""
    for name in ("texts", "labelled"):
        (tmp_path / f"{name}.csv").write_text("text,label\na,1\nb,-1\n")
    return tmp_path


@pytest.mark.parametrize("measure", ["completions", "divergence"])
@pytest.mark.parametrize("key", ["mask", "prompts.targets"])
def test_only_given_tokens_are_scored(root, measure, key):
    config = tiny.config()
    entry = config["experiments"]["ratio"]
    entry["measure"] = measure
    entry |= {"mask": False} if key == "mask" else {}
    entry["prompts"] |= {"targets": "single_token"} if key == "prompts.targets" else {}
    with pytest.raises(UserError, match=rf"^experiments\.ratio\.{key}: .*remove the key"):
        checked(config, root)


def test_an_experiment_without_these_keys_is_what_it_was(root):
    config = tiny.config()
    plan = Graph(checked(config, root), root)
    plain = plan.cells("tiny", "ratio").slice, plan.summary("tiny", "ratio").slice
    assert plain[0]["prompts"] == {"split": "all"} and "mask" not in plain[1]
    config["experiments"]["ratio"] |= {"mask": False}
    config["experiments"]["ratio"]["prompts"]["targets"] = "single_token"
    plan = Graph(checked(config, root), root)
    assert plan.cells("tiny", "ratio").slice["prompts"]["targets"] == "single_token"
    assert plan.summary("tiny", "ratio").slice["mask"] is False
