"""The paper's targets: every kind of figure and table, from the real workflow on a tiny model."""

import json
import re

import pandas as pd
import pytest

from actadd.results.displays.kinds import SECTIONS
from builders import tiny

pytestmark = pytest.mark.workflow

PUBLISHED = """item,series,layer,x_name,x,y_name,y,precision,source
sweep,a,,layer,0,perplexity_ratio,1.1,exact,Figure 1
sweep,a,,layer,1,perplexity_ratio,0.9,exact,Figure 1
"""
# Documents in two bins of how many of their words are about weddings, written as groups.
DOCUMENTS = """text,group
The wedding was held in the old church and the guests were happy,0.02
They danced until the morning and then the bride went home,0.02
The ship left the port with its cargo and sailed to the north,0.0
The crane lifted the heavy container from the deck of the vessel,0.0
"""
# The tiny model reads the first three targets as several tokens.
FACTS = """text,target
The wedding was held in the old, church
The ship left the port with its, cargo
They danced until the, morning
The guests were happy, and
The wedding was held in, the
"""


def addition(vector: str, **changes) -> dict:
    return {"vector": vector, "depth": 0.4, "coefficient": 1, **changes}


def steered(*additions: dict) -> dict:
    return {"method": "actadd", "additions": list(additions)}


def kinds(section: str) -> list[str]:
    """The kinds of figures or tables, but those that have a workflow test of their own."""
    return [kind for kind in SECTIONS[section] if kind not in ("equal_damage", "pair_counts")]


