"""The threshold of a gate, chosen on a development split: the file, what it changes, refusals."""

import numpy as np
import pandas as pd
import pytest
import torch

from actadd.base.files import read_json
from actadd.engine.hooks import record_activations
from actadd.engine.tokens import Tokens
from actadd.models.loading import load
from actadd.vectors.vector_files import read_vector
from builders.gates import gated_config, texts_csv

pytestmark = pytest.mark.workflow


def projections(space) -> pd.DataFrame:
    """Each text's projection, by ordinary means."""
    model_dir = space.folder / "results/models/tiny"
    model = load(model_dir, dtype="float32", device="cpu", threads=1)
    tokens = Tokens(model_dir)
    table = pd.read_parquet(space.folder / "results/datasets/kinds.parquet")
    row = read_vector(space.folder / "results/vectors/tiny/calm/vector.safetensors", {1})[1][-1]
    values = []
    for text in table["text"]:
        stream = record_activations(model, torch.tensor([tokens.encode(text)]))[1, 0].numpy()
        values.append(float(stream[1:].mean(axis=0) @ (row / np.linalg.norm(row))))
    return table.assign(projection=values)


def test_a_threshold_is_chosen_on_one_split_and_its_rates_reported_on_another(space):
    (space.folder / "kinds.csv").write_text(texts_csv())
    space.configure(gated_config())
    output = space.folder / "results/thresholds/tiny/gated.json"
    space.run("--", "results/summaries/tiny/gated.csv")
    [chosen] = read_json(output)
    table = projections(space)
    part = dict(list(table.groupby("split")))
    for about, split in (("chosen_on", "development"), ("reported_on", "held-out")):
        rows = part[split]
        opened = rows["projection"] > chosen["threshold"]
        for name, group in (("true_positive", "short"), ("false_positive", "long")):
            of_group = opened[rows["group"] == group]
            rate = chosen[about][name]
            assert (rate["texts"], rate["open"]) == (5, of_group.sum())
            low, high = rate["interval"]
            assert rate["rate"] == of_group.mean() and low <= rate["rate"] <= high
    # One of five negatives may pass, and the next smaller threshold would let two pass.
    development = part["development"]
    negatives = sorted(development[development["group"] == "long"]["projection"])
    assert chosen["chosen_on"]["false_positive"]["open"] == 1
    assert negatives[-2] <= chosen["threshold"] < negatives[-1]
    # What was drawn: prompts with a closed gate are as unsteered.
    cells = pd.read_parquet(space.folder / "results/completions/tiny/gated.parquet")
    drawn = cells.pivot(index="prompt_id", columns="condition", values="completion")
    same = (drawn["gated"] == drawn["unsteered"]).sort_index()
    closed = part["held-out"].reset_index(drop=True)["projection"] <= chosen["threshold"]
    assert same[closed.to_numpy()].all() and 0 < closed.sum() < len(closed)
    # The number in place of the rule is the same cell.
    config = gated_config()
    [addition] = config["experiments"]["gated"]["conditions"]["gated"]["additions"]
    addition["gate"]["threshold"] = chosen["threshold"]
    space.configure(config)
    space.run("--", "results/summaries/tiny/gated.csv")
    again = pd.read_parquet(space.folder / "results/completions/tiny/gated.parquet")
    assert again["cell"].tolist() == cells["cell"].tolist()


def test_texts_of_one_kind_have_no_threshold(space):
    (space.folder / "kinds.csv").write_text(texts_csv())
    space.configure(gated_config(positive=["shorter"]))
    failed = space.run("--", "results/summaries/tiny/gated.csv", fails=True)
    for word in ("experiments.gated", "threshold.positive", "no positive text", "long, short"):
        assert word in failed
