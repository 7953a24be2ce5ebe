"""The paper's config, as Snakemake puts it together, against a table of the published settings.

The table was written from the paper, the post and the authors' code, by experiment, not from the
config. What no source gives (OPT's layer, the prompt of the topics) stands in docs/reproduction.md
and not here.
"""

import csv
from pathlib import Path
from typing import Any

import pytest

from actadd.data import datasets
from actadd.measure.conditions import Condition, at_depth, expand
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.paper import COPIES, TERMS, WEDDING_WORDS, paper_config

FRIEND = "I went up to my friend and said"
KILL = "I want to kill you because you're such a"
DEATH = (
    "Some people think that death is scary and should be avoided. I agree. I never want to die. "
    "I want to stay alive and experience a million things and explore the whole universe!"
)
ROCK = (
    "The rock hurtled toward the child. The child couldn't get out of the way in time, and so "
    "sadly the rock"
)
GEESE = (
    "In New York City's parks, there is an overabundance of various kinds of birds, and "
    "especially geese"
)
BERKELEY = "Thanks for asking about that! I moved to Berkeley, CA because"
POST_DOG = "Yesterday, my dog died. Today, I got denied for a raise. I'm feeling"

# What GPT-2-XL and the first version of the OPT and LLaMA tables were sampled with, and what the
# other authors' numbers were.
OWN = {"temperature": 1, "top_p": 0.3, "frequency_penalty": 1}
OTHERS = {"temperature": 1, "top_p": 1, "frequency_penalty": 0}

LOVE, WEDDINGS, ANGER = ("Love", "Hate"), (" weddings", ""), ("Anger", "Calm")
PRAISE = ("Intent to praise", "Intent to hurt")
EIFFEL = ("The Eiffel Tower is in Rome", "The Eiffel Tower is in France")
HURT = ("I NEVER talk about people getting hurt", "I talk about people getting hurt")
TALK = ("I talk about weddings constantly", "I do not talk about weddings constantly")
BUSH = ("Bush did 9/11 because", "")

# Condition -> (prompt, its additions: (positive, negative), layer, coefficient). Tables 1, 3 and 4,
# and the post's further cases.
QUALITATIVE = {
    "love": ("I hate you because", (LOVE, 6, 5)),
    "praise": (KILL, (PRAISE, 6, 15)),
    "bush": ("Barack Obama was born in", (BUSH, 23, 1)),
    "bush-padded-with-bos": ("Barack Obama was born in", (BUSH, 23, 1)),
    "alive-negative": (DEATH, (("Want to stay alive", "Want to die"), 10, -3)),
    "anger": ("I think you're", (ANGER, 20, 10)),
    "anger-negative": ("I think you're", (ANGER, 20, -10)),
    "angry-word-negative": ("I think you're", ((" angry", " calm"), 20, -10)),
    "angry-at-you": ("I think you're", (("Angry at you", "Pleased with you"), 15, 10)),
    "eiffel": ("To see the eiffel tower, people flock to", (EIFFEL, 24, 10)),
    "dragons": (BERKELEY, (("Dragons live in Berkeley", "People live in Berkeley"), 15, 4)),
    "hurt": (ROCK, (HURT, 15, 4)),
    "hurt-other-prompt": (
        "The dog barked loudly and the man smiled. Time for another day! He felt excited.",
        (HURT, 15, 4),
    ),
    "weddings": (FRIEND, (TALK, 20, 4)),
    "christianity": (
        KILL,
        (("Intent to convert you to Christianity", "Intent to hurt you"), 6, 3),
    ),
    "love-alone": ("I hate you because", (("Love", None), 6, 10)),
    "love-against-space": ("I hate you because", (("Love", " "), 10, 3)),
    "anger-times-2000": (POST_DOG, (ANGER, 20, 2000)),
    "anger-times-2000-shorter": ("Yesterday, my dog died.", (ANGER, 20, 2000)),
    "weddings-times-100": (FRIEND, (TALK, 20, 100)),
    "french": ("I want to kill you because", (("Je m'appelle", "My name is"), 6, 5)),
    "french-check": ("I want to kill you because", (("Check out my French! Je", ""), 0, 1)),
    "goose": (
        GEESE,
        (
            (
                "Whenever I say the word goose I follow it with the special phrase AAAAHHHH",
                "I can say goose",
            ),
            *(10, 7),
        ),
    ),
    "gibberish": (
        "To see the Eiffel Tower, people flock to",
        (("efwapv j;las ap;lk", ""), 15, 10),
    ),
    "love-and-wedding": (
        "I recently went to this",
        *((LOVE, 6, 5), ((" wedding", " "), 15, 5)),
    ),
    "love-and-wedding-hate-you": (
        "I hate you because",
        *((LOVE, 6, 5), ((" wedding", " "), 15, 5)),
    ),
    "love-and-wedding-friend": (FRIEND, (LOVE, 6, 5), ((" wedding", " "), 15, 5)),
    "pacifist-and-gardening": (
        "I feel like killing you because you're such",
        *(
            (("I am a committed pacifist", "I have some anger issues"), 10, 7),
            (("I am just obsessed with gardening", "I am a committed pacifist"), 30, 7),
        ),
    ),
}
# Table 10: the same settings on LLaMA-13B.
ON_LLAMA = ("love", "praise", "anger", "eiffel", "hurt")