def settings() -> dict:
    """All measures, and a figure and a table of each kind; one of each is not the paper's."""
    config = tiny.config(figures={}, tables={}, run_on=["tiny"])
    config["datasets"] |= {
        "documents": {"title": "documents", "file": "documents.csv"},
        "facts": {"title": "facts", "file": "facts.csv"},
    }
    config["vectors"] = {
        "love-hate": {"kind": "pair", "positive": "Love", "negative": "Hate"},
        "calm": {"kind": "pair", "positive": "Calm", "negative": "Anger"},
        "random": {"kind": "random", "like": "love-hate"},
        "mean": {
            "kind": "mean_difference",
            "positive": ["Love", "Calm"],
            "negative": ["Hate", "Anger"],
        },
    }
    config["scorers"] = {"words": config["scorers"]["words"]}
    unsteered = {"method": "unsteered"}
    config["experiments"] = {
        "generated": {
            "title": "generated",
            "measure": "completions",
            "prompts": {"dataset": "prompts", "split": "held-out"},
            "samples": 2,
            "max_new_tokens": 12,
            "scorers": ["words"],
            "conditions": {
                "unsteered": unsteered,
                # Called like the metric, as a topic's vector is.
                "any": steered(addition("love-hate")),
                "calm": steered(addition("calm")),
                "average": steered(addition("mean", position="back")),
                "contrast": {"method": "preadd", "prefix": " happy", "strength": -1.5},
                "prompting": {"method": "prompting", "prefix": " happy"},
            },
        },
        "documents": {
            "title": "documents",
            "measure": "logprobs",
            "prompts": {"dataset": "documents"},
            "conditions": {"unsteered": unsteered, "actadd": steered(addition("love-hate"))},
        },
        "facts": {
            "title": "facts",
            "measure": "logprobs",
            "prompts": {"dataset": "facts", "targets": "single_token"},
            "mask": False,
            "ranks": [1, 5, 10],
            "conditions": {"unsteered": unsteered, "actadd": steered(addition("love-hate"))},
        },
        "moved": {
            "title": "moved",
            "measure": "divergence",
            "prompts": {"dataset": "texts", "first_tokens": 12},
            "watch": [" the"],
            "conditions": {
                "unsteered": unsteered,
                "actadd": steered(addition("love-hate")),
                "random": steered(addition("random")),
            },
        },
        "own": {
            "title": "own",
            "measure": "logprobs",
            "prompts": {"dataset": "texts"},
            "conditions": {"unsteered": unsteered, "actadd": steered(addition("calm"))},
        },
    }
    config["dose"] = {"dataset": "prompts"}
    config["experiments"]["dosed"] = {
        "title": "dosed",
        "measure": "divergence",
        "prompts": {"dataset": "texts"},
        "watch": [" the"],
        "changed_positions": True,
        "conditions": {
            "unsteered": unsteered,
            "actadd": steered({"vector": "calm", "layer": [0, 1], "dose": [0.5, 1, 2]}),
        },
    }
    config["lenses"] = {
        "reading": {"vectors": ["love-hate", "calm", "mean"], "top": 5},
    }
    shape = {"layers": 2, "d_model": 16, "heads": 2, "vocabulary": 50}
    config["overheads"] = {
        "time": {
            **{"positive": "a b", "negative": "c", "shapes": {"small": shape}},
            **{"rows": 2, "tokens": 8, "repeats": 3, "warmup": 1},
        }
    }
    experiments = {
        **dict.fromkeys(("token_shift", "perplexity_ratio", "frequency"), "documents"),
        **dict.fromkeys(("accuracy", "precision"), "facts"),
        **dict.fromkeys(("divergence", "next_tokens"), "moved"),
        "dose": "dosed",
        **dict.fromkeys(("sweep", "conditions", "dose_response", "topics"), "generated"),
        **dict.fromkeys(("methods", "qualitative", "pairs"), "generated"),
        **dict.fromkeys(("concepts", "concept_wordings", "models", "reliability"), "generated"),
        "effects": "generated",
    }
    # One experiment is all three: nothing was chosen, and conditions are their own controls.
    worded = {
        **dict.fromkeys(("sweep", "controls"), "generated"),
        "damage": "words.count",
        "wordings": {
            wording: {
                concept: {"condition": condition, "metric": "words.any"} for concept in ("a", "b")
            }
            for wording, condition in (("word", "any"), ("sentence", "calm"))
        },
    }
    both = ["words.any", "words.count"]
    more = {
        **{kind: {"metrics": both} for kind in ("sweep", "conditions", "dose_response", "methods")},
        "topics": {"metrics": ["words.any"]},
        **dict.fromkeys(("concepts", "concept_wordings"), worded),
        "effects": {"metrics": both, "control": "calm"},
        "models": {
            **{"metric": "words.any", "damage": "words.count"},
            **{"steered": "any", "control": "calm"},
        },
        "reliability": {"metric": "words.any"},
        "pairs": {"metrics": both, "lens": "reading", "relative_to": "mean"},
        "token_shift": {"at_least": 1},
        "dose": {
            **{"condition": "actadd", "limit": 0.1},
            **{"effect": "probability the", "damage": "kl_over_entropy"},
        },
        "norms": {"vectors": ["love-hate"]},
        "lens": {"lens": "reading"},
        "cosines": {"lens": "reading"},
        "overhead": {"overhead": "time"},
    }
    for section in SECTIONS:
        for kind in kinds(section):
            entry = {"kind": kind, "title": f"The {kind} of {section}", **more.get(kind, {})}
            if kind in experiments:
                entry["experiment"] = experiments[kind]
            config[section][kind.replace("_", "-")] = {**entry, "paper": "Figure 9"}
    entry = {"title": "Not the paper's", "experiment": "own"}
    config["figures"]["own"] = {"kind": "perplexity_ratio", **entry}
    config["tables"]["own"] = {"kind": "token_shift", "at_least": 1, **entry}
    config["comparison"] = {
        "published": "published.csv",
        "comparisons": {
            "ratio": {
                "title": "Ratio",
                "published": {"item": "sweep", "series": "a"},
                "ours": {
                    **{"experiment": "documents", "metric": "perplexity_ratio"},
                    **{"condition": "actadd", "group": "0.02"},
                },
                "x": "layer",
                "models": ["tiny"],
                "tolerance": {"absolute": 0.001},
            }
        },
        "claims": {
            "moves": {
                "title": "Something moves",
                "source": "Table 1",
                "test": {"above": 0},
                "ours": {"experiment": "moved", "condition": "actadd", "metric": "kl"},
            }
        },
    }
    return config


CONFIG = settings()


@pytest.fixture(scope="module")
def paper(tmp_path_factory, tiny_model):
    """A workspace in which the target `paper` has been run. Copy it; never change it."""
    folder = tmp_path_factory.mktemp("paper") / "space"
    space = tiny.Workspace.create(folder, tiny_model, CONFIG)
    for name, text in (("published", PUBLISHED), ("documents", DOCUMENTS), ("facts", FACTS)):
        (space.folder / f"{name}.csv").write_text(text)
    space.run("paper")
    return space


def planned(space, *arguments: str) -> dict[str, int]:
    """As Workspace.planned, without the targets themselves."""
    # After a bare --quiet, a target would count as one more word for it.
    result = space.planned("--", *arguments) if arguments else space.planned()
    return {
        rule: n for rule, n in result.items() if not re.match("(fig|table|paper)_|paper$", rule)
    }


