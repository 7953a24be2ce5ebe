"""The config of the workflow in the current folder, and its conditions."""

from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.config.files import Loaded, load
from actadd.config.lists import spelled_out
from actadd.config.methods import source_of
from actadd.measure.conditions import Condition, at_depth, expand

DEFAULT = Path("config.yaml")


def configured(files: list[Path] | None = None) -> dict[str, Any]:
    """The checked config of the workflow in this folder; files: config files on top of it."""
    return checked(written(files), Path.cwd())


def written(files: list[Path] | None = None) -> Loaded:
    """The config of the workflow in this folder as its files write it; see `configured`."""
    if not DEFAULT.is_file():
        raise UserError(
            f"{DEFAULT} does not exist here; run the command in the workflow's folder, where "
            "the Snakefile is"
        )
    return load([DEFAULT, *(files or ())])


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


def counts(files: list[Path] | None = None) -> str:
    """The numbers of a valid config's entries and cells: of its own, then of what it builds on."""
    config_files = written(files)
    config = checked(config_files, Path.cwd())
    lines = spelled_out(config_files, Path.cwd(), config_files.lines)[1]

    def origin(section: str, name: str) -> str:
        """The file that an entry is from; "" for those that were named, and the command line."""
        file, _ = lines.get(source_of(f"{section}.{name}", config), ("", 0))
        return "" if file in config_files.named else file

    def described(from_named: bool) -> str:
        entries = {
            section: [name for name in config[section] if (not origin(section, name)) == from_named]
            for section in ("experiments", "scorers", "figures", "tables")
        }
        experiments = entries.pop("experiments")
        runs = [(m, name) for name in experiments for m in config["experiments"][name]["models"]]
        cells = sum(len(conditions(config, model, name)) for model, name in runs)
        models = len({model for model, _ in runs})
        others = (f"{len(names)} {section}" for section, names in entries.items())
        return (
            f"{len(experiments)} experiment{'s' * (len(experiments) != 1)} on {models} "
            f"model{'s' * (models != 1)} with {cells} cells, {', '.join(others)}"
        )

    bases = dict.fromkeys(
        filter(None, (origin("experiments", name) for name in config["experiments"]))
    )
    text = f"ok: {described(from_named=True)}"
    if not bases:
        return text
    folders = ", ".join(dict.fromkeys(str(Path(base).parent) for base in bases))
    below = f"and from {len(bases)} files in {folders}, which it builds on"
    return f"{text}\n{below}: {described(from_named=False)}"