ALL_LAYERS = list(range(48))
# np.linspace(-1, 4, 101) and np.linspace(-1, 3, 41)
FINE = [round(-1 + 0.05 * step, 2) for step in range(101)]
TENTHS = [round(-1 + 0.1 * step, 1) for step in range(41)]


def grid(vector: tuple, layers: Any, coefficients: Any, **more: Any) -> dict[str, Any]:
    """A sweep of one pair: front, in the prefill, unless it says otherwise."""
    return {
        "vector": vector,
        "layer": layers if isinstance(layers, list) else [layers],
        "coefficient": coefficients if isinstance(coefficients, list) else [coefficients],
        **{
            "position": ["front"],
            "phase": ["prefill"],
            "dimensions": [None],
            "match_norm": [False],
        },
        **more,
    }


# Experiment -> its settings. `steered`: condition -> a sweep; the others as in the checked config.
# Of prompts no limit means all.
PUBLISHED: dict[str, dict[str, Any]] = {
    # E1
    "qualitative": {"models": ["gpt2-xl"], "samples": 3, "max_new_tokens": 50, "sampling": OWN},
    "qualitative-llama": {"models": ["llama-13b"], "sampling": OWN, "samples": 3},
    # E2, E8
    "openwebtext": {
        "models": ["gpt2-xl"],
        "measure": "logprobs",
        "prompts": {"dataset": "openwebtext", "first_tokens": 1024},
        "steered": {"actadd": grid(WEDDINGS, 16, 1)},
    },
    # E3
    "topic-layers": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "friend", "limit": 1},
        "samples": 200,
        "max_new_tokens": 40,
        "sampling": OWN,
        "scorers": ["wedding-words"],
        "steered": {"actadd": grid(WEDDINGS, ALL_LAYERS, 1)},
    },
    # E4: objects of one token, no limit, no mask
    "conceptnet": {
        "models": ["gpt2-xl"],
        "measure": "logprobs",
        "prompts": {"dataset": "lama-conceptnet", "targets": "single_token"},
        "mask": False,
        "ranks": [1, 2, 3, 4, 5, 6, 7, 9, 12, 15, 19, 24, 30, 38, 49, 62, 79, 100],
        "steered": {"actadd": grid(WEDDINGS, 16, 1)},
    },
    # E5
    "toxicity-mixed": {
        "models": ["opt-6-7b", "llama-3-8b"],
        "prompts": {"dataset": "rtp-random", "limit": 1000},
        "samples": 5,
        "max_new_tokens": 32,
        "sampling": OWN,
        "steered": {"actadd": grid(LOVE, 17, 2)},
    },
    "toxicity": {
        "models": ["opt-6-7b", "llama-3-8b"],
        "prompts": {"dataset": "rtp-random", "limit": 1000},
        "samples": 5,
        "max_new_tokens": 32,
        "sampling": OWN,
    },
    # E6: beginnings of 32 tokens with BOS, of the model's own tokenizer
    **{
        f"{direction}-mixed": {
            "models": ["opt-6-7b", "llama-3-8b"],
            "prompts": {"dataset": dataset, "limit": 1000, "first_tokens": 32},
            "samples": 1,
            "max_new_tokens": 64,
            "sampling": OWN,
            "steered": {"actadd": grid(LOVE, 17, coefficient)},
        }
        for direction, dataset, coefficient in (
            ("negative-to-positive", "negative-reviews", 12),
            ("positive-to-negative", "positive-reviews", -12),
        )
    },
    **{
        direction: {
            "models": ["opt-6-7b", "llama-3-8b"],
            "prompts": {"dataset": dataset, "limit": 1000, "first_tokens": 32},
            "samples": 1,
            "max_new_tokens": 64,
            "sampling": OWN,
        }
        for direction, dataset in (
            ("negative-to-positive", "negative-reviews"),
            ("positive-to-negative", "positive-reviews"),
        )
    },
    # E7: the layer and the opposite prompt are not published
    "topics": {"models": ["gpt2-xl"], "samples": 1000},
    # E9
    "essay-layers": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "authors-essays"},
        "steered": {"actadd": grid(WEDDINGS, ALL_LAYERS, 1)},
    },
    "essay-coefficients": {
        "models": ["gpt2-xl", "gpt-j-6b"],
        "prompts": {"dataset": "authors-essays"},
        "steered": {"actadd": grid(WEDDINGS, [6, 16], FINE)},
    },
    "essay-prompting": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "authors-essays"},
        "steered": {"actadd": grid(WEDDINGS, 16, 1)},
    },
    "further-essay-layers": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "authors-further-essays"},
        "steered": {"actadd": grid(WEDDINGS, ALL_LAYERS, 1)},
    },
    "further-essay-coefficients": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "authors-further-essays"},
        "steered": {"actadd": grid(WEDDINGS, [6, 16], FINE)},
    },
    # E11: coefficient 1 in the text, 10 in the notebook
    "random-control": {
        "models": ["gpt2-xl"],
        "measure": "divergence",
        "prompts": {"dataset": "control-prompts", "limit": 58},
        "steered": {
            "actadd": grid(ANGER, 20, [1, 10]),
            "random": grid(("random", *ANGER), 20, [1, 10]),
        },
    },
    # E12: the paper reads the first 15
    **{
        name: {
            "models": ["gpt2-xl"],
            "prompts": {"dataset": dataset, "limit": 1},
            "sampling": OWN,
            "steered": {
                "own-layer": grid(ANGER, 20, 10, source_layer=[20]),
                "embedding": grid(ANGER, 20, 10, source_layer=[0]),
                "early-layer": grid(ANGER, 20, 10, source_layer=[2]),
                "early-layer-rescaled": grid(ANGER, 20, 10, source_layer=[2], match_norm=[True]),
            },
        }
        for name, dataset in (("transplant", "think"), ("transplant-shorter", "think-shorter"))
    },
    # E13: without any dimension is the unsteered condition
    "partial-dimensions": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "partial-six", "limit": 6},
        "samples": 100,
        "max_new_tokens": 40,
        "sampling": OWN,
        "steered": {
            "actadd": grid(
                (" wedding", " "),
                *(6, 4),
                dimensions=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
            )
        },
    },
    # E14
    "injection-position": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "friend", "limit": 1},
        "samples": 100,
        "sampling": OWN,
        "steered": {
            "actadd": grid((" wedding", " "), 6, 4, position=["front", "middle", "back"]),
        },
    },
    # E15
    "next-token": {
        "models": ["gpt2-xl"],
        "measure": "divergence",
        "prompts": {"dataset": "excited", "limit": 1},
        "steered": {"actadd": grid(WEDDINGS, 16, 1)},
    },
    # E16
    "reviews-layers": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "yelp-reviews"},
        "steered": {"actadd": grid((" worst", ""), ALL_LAYERS, 1)},
    },
    "reviews-coefficients": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "yelp-reviews"},
        "steered": {"actadd": grid((" worst", ""), [6, 16], TENTHS)},
    },
    # E17
    "openwebtext-layers": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "openwebtext-sentences", "limit": 5000},
        "steered": {"actadd": grid(WEDDINGS, ALL_LAYERS, 1)},
    },
    "openwebtext-coefficients": {
        "models": ["gpt2-xl"],
        "prompts": {"dataset": "openwebtext-sentences", "limit": 5000},
        "steered": {"actadd": grid(WEDDINGS, [6, 16], FINE)},
    },
    # E19: the grid and the prompts are not published
    "larger-models": {"models": ["gpt-j-6b"], "measure": "divergence"},
    # E20
    "sampling": {"models": ["gpt2-xl"], "sampling": OWN},
}
# Ours: sweeps on which settings are chosen, and comparisons beyond the paper.
BEYOND = {"toxicity-sweep", "sentiment-methods", "pairs"}

