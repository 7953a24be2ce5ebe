"""The configs that lie on top of the small one: the paper's own settings, and more models."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

import tiny
from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.measure.conditions import at_depth, expand
from actadd.pipeline.graph import Graph

TERMS = {"licences_accepted": ["opt-6-7b", "llama-3-8b", "llama-13b"]}
COPIES = Path(
    os.environ.get("ACTADD_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data")
)
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


def loaded(overlay: str, changes: dict | None = None) -> dict:
    """The config as Snakemake puts it together: two files, the overlay, what --config says."""
    config: dict = {}
    for name in ("config/paper_small.yaml", "config.yaml", f"config/{overlay}.yaml"):
        update_config(config, yaml.safe_load((tiny.ROOT / name).read_text(encoding="utf-8")))
    update_config(config, changes or {})
    return checked(config, tiny.ROOT)


@pytest.fixture
def paper() -> dict:
    return loaded("paper", TERMS)


def cells(config: dict, experiment: str) -> list:
    """Conditions of an experiment on GPT-2-XL, layers and all."""
    return expand(at_depth(config["experiments"][experiment]["conditions"], 48))


def test_every_experiment_figure_and_table_of_the_small_size_is_there(paper):
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
    experiments = plan.experiments_of(plan.displays(paper=True))
    models = {model for name in experiments for model in paper["experiments"][name]["models"]}
    assert models == {"gpt2-xl", "opt-6-7b", "llama-3-8b", "gpt-j-6b", "llama-13b"}
    judged = {s for name in experiments for s in paper["experiments"][name].get("scorers", [])}
    assert {paper["scorers"][name].get("model") for name in judged} == {None, "gpt2-xl"}


def test_it_has_the_papers_layers_and_sizes(paper):
    layers: dict[str, set] = {}
    for condition in cells(paper, "qualitative"):
        layers.setdefault(condition.name, set()).update(a["layer"] for a in condition.additions)
    assert {name: layers[name] for name in LAYERS} == LAYERS
    # Prompts that the small size makes longer are the paper's again.
    groups = {condition.group for condition in cells(paper, "qualitative")}
    assert {"obama", "think-you-are", "tower"} <= groups
    assert not any(group and group.endswith(("-longer", "-a")) for group in groups)
    assert {a["layer"] for c in cells(paper, "random-control") for a in c.additions} == {20}
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
        assert all(c.additions[0]["layer"] < 48 for c in steered)
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
        loaded("paper")
    said = str(caught.value)
    [line] = re.findall(r"^  (licences_accepted: .*)$", said, re.MULTILINE)
    assert set(yaml.safe_load(line)["licences_accepted"]) == set(TERMS["licences_accepted"])
    assert all(
        loaded("paper", TERMS)["models"][name]["licence_terms"] in said
        for name in TERMS["licences_accepted"]
    )
    loaded("paper", yaml.safe_load(line))


def test_more_models_with_and_without_their_terms(capsys):
    without = loaded("models_offline")
    assert without["experiments"]["topics"]["models"] == ["smollm2-135m", "stories15m"]
    assert "left out until their terms are accepted: gemma-3-270m" in capsys.readouterr().err
    accepted = loaded("models_offline", {"licences_accepted": ["gemma-3-270m"]})
    assert accepted["experiments"]["topics"]["models"][-1] == "gemma-3-270m"
    assert capsys.readouterr().err == ""


def test_local_copies_take_the_place_of_what_would_be_fetched(tmp_path):
    for file in ("essays/prompts.txt", "rtp/random_prompts.jsonl", "conceptnet/test.jsonl"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    sources = loaded("paper", {**TERMS, "data_dir": str(tmp_path)})["sources"]
    local = {name for name, entry in sources.items() if entry["type"] == "path"}
    assert local == {"authors-texts", "rtp-random", "lama"}
    assert sources["rtp-random"]["path"] == str(tmp_path / "rtp/random_prompts.jsonl")
    # What is pinned stays pinned.
    assert sources["authors-texts"]["sha256"].keys() >= {"prompts.txt"}


def test_the_published_data_where_it_lies():
    if not COPIES.is_dir():
        pytest.skip(f"no {COPIES}: set ACTADD_DATA_DIR to a folder with the published data files")
    sources = loaded("paper", {**TERMS, "data_dir": str(COPIES)})["sources"]
    for name in ("authors-texts", "rtp-random", "rtp-toxic", "openwebtext-sample", "lama"):
        assert sources[name]["type"] == "path"
        assert Path(sources[name]["path"]).exists()


# --- what Snakemake makes of them ---


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        shutil.copy2(tiny.ROOT / name, folder / name)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("workflow", "config"):
        shutil.copytree(tiny.ROOT / name, folder / name, ignore=ignored)
    return folder


def planned(folder: Path, target: str, overlay: str, *settings: str) -> tuple[dict[str, int], str]:
    """(rule -> number of jobs, everything printed) of a dry-run."""
    given = ["--config", *settings] if settings else []
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "2", "-n", "--quiet", "rules"),
            *("--configfile", f"config/{overlay}.yaml", *given, "--", target),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    rows = re.findall(r"^(\w+)\s+(\d+)\s*$", printed, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows}, printed


@pytest.mark.workflow
def test_the_paper_can_be_planned_without_a_network(tree, tmp_path):
    terms = "licences_accepted=[opt-6-7b,llama-3-8b,llama-13b]"
    jobs, _ = planned(tree, "paper", "paper", terms)
    print(jobs)
    assert jobs["paper"] == jobs["comparison"] == jobs["scorer_card"] == 1
    assert {"activations_gpt2_xl", "activations_opt_6_7b", "vectors_llama_13b"} <= set(jobs)
    assert "activations_smollm2_135m" not in jobs
    (tmp_path / "essays").mkdir()
    for name in ("chatgpt_wedding_essay_20230423", "chatgpt_shipping_essay_20230423", "prompts"):
        (tmp_path / f"essays/{name}.txt").write_text("")
    assert planned(tree, "paper", "paper", terms, f"data_dir={tmp_path}")[0] == jobs


@pytest.mark.workflow
def test_more_models_can_be_planned(tree):
    jobs, printed = planned(tree, "paper_small", "models_offline")
    assert "left out until their terms are accepted: gemma-3-270m" in printed
    assert jobs["model"] == 2 and "activations_gemma_3_270m" not in jobs
    accepted = "licences_accepted=[gemma-3-270m]"
    more, printed = planned(tree, "paper_small", "models_offline", accepted)
    print(jobs, more)
    assert "left out" not in printed
    assert more["model"] == 3 and more["activations_gemma_3_270m"] == jobs["activations_stories15m"]
