"""Texts of two kinds, and an experiment whose gate tells them by a threshold of its own."""

import copy

from builders import tiny

# The tiny model has no opinion: groups by the length of texts, which its stream's mean tells.
LONG = "The wedding was held in the old church and the guests were happy and {} danced"
SHORT = "{} went"
NAMES = ["Ann", "Ben", "Tom", "Mia", "Sam", "Lily", "the boy", "the girl", "my aunt", "a man"]


def texts_csv() -> str:
    rows = ["text,group,split"]
    for number, name in enumerate(NAMES):
        split = "development" if number % 2 else "held-out"
        rows += [f"{LONG.format(name)},long,{split}", f"{SHORT.format(name)},short,{split}"]
    return "\n".join(rows) + "\n"


def gated_config(**rule) -> dict:
    config = copy.deepcopy(tiny.CONFIG)
    config["datasets"]["kinds"] = {"title": "texts of two kinds", "file": "kinds.csv"}
    threshold = {"dataset": "kinds", "positive": ["short"], "at_most_false_positive": 0.2, **rule}
    gate = {"vector": "calm", "layer": 1, "threshold": threshold}
    added = {"vector": "love-hate", "layer": 1, "coefficient": 3, "gate": gate}
    config["experiments"] = {
        "gated": {
            "title": "gated",
            "measure": "completions",
            "models": ["tiny"],
            "prompts": {"dataset": "kinds", "split": "held-out"},
            "samples": 1,
            "max_new_tokens": 3,
            "conditions": {
                "unsteered": {"method": "unsteered"},
                "gated": {"method": "actadd", "additions": [added]},
            },
        }
    }
    config["figures"] = {}
    return config