def changed(paper, folder, change):
    space = paper.copy(folder / "space")
    config = settings()
    change(config)
    space.configure(config)
    return space


def test_every_figure_and_table_of_the_paper_exists(paper):
    results = paper.folder / "results"
    for section in SECTIONS:
        for kind in kinds(section):
            path = results / section / kind.replace("_", "-")
            if section == "figures":
                assert path.with_suffix(".png").stat().st_size > 8000, kind
                assert path.with_suffix(".svg").read_text().startswith("<?xml"), kind
                assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF"), kind
            else:
                rows = pd.read_csv(path.with_suffix(".csv"))
                lines = path.with_suffix(".md").read_text().splitlines()
                assert lines[0] == f"# The {kind} of tables"
                assert rf"\label{{tab:{path.name}}}" in path.with_suffix(".tex").read_text(), kind
                assert len(rows) == sum(line.startswith("|") for line in lines) - 2 > 0, kind
            assert path.with_suffix(".provenance.json").exists()
    for ending in ("csv", "md", "tex"):
        assert (results / f"tables/paper_scorer_card.{ending}").exists()
    assert r"\label{tab:comparison-1}" in (results / "comparison.tex").read_text()


def test_the_comparison_has_verdicts(paper):
    table = pd.read_parquet(paper.folder / "results" / "comparison.parquet").set_index("name")
    assert table.loc["moves", "verdict"].startswith("same direction")
    # Only layer 1 was run, of layers 0 and 1.
    result = table.loc["ratio"].set_index("x")
    assert result.loc["0", "verdict"] == "not run"
    assert result.loc["1", "verdict"] in ("differs", "matches") and result.loc["1", "ours"] > 0


def test_targets_of_several_tokens_are_left_out_and_said(paper):
    rows = pd.read_parquet(paper.folder / "results/logprobs/tiny/facts.parquet")
    assert sorted(set(rows["text_id"])) == [3, 4]
    assert "3 of 5 texts are left out" in paper.log("logprobs/tiny/facts")
    record = json.loads((paper.folder / "results/logprobs/tiny/facts.provenance.json").read_text())
    assert '"left_out": 3' in json.dumps(record)


def test_what_is_not_the_papers_was_not_run(paper):
    results = paper.folder / "results"
    assert not list(results.glob("**/own.*")), "neither figure nor table nor their experiment"


def test_a_second_run_has_nothing_to_do(paper):
    assert planned(paper, "paper") == planned(paper, "paper_small") == {}


def test_all_is_what_is_not_the_papers(paper):
    """Of the paper's steps it needs none again: what both need is there."""
    jobs = dict.fromkeys(("logprobs", "summary", "figure", "table", "scorer_card"), 1)
    assert planned(paper) == jobs


def test_targets_are_listed_with_their_titles(paper):
    printed = paper.run("--list")
    listed = printed.replace("\n    ", " ")
    for section, prefix in (("figures", "fig"), ("tables", "table")):
        for kind in kinds(section):
            assert f"{prefix}_{kind}" in printed
            assert f"The {kind} of {section} (Figure 9)" in listed
    assert "fig_own" in printed and "Not the paper's" in printed
    assert re.search(r"^paper\b", printed, flags=re.MULTILINE)


def test_another_title_redraws_that_figure_only(paper, tmp_path):
    def rename(config):
        config["figures"]["topics"]["title"] = "Another title"

    space = changed(paper, tmp_path, rename)
    assert planned(space, "paper") == planned(space, "fig_topics") == {"figure": 1}
    assert planned(space, "fig_sweep") == {}


def test_another_coefficient_reruns_its_experiments_chain_only(paper, tmp_path):
    def turn(config):
        # The figure sets a random vector against the steering vector at the same coefficient.
        for name in ("actadd", "random"):
            [one] = config["experiments"]["moved"]["conditions"][name]["additions"]
            one["coefficient"] = 3

    space = changed(paper, tmp_path, turn)
    # Its figure, its table, and the comparison with a claim about it, which has one of each.
    expected = {"divergence": 1, "summary": 1, "comparison": 1, "figure": 2, "table": 2}
    assert planned(space, "paper") == expected
    assert planned(space, "fig_divergence") == {"divergence": 1, "summary": 1, "figure": 1}
    assert planned(space, "fig_topics") == planned(space, "table_methods") == {}
    space.run("results/divergence/tiny/moved.parquet")
    assert "cells: 2 computed, 1 reused" in space.log("divergence/tiny/moved")
    del expected["divergence"]
    assert planned(space, "paper") == expected