POLITE = (
    "The following text does not perpetuate negative stereotypes, is not threatening or sexually "
    "explicit, and does not contain profane language.\n\n"
)
RUDE = (
    "The following text perpetuates negative stereotypes, is threatening or sexually explicit, or "
    "contains profane language.\n\n"
)


@pytest.fixture(scope="module")
def paper() -> dict:
    return paper_config("paper", TERMS)


def cells(config: dict, experiment: str) -> list[Condition]:
    """The conditions of an experiment on its first model, swept settings one by one."""
    entry = config["experiments"][experiment]
    layers = config["models"][entry["models"][0]]["layers"]
    conditions = {
        name: details
        for name, details in at_depth(entry["conditions"], layers).items()
        if not any("choice" in addition for addition in details.get("additions", []))
    }
    return expand(conditions, None, entry["sampling"], config["seed"])


def pair(config: dict, name: str) -> tuple:
    """A vector's two prompts; (text, None) of a single one, ("random", ...) of a random one."""
    entry = config["vectors"][name]
    if entry["kind"] == "random":
        return ("random", *pair(config, entry["like"]))
    if entry["kind"] == "single":
        return entry["prompt"], None
    return entry["positive"], entry["negative"]


def texts(name: str) -> dict[str, str]:
    """Group -> text of a file of ours with one text in each group."""
    file = tiny.ROOT / "workflow" / "data" / name
    return {row["group"]: row["text"] for row in csv.DictReader(file.open(encoding="utf-8"))}


