"""Configs that tests change."""

import copy

import yaml

from builders import tiny

# config.yaml without what it builds on. Copy it; never change it.
DEFAULT = yaml.safe_load((tiny.ROOT / "config.yaml").read_text(encoding="utf-8"))
del DEFAULT["builds_on"]
DELETE = object()


def changed(path: str, value, config: dict = DEFAULT) -> dict:
    """The default config with one value set, or its key removed."""
    config = copy.deepcopy(config)
    *parents, last = path.split(".")
    section = config
    for key in parents:
        section = section[int(key)] if isinstance(section, list) else section[key]
    last = int(last) if isinstance(section, list) else last
    if value is DELETE:
        del section[last]
    else:
        section[last] = value
    return config


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


def contaminated(**experiment) -> dict:
    """The tiny config with a sweep of which a prompt begins a text that its scorer is fitted on."""
    config = copy.deepcopy(tiny.CONFIG)
    config["datasets"]["labelled"] = {
        "title": "labelled",
        "texts": ["Nothing in common here", "The weather was cold and wet."],
        "splits": {"held-out": 1, "fit": 1},
        "order": "file",
    }
    config["experiments"]["sweep"] |= {"scorers": ["distinct", "mood"], **experiment}
    config["experiments"]["sweep"]["prompts"] = {"dataset": "prompts"}
    del config["experiments"]["chosen"]
    return config


DRAWS = 3


def drawn_config(**sections) -> dict:
    config = copy.deepcopy(tiny.CONFIG)
    config["vectors"]["random"]["draws"] = DRAWS
    return {**config, **sections}


VECTOR_FILE = {"kind": "file", "file": "mine.gguf"}


def with_vector(vector=VECTOR_FILE, **addition) -> dict:
    """The tiny config with a condition that adds a given vector."""
    config = copy.deepcopy(tiny.CONFIG)
    config["vectors"]["mine"] = vector
    added = {"vector": "mine", "layer": 2, "coefficient": 1, "position": "middle", **addition}
    added = {key: value for key, value in added.items() if value is not None}
    config["experiments"]["ratio"]["conditions"]["given"] = {
        "method": "actadd",
        "additions": [added],
    }
    return config
