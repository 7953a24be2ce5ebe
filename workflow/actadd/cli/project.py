"""The workflow's folder, as the commands that look after it see it."""

from pathlib import Path
from typing import Any

import yaml

from actadd.conditions import Condition, at_depth, expand
from actadd.config import checked
from actadd.errors import UserError

# As the Snakefile reads them, each on top of the one before.
ALWAYS = (Path("config/paper_small.yaml"), Path("config.yaml"))


def configured(given: list[Path] | None = None) -> dict[str, Any]:
    """The checked config of the workflow in this folder, with the config files given on top."""
    if not ALWAYS[-1].is_file():
        raise UserError(
            f"{ALWAYS[-1]} does not exist here; run the command in the workflow's folder, where "
            "the Snakefile is"
        )
    config: dict[str, Any] = {}
    for path in (*(path for path in ALWAYS if path.is_file()), *(given or ())):
        merge(config, _read(path))
    return checked(config, Path.cwd())


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a config file") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {str(error)[:300]}") from error
    if not isinstance(found, dict | None):
        raise UserError(f"{path}: a config file has keys at the top, not a {type(found).__name__}")
    return found or {}


def merge(below: dict[str, Any], above: dict[str, Any]) -> None:
    """As Snakemake does: mappings key by key, everything else replaced."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            merge(below[key], value)
        else:
            below[key] = value


# A setting that is not chosen yet: it counts as one condition.
UNCHOSEN = {"layer": 0, "source_layer": 0, "coefficient": 0}


def conditions(
    config: dict[str, Any], model: str, experiment: str, chosen: dict[str, dict] | None = None
) -> list[Condition]:
    """An experiment's conditions on a model; each is a cell. chosen: what its choices came to."""
    entry = config["experiments"][experiment]
    placed = at_depth(entry["conditions"], config["models"][model]["layers"])
    settings = chosen or dict.fromkeys(entry.get("choices", {}), UNCHOSEN)
    return expand(placed, settings, entry.get("sampling"), config["seed"])


def counts(config: dict[str, Any]) -> str:
    """What a valid config holds, in one line."""
    runs = [(m, name) for name, entry in config["experiments"].items() for m in entry["models"]]
    cells = sum(len(conditions(config, model, name)) for model, name in runs)
    models = len({model for model, _ in runs})
    return (
        f"ok: {len(config['experiments'])} experiments on {models} model{'s' * (models != 1)} "
        f"with {cells} cells, {len(config['scorers'])} scorers, {len(config['figures'])} figures, "
        f"{len(config['tables'])} tables"
    )