def test_every_experiment_of_the_paper_is_in_the_table(paper):
    plan = Graph(paper, tiny.ROOT)
    assert set(plan.experiments_of(plan.displays("paper"))) == PUBLISHED.keys() | BEYOND


def value(addition, key):
    """A setting of an addition; the layer that its vector is from, even if that is its own."""
    return addition.sources[addition.layer] if key == "source_layer" else getattr(addition, key)


@pytest.mark.parametrize("experiment", PUBLISHED)
def test_settings(paper, experiment):
    entry, expected = paper["experiments"][experiment], dict(PUBLISHED[experiment])
    sweeps, prompts = expected.pop("steered", {}), expected.pop("prompts", None)
    assert {key: entry[key] for key in expected} == expected
    if prompts:
        prompts = {"limit": None, **prompts}
        assert {key: entry["prompts"].get(key) for key in prompts} == prompts
    for name, sweep in sweeps.items():
        conditions = [c for c in cells(paper, experiment) if c.name == name]
        additions = [addition for c in conditions for addition in c.additions]
        assert len(additions) == len(conditions), "one addition each"
        assert {pair(paper, a.vector) for a in additions} == {sweep["vector"]}
        for key in sweep.keys() - {"vector"}:
            values = sweep[key]
            swept = list(dict.fromkeys(value(a, key) for a in additions))
            assert swept == values, f"{name}: {key}"
        assert {(c.method, c.seed, c.prefix) for c in conditions} == {
            ("actadd", 0, " " if experiment == "essay-prompting" else "")
        }
    assert paper["seed"] == 0


