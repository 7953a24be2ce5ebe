"""Section `dose`: what a dose is a share of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from actadd.base.kinds import option
from actadd.config.sections import datasets
from actadd.config.sections.rules import Problem
from actadd.measure.additions import DOSE


@dataclass(frozen=True, kw_only=True)
class Dose:
    dataset: str = option(
        "Texts over whose tokens the residual stream's median norm is taken, of each model and "
        "layer.",
        section="datasets",
    )
    split: str = option("Only the rows of this split.", "all")
    limit: int | None = option("Only the first so many rows.", None, minimum=1)


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    """A dose needs a norm to relate to."""
    if DOSE in config:
        yield from datasets.split(config, DOSE, config[DOSE]["dataset"], config[DOSE]["split"])
        return
    for name, entry in config["experiments"].items():
        for condition, details in entry["conditions"].items():
            for index, addition in enumerate(details.get("additions", [])):
                if DOSE in addition:
                    yield (
                        f"experiments.{name}.conditions.{condition}.additions.{index}.{DOSE}",
                        "a dose is a share of the residual stream's norm, and no texts say what "
                        "that is; write beside models a section dose: { dataset: NAME }, or write "
                        "a coefficient",
                    )
