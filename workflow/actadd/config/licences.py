"""Models whose licence somebody has to accept before they are fetched, made ready or run."""

from collections.abc import Iterable
from typing import Any


def unaccepted(config: dict[str, Any], models: Iterable[str]) -> list[str]:
    """The models whose licence terms nobody has accepted, in the order of the config."""
    wanted = set(models) - set(config["licences_accepted"])
    return [
        name
        for name, entry in config["models"].items()
        if name in wanted and entry.get("licence_terms")
    ]


def accepting(config: dict[str, Any], models: Iterable[str]) -> str:
    """The names in `licences_accepted` with those of some models, as a config holds them."""
    return ",".join(dict.fromkeys([*config["licences_accepted"], *models]))


def terms(config: dict[str, Any], models: Iterable[str]) -> str:
    """Where to read the terms of some models, and the one line that accepts them all.

    The line keeps the models that are accepted already.
    """
    models = list(models)
    licences = (
        f"{name} ({config['models'][name]['licence']}, {config['models'][name]['licence_terms']})"
        for name in models
    )
    accepted = accepting(config, models)
    return (
        f"{', '.join(licences)}.\n"
        "Read the terms; if you accept them, write as one line at the end of the last config file\n"
        f"  licences_accepted: [{accepted}]\n"
        f"or add to the command snakemake: --config 'licences_accepted=[{accepted}]'"
    )