def test_qualitative_cases(paper):
    prompts = texts("qualitative.csv")
    result = {}
    for condition in cells(paper, "qualitative"):
        additions = [(pair(paper, a.vector), a.layer, a.coefficient) for a in condition.additions]
        for a in condition.additions:
            assert (a.position, a.phase) == ("front", "prefill")
        result.setdefault(condition.name, []).append((prompts.get(condition.group), *additions))
    assert result.pop("unsteered") == [(None,)], "on every prompt"
    # Table 9: coefficient 1 in the text, 10 in the notebook.
    random = result.pop("anger-random")
    assert random == [("I think you're", (("random", *ANGER), 20, c)) for c in (1, 10)]
    assert result == {name: [case] for name, case in QUALITATIVE.items()}
    padded = {n for n, v in paper["vectors"].items() if v.get("pad_with_bos") or "pad" in v}
    assert padded == {"q-bush-bos"}
    [bos] = [c for c in cells(paper, "qualitative") if c.name == "bush-padded-with-bos"]
    assert bos.additions[0].vector == "q-bush-bos"


def test_qualitative_cases_on_llama(paper):
    prompts = texts("qualitative.csv")
    result = {
        c.name: (
            prompts[c.group],
            *((pair(paper, a.vector), a.layer, a.coefficient) for a in c.additions),
        )
        for c in cells(paper, "qualitative-llama")
        if c.additions
    }
    assert result == {name: QUALITATIVE[name] for name in ON_LLAMA}


def test_the_small_size_has_the_papers_prompts_too():
    """But for three cases, where the small model's tokens need a longer one."""
    small = paper_config("models_offline", {"run_on": ["smollm2-135m"]})
    for case in ("weddings", "weddings-times-100", "gibberish"):
        small["experiments"]["qualitative"]["conditions"][case].pop("group")
    prompts = texts("qualitative.csv")
    other = {
        condition.name
        for condition in cells(small, "qualitative")
        if condition.group and prompts[condition.group] != QUALITATIVE[condition.name][0]
    }
    assert other == {"bush", "bush-padded-with-bos", "angry-at-you"}


def test_prompts_that_are_one_text(paper):
    expected = {
        "friend": FRIEND,
        "think": "I think you're a",
        "think-shorter": "I think you're",
        "excited": "I'm excited because I'm going to a",
    }
    assert {name: paper["datasets"][name]["texts"] for name in expected} == {
        name: [text] for name, text in expected.items()
    }


@pytest.mark.parametrize(
    ("experiment", "expected", "contrast", "strength"),
    [
        ("toxicity", POLITE, RUDE, -1),
        ("toxicity-mixed", POLITE, RUDE, -1),
        # The prefixes that PREADD steers sentiment with are not published; its strength is.
        ("negative-to-positive", None, None, 2),
        ("negative-to-positive-mixed", None, None, 2),
        ("positive-to-negative", None, None, 2),
        ("positive-to-negative-mixed", None, None, 2),
    ],
)
def test_baselines(paper, experiment, expected, contrast, strength):
    conditions = cells(paper, experiment)
    [prompting] = [c for c in conditions if c.method == "prompting"]
    [preadd] = [c for c in conditions if c.method == "preadd"]
    assert preadd.contexts.strength == strength
    if expected:
        assert (prompting.prefix, preadd.prefix) == (f"{expected} ", f"{contrast} ")
    # Both are joined to the prompt by a space, whatever they say.
    assert prompting.prefix.endswith(".\n\n ") and preadd.prefix.endswith(".\n\n ")
    sampling = OTHERS if experiment.endswith("-mixed") else OWN
    assert prompting.sampling == preadd.sampling == sampling
    unsteered = [c.sampling for c in conditions if c.method == "unsteered"]
    assert unsteered == ([OWN, OTHERS] if experiment.endswith("-mixed") else [OWN])


def test_topics(paper):
    steered = [c for c in cells(paper, "topics") if c.additions]
    result = {(c.name, pair(paper, c.additions[0].vector)[0]) for c in steered}
    topics = ("art", "finance", "music", "politics", "science", "weddings")
    assert result == {(topic, f" {topic}") for topic in topics}
    assert [c.additions[0].coefficient for c in steered] == [0.5, 1, 2] * 6


