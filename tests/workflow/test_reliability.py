"""Reliability cards from config to text, with every field measured."""

import pandas as pd
import pytest

from actadd.cli.card import cards_of
from actadd.cli.project import configured
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.tiny import actadd, typed

WORDS = ("ship", "bride", "crane")
ITEMS = "text,target\nThe wedding was held in, the\nThey danced until, the\nIt rained and, we\n"


def adding(vector: str, *strengths: float) -> dict:
    addition = {"vector": vector, "layer": 1, "coefficient": list(strengths), "position": 1}
    return {"method": "actadd", "additions": [addition]}


def config() -> dict:
    config = tiny.config()
    pairs = {
        side: [f"I {verb} the {word}" for word in WORDS]
        for side, verb in (("positive", "see"), ("negative", "was"))
    }
    config["vectors"] |= {
        "many": {"kind": "mean_difference", "token": -1, **pairs},
        "apart": {"kind": "orthogonal", "like": "many", "draws": 2},
    }
    conditions = {"unsteered": {"method": "unsteered"}, "many": adding("many", 1, 2)}
    config["datasets"]["items"] = {"title": "test items", "file": "items.csv"}
    shared = {"models": ["tiny"], "conditions": conditions}
    measured = {
        "cards-divergence": {"measure": "divergence", "prompts": {"dataset": "texts"}},
        "cards-knowledge": {"measure": "logprobs", "prompts": {"dataset": "items"}},
    }
    config["experiments"] |= {
        name: {"title": name, **shared, **entry} for name, entry in measured.items()
    }
    config["experiments"]["cards"] = {
        **{"title": "cards", "measure": "completions", "models": ["tiny"]},
        **{"prompts": {"dataset": "prompts"}, "samples": 2, "max_new_tokens": 5},
        "conditions": {**conditions, "apart": adding("apart", 1, 2)},
        "scorers": ["words", "distinct", "mood", "fluency"],
    }
    entry = {
        **{"kind": "reliability", "title": "Cards", "experiment": "cards"},
        **{"metric": "fluency.perplexity", "agreement": ["mood.probability"]},
        **{"cost": "fluency.perplexity", "divergence": "cards-divergence"},
        "knowledge": "cards-knowledge",
    }
    config["tables"] = {"reliability": entry}
    config["figures"]["reliability"] = entry
    return config


@pytest.mark.workflow
def test_a_vectors_card_from_config_to_text(space, monkeypatch):
    space.configure(config())
    (space.folder / "items.csv").write_text(ITEMS)
    missing = actadd(space, "card", "many", code=1)
    assert "results/" in missing and "is missing" in missing
    command = missing.strip().partition("make it with ")[2]
    assert command.endswith("table_reliability")
    typed(space, f"{command} fig_reliability")
    for suffix in ("png", "svg", "pdf"):
        assert (space.folder / f"results/figures/reliability.{suffix}").stat().st_size > 5000

    monkeypatch.chdir(space.folder)
    graph = Graph(configured(), space.folder)
    cards = cards_of(graph, "many")
    assert [card.setting for card in cards] == [
        f"many (layer 1, c = {coefficient}, 1)" for coefficient in (1, 2)
    ]
    summary = pd.read_parquet("results/summaries/tiny/cards.parquet")
    summary = summary[
        (summary["metric"] == "fluency.perplexity") & (summary["condition"] == "many")
    ]
    norms = pd.read_csv("results/vectors/tiny/many/norms.csv").query("layer == 1")
    for card, row in zip(cards, summary.to_dict("records"), strict=True):
        assert set(card.unmeasured) <= {"prompting"}
        assert card.effect.value == pytest.approx(row["difference"])
        assert card.effect.low == pytest.approx(row["difference_low"])
        assert card.separation.auc == pytest.approx(norms["auc"].iloc[0])

    printed = actadd(space, "card", "many", "--model", "tiny", "--experiment", "cards")
    assert printed.count("Claim: ") == 2 and "minus best control" in printed
    table = pd.read_csv(space.folder / "results/tables/reliability.csv")
    assert all(claim in printed for claim in table["claim"])
    refused = actadd(space, "card", "nothing", code=1)
    assert refused.startswith("error: VECTOR: there is no vector with cards 'nothing'")
    changed = config()
    changed["experiments"]["cards"]["samples"] = 1
    space.configure(changed)
    assert "made from another config" in actadd(space, "card", "many", code=1)
