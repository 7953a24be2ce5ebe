"""The config of the workflow in the current folder, and its conditions."""

from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.measure.conditions import Condition, at_depth, expand

DEFAULT = Path("config.yaml")


def configured(files: list[Path] | None = None) -> dict[str, Any]:
    """The checked config of the workflow in this folder; files: config files on top of it."""
    if not DEFAULT.is_file():
        raise UserError(
            f"{DEFAULT} does not exist here; run the command in the workflow's folder, where "
            "the Snakefile is"
        )
    return checked(load([DEFAULT, *(files or ())]), Path.cwd())


# Settings before the choice is made, so that an experiment with choices counts its conditions once.
UNCHOSEN = {"layer": 0, "source_layer": 0, "coefficient": 0}


def conditions(
    config: dict[str, Any],
    model: str,
    experiment: str,
    chosen: dict[str, dict[str, Any]] | None = None,
) -> list[Condition]:
    """An experiment's conditions on a model, each a cell. chosen: the settings of its choices."""
    entry = config["experiments"][experiment]
    declared = at_depth(entry["conditions"], config["models"][model]["layers"])
    settings = chosen or dict.fromkeys(entry.get("choices", {}), UNCHOSEN)
    return expand(declared, settings, entry.get("sampling"), config["seed"])


def counts(config: dict[str, Any]) -> str:
    """One line with the number of a valid config's entries and cells."""
    runs = [(m, name) for name, entry in config["experiments"].items() for m in entry["models"]]
    cells = sum(len(conditions(config, model, name)) for model, name in runs)
    models = len({model for model, _ in runs})
    return (
        f"ok: {len(config['experiments'])} experiments on {models} model{'s' * (models != 1)} "
        f"with {cells} cells, {len(config['scorers'])} scorers, {len(config['figures'])} figures, "
        f"{len(config['tables'])} tables"
    )