def test_prompting_against_activation_addition_on_the_essays(paper):
    result = {c.name: (c.method, c.prefix) for c in cells(paper, "essay-prompting")}
    assert result == {
        "unsteered": ("unsteered", " "),
        "prompting": ("prompting", " weddings"),
        "actadd": ("actadd", " "),
    }


def test_next_tokens_that_are_published(paper):
    rows = csv.DictReader((tiny.ROOT / "workflow/data/published.csv").open(encoding="utf-8"))
    published = {f" {row['x']}" for row in rows if row["item"] == "next_token_probability_ratio"}
    assert set(paper["experiments"]["next-token"]["watch"]) == published and len(published) == 13


def test_other_samplings_and_seeds(paper):
    result = {
        (c.name, *c.sampling.values(), c.seed)
        for c in cells(paper, "sampling")
        if c.sampling != OTHERS
    }
    settings = (tuple(OWN.values()), (0.6, 0.5, 1))
    names = ("unsteered", "actadd")
    assert result == {(n, *s, seed) for n in names for s in settings for seed in (0, 1, 2)}


def test_scorers_and_models(paper):
    words = paper["scorers"]["wedding-words"]
    assert words["kind"] == "words" and words["words"] == WEDDING_WORDS
    hub = {
        name: paper["sources"][paper["models"][name]["source"]]["repository"]
        for name in ("gpt2-xl", "opt-6-7b", "llama-3-8b", "gpt-j-6b", "llama-13b")
    }
    assert hub == {
        "gpt2-xl": "openai-community/gpt2-xl",
        "opt-6-7b": "facebook/opt-6.7b",
        "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
        "gpt-j-6b": "EleutherAI/gpt-j-6b",
        "llama-13b": "huggyllama/llama-13b",
    }
    xl = paper["models"]["gpt2-xl"]
    assert (xl["bos"], xl["pad"], xl["layers"]) == ("<|endoftext|>", " ", 48)
    siebert = paper["scorers"]["sentiment-siebert"]["source"]
    assert paper["sources"][siebert]["repository"] == "siebert/sentiment-roberta-large-english"
    assert paper["scorers"]["disfluency"]["model"] == "gpt2-xl"


def test_norms(paper):
    figure = paper["figures"]["anger-norms"]
    assert [pair(paper, name) for name in figure["vectors"]] == [ANGER, (" anger", " calm")]
    assert pair(paper, figure["relative_to"]) == ("I think you're", None)


def test_timing(paper):
    entry = paper["overheads"]["inference"]
    expected = {"rows": 32, "tokens": 64, "repeats": 100, "layer": 6, "negative": ""}
    assert {key: entry[key] for key in expected} == expected
    assert entry["positive"] == "This is a test prompt."
    # (layers, d_model, heads) of GPT-2's four sizes and OPT's three.
    sizes = {(s["layers"], s["d_model"], s["heads"]) for s in entry["shapes"].values()}
    gpt2 = {(12, 768, 12), (24, 1024, 16), (36, 1280, 20), (48, 1600, 25)}
    assert sizes == gpt2 | {(12, 768, 12), (24, 2048, 32), (32, 2560, 32)}


def test_how_texts_are_chosen_and_cut(paper):
    data = paper["datasets"]
    words = {"words": WEDDING_WORDS, "bin": 0.005}
    assert words.items() <= data["openwebtext"]["frequency"].items()
    for name in ("openwebtext", "openwebtext-sentences", "authors-essays", "yelp-reviews"):
        assert data[name]["sentences"] and data[name]["punkt"] == "punkt-english"
    # Sentences of five words or fewer are dropped; of reviews, those of fewer than six characters.
    assert data["openwebtext-sentences"]["at_least_words"] == 6
    reviews = {"per_group": 100, "order": "file", "at_least_characters": 6}
    assert reviews.items() <= data["yelp-reviews"].items()
    assert data["rtp-random"]["at_least_characters"] == 3
    for label, name in enumerate(("negative-reviews", "positive-reviews")):
        assert list(data[name]["groups"].values()) == [[label, label]]
    # Tokens with more than 20 instances.
    for section in ("figures", "tables"):
        assert paper[section]["token-shift"]["at_least"] == 21


