"""The studies at full size: each config is valid and planned, without a model or the hub."""

import pytest
import yaml

from actadd.config.checks import checked
from actadd.config.files import load
from actadd.measure.conditions import at_depth
from actadd.pipeline.graph import Graph
from builders import tiny

CONFIGS = tiny.ROOT / "config"
TERMS = {"licences_accepted": ["opt-6-7b", "llama-3-8b"]}
FREE = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"}
# Study -> its targets at full size. For concepts, another test makes up the user's files.
TARGETS = {
    "methods": ["fig_methods_gpt2_xl", "table_methods_gpt2_xl"],
    "models": ["fig_models", "table_models"],
    "pairs_from_1_to_160": ["fig_pairs_from_1_to_160", "table_pairs_from_1_to_160"],
    "is_my_pair_good": ["fig_is_my_pair_good", "table_is_my_pair_good"],
    "dose": ["fig_dose", "table_dose", "fig_dose_completions", "table_dose_completions"],
}


def written(name: str) -> dict:
    return yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))


def config(*files: str, changes: dict | None = None) -> dict:
    return checked(load([CONFIGS.parent / "config.yaml", *map(CONFIGS.joinpath, files)], changes))


@pytest.fixture(scope="module")
def small() -> dict:
    return config()


def test_every_study_has_a_full_size():
    small = {name.removesuffix(".yaml") for name in written("laboratory.yaml")["builds_on"]}
    assert small == {f"laboratory/{name}" for name in (*TARGETS, "concepts")}
    full = {path.stem for path in (CONFIGS / "laboratory").glob("*_full.yaml")}
    assert full == {f"{name}_full" for name in (*TARGETS, "concepts")}
    together = written("laboratory_full.yaml")["builds_on"]
    assert {*together} == {f"laboratory/{name}_full.yaml" for name in TARGETS}


@pytest.mark.parametrize("study", TARGETS)
def test_a_full_size_is_planned_on_models_of_the_hub(study, small):
    full = config(f"laboratory/{study}_full.yaml", changes=TERMS)
    graph = Graph(full, tiny.ROOT)
    cells = {job for name in TARGETS[study] for job in graph.target(name) if job.stage == "cells"}
    models = {job.names["model"] for job in cells}
    assert "gpt2-xl" in models <= written("hub_models.yaml")["models"].keys()
    for name in {job.names["experiment"] for job in cells}:
        entry = full["experiments"][name]
        if before := small["experiments"].get(name):
            assert entry.get("samples", 1) >= before.get("samples", 1), name
            assert entry["prompts"].get("limit") is None, name


def test_all_full_sizes_lie_on_each_other(capsys):
    full = config("laboratory_full.yaml")
    names = {name for study in TARGETS.values() for name in study}
    graph = Graph(full, tiny.ROOT)
    assert names <= graph.targets.keys() and graph.target("laboratory")
    # Models whose terms nobody has accepted are left out, with a message that says so.
    assert {*full["experiments"]["models"]["models"]} == FREE
    assert "licences_accepted: [opt-6-7b,llama-3-8b]" in capsys.readouterr().err


def test_a_depth_of_the_full_size_is_each_layer_of_every_model():
    full = config("laboratory/dose_full.yaml", changes=TERMS)
    for model in full["experiments"]["dose"]["models"]:
        layers = full["models"][model]["layers"]
        steered = at_depth(full["experiments"]["dose"]["conditions"], layers)["steered"]
        assert steered["additions"][0]["layer"] == list(range(layers)), model
