"""The configs that lie on top of the small one: the paper's own settings, and more models."""

import re
from pathlib import Path

import pytest
import yaml

from actadd.base.errors import UserError
from actadd.measure.conditions import at_depth, expand
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.paper import COPIES, TERMS, paper_config

# Layers that the paper gives for its qualitative cases.
LAYERS = {
    "love": {6},
    "praise": {6},
    "bush": {23},
    "bush-padded-with-bos": {23},
    "alive-negative": {10},
    "anger": {20},
    "anger-negative": {20},
    "angry-at-you": {15},
    "eiffel": {24},
    "dragons": {15},
    "hurt": {15},
    "weddings": {20},
    "christianity": {6},
    "goose": {10},
    "love-and-wedding": {6, 15},
    "pacifist-and-gardening": {10, 30},
}


@pytest.fixture
def paper() -> dict:
    return paper_config("paper", TERMS)


def cells(config: dict, experiment: str) -> list:
    """Conditions of an experiment on GPT-2-XL, layers and all."""
    return expand(at_depth(config["experiments"][experiment]["conditions"], 48))


def test_every_experiment_figure_and_table_of_the_small_size_exists(paper):
    small = yaml.safe_load((tiny.ROOT / "config/paper_small.yaml").read_text(encoding="utf-8"))
    for section in ("experiments", "figures", "tables", "lenses", "overheads"):
        assert set(small[section]) <= set(paper[section])
    for section in ("comparisons", "claims"):
        assert set(small["comparison"][section]) <= set(paper["comparison"][section])
    # What the default run draws lies on top of it, so one name for both would hide the paper's.
    default = yaml.safe_load((tiny.ROOT / "config.yaml").read_text(encoding="utf-8"))
    for section in ("experiments", "datasets", "vectors", "scorers", "figures"):
        assert not set(small[section]) & set(default[section])


def test_nothing_of_the_paper_is_left_on_the_small_model(paper):
    plan = Graph(paper, tiny.ROOT)
    experiments = plan.experiments_of(plan.displays("paper"))
    models = {model for name in experiments for model in paper["experiments"][name]["models"]}
    assert models == {"gpt2-xl", "opt-6-7b", "llama-3-8b", "gpt-j-6b", "llama-13b"}
    judged = {s for name in experiments for s in paper["experiments"][name].get("scorers", [])}
    assert {paper["scorers"][name].get("model") for name in judged} == {None, "gpt2-xl"}


def test_it_has_the_papers_layers_and_sizes(paper):
    layers: dict[str, set] = {}
    for condition in cells(paper, "qualitative"):
        layers.setdefault(condition.name, set()).update(a.layer for a in condition.additions)
    assert {name: layers[name] for name in LAYERS} == LAYERS
    # Prompts that the small size makes longer are the paper's again.
    groups = {condition.group for condition in cells(paper, "qualitative")}
    assert {"obama", "think-you-are", "tower"} <= groups
    assert not any(group and group.endswith(("-longer", "-a")) for group in groups)
    assert {a.layer for c in cells(paper, "random-control") for a in c.additions} == {20}
    for experiment, count in (
        ("topic-layers", 48),
        ("essay-layers", 48),
        ("essay-coefficients", 202),
        ("reviews-layers", 48),
        ("reviews-coefficients", 82),
        ("partial-dimensions", 10),
    ):
        steered = [c for c in cells(paper, experiment) if c.additions]
        assert len(steered) == count
        assert all(c.additions[0].layer < 48 for c in steered)
    assert paper["experiments"]["topic-layers"]["samples"] == 200
    limits = {name: e["prompts"].get("limit") for name, e in paper["experiments"].items()}
    assert limits["toxicity"] == 1000 and limits["conceptnet"] is None


def test_published_numbers_are_compared_on_the_data_they_need(paper):
    """Every dataset that a comparison names is one of the experiment's, or says why it is not."""
    entries = paper["comparison"]["comparisons"]
    other = {name for name in entries if name.startswith("toxicity-")}
    for name, entry in entries.items():
        experiment = entry["ours"]["experiment"]
        if experiment == "norms":
            continue
        assert set(entry["models"]) <= set(paper["experiments"][experiment]["models"]), name
        if "data" in entry and name not in other:
            assert entry["data"] == paper["experiments"][experiment]["prompts"]["dataset"], name


def test_terms_have_to_be_accepted():
    with pytest.raises(UserError) as caught:
        paper_config("paper")
    message = str(caught.value)
    [line] = re.findall(r"^  (licences_accepted: .*)$", message, re.MULTILINE)
    assert set(yaml.safe_load(line)["licences_accepted"]) == set(TERMS["licences_accepted"])
    assert all(
        paper_config("paper", TERMS)["models"][name]["licence_terms"] in message
        for name in TERMS["licences_accepted"]
    )
    paper_config("paper", yaml.safe_load(line))


def test_more_models_with_and_without_their_terms(capsys):
    without = paper_config("models_offline")
    assert without["experiments"]["topics"]["models"] == ["smollm2-135m", "stories15m"]
    assert "left out until their terms are accepted: gemma-3-270m" in capsys.readouterr().err
    accepted = paper_config("models_offline", {"licences_accepted": ["gemma-3-270m"]})
    assert accepted["experiments"]["topics"]["models"][-1] == "gemma-3-270m"
    assert capsys.readouterr().err == ""


def test_local_copies_replace_fetched_files(tmp_path):
    for file in ("essays/prompts.txt", "rtp/random_prompts.jsonl", "conceptnet/test.jsonl"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    sources = paper_config("paper", {**TERMS, "data_dir": str(tmp_path)})["sources"]
    local = {name for name, entry in sources.items() if entry["type"] == "path"}
    assert local == {"authors-texts", "rtp-random", "lama"}
    assert sources["rtp-random"]["path"] == str(tmp_path / "rtp/random_prompts.jsonl")
    # What is pinned stays pinned.
    assert sources["authors-texts"]["sha256"].keys() >= {"prompts.txt"}


def test_the_published_data_where_it_lies():
    if not COPIES.is_dir():
        pytest.skip(f"no {COPIES}: set ACTADD_DATA_DIR to a folder with the published data files")
    sources = paper_config("paper", {**TERMS, "data_dir": str(COPIES)})["sources"]
    for name in ("authors-texts", "rtp-random", "rtp-toxic", "openwebtext-sample", "lama"):
        assert sources[name]["type"] == "path"
        assert Path(sources[name]["path"]).exists()


# --- what Snakemake makes of them ---