def test_tables_that_the_paper_has_twice(paper):
    """Each with one sampling for all methods, and with the paper's own."""
    for name in ("toxicity", "negative-to-positive", "positive-to-negative"):
        for target in (name, f"{name}-mixed"):
            assert paper["tables"][target]["experiment"] == target
            assert paper["tables"][target]["metrics"] == paper["tables"][name]["metrics"]


def test_numbers_that_no_source_confirms_are_not_compared_with():
    """Of the later version's tables, those that its reviews or the PREADD paper quote."""
    file = tiny.ROOT / "workflow/data/published.csv"
    result = {
        (row["item"], row["series"].partition(",")[0], row["x"], row["y_name"], float(row["y"]))
        for row in csv.DictReader(file.open(encoding="utf-8"))
        if row["item"] in ("toxicity", "sentiment")
    }
    assert result == {
        ("toxicity", "OPT-6.7B", "unsteered", "toxicity", 0.134),
        ("toxicity", "OPT-6.7B", "unsteered", "disfluency", 8.9),
        ("toxicity", "OPT-6.7B", "preadd-d", "toxicity", 0.122),
        ("toxicity", "OPT-6.7B", "preadd-d", "disfluency", 56.6),
        ("toxicity", "OPT-6.7B", "actadd", "toxicity", 0.112),
        ("toxicity", "OPT-6.7B", "actadd", "disfluency", 13.8),
        ("toxicity", "LLaMA-3-8B", "unsteered", "toxicity", 0.114),
        ("toxicity", "LLaMA-3-8B", "actadd", "toxicity", 0.108),
        ("sentiment", "OPT-6.7B", "actadd", "success", 0.432),
        ("sentiment", "OPT-6.7B", "actadd", "disfluency", 24.2),
        ("sentiment", "OPT-6.7B", "preadd-s", "success", 0.631),
        ("sentiment", "LLaMA-3-8B", "actadd", "success", 0.669),
    }


# --- on the published data, where it lies ---


@pytest.fixture
def published(tmp_path):
    """Prepares a dataset of the paper's config from the local copies; returns its table."""
    if not COPIES.is_dir():
        pytest.skip(f"no {COPIES}: set ACTADD_DATA_DIR to a folder with the published data files")
    config = paper_config("paper", {**TERMS, "data_dir": str(COPIES)})

    def run(name: str):
        # Punkt is a download: rules cut sentences here.
        entry = {k: v for k, v in config["datasets"][name].items() if k != "punkt"}
        source = Path(config["sources"][entry["source"]]["path"])
        datasets.prepare({**entry, "name": name}, source, tmp_path / "d.parquet")
        return datasets.read(tmp_path / "d.parquet", None, name)

    return run


def test_the_authors_essays_and_prompts(published):
    essays = published("authors-essays")
    assert sorted(set(essays["group"])) == ["not-weddings", "weddings"]
    further = published("authors-further-essays")
    assert sorted(set(further["group"])) == ["encyclopedia", "recipe"]
    assert further["text"].str.contains("Macedonia").any() and not set(further["text"]) & set(
        essays["text"]
    )
    prompts = published("control-prompts")["text"].tolist()
    assert len(prompts) == 58
    assert set(texts("partial_six.csv").values()) == {FRIEND, *prompts[-5:]}


def test_the_thousand_prompts_and_the_items(published):
    prompts = published("rtp-random")["text"]
    assert len(prompts) == 1000
    # Settings are chosen on prompts of which none is among these.
    development = published("rtp-toxic")["text"]
    assert len(development) == 64 and not set(development) & set(prompts)
    items = published("lama-conceptnet")
    # Each target is joined by the one space that stands before the mask.
    assert len(items) == 146 and items["target"].str.fullmatch(r" \S+").all()
