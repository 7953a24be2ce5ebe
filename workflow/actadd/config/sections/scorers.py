"""Section `scorers`: measures of a completion."""

from collections.abc import Iterator
from typing import Annotated, Any

from actadd.config.kinds import Family
from actadd.config.sections import datasets
from actadd.config.sections.rules import Problem
from actadd.scorers.kinds import SCORERS, metrics

Scorer = Annotated[Any, Family("kind", SCORERS, "What measures the completions.")]


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in config["scorers"].items():
        key = f"scorers.{name}"
        for use in ("fit", "validate"):
            if use in entry:
                texts = entry[use]
                yield from datasets.split(config, f"{key}.{use}", texts["dataset"], texts["split"])
        if "validate" in entry:
            check = entry["validate"]
            if check["metric"] not in metrics(entry):
                yield (
                    f"{key}.validate.metric",
                    f"{check['metric']!r} is not one of its metrics; write one of "
                    f"{', '.join(metrics(entry))}",
                )
            fit = entry.get("fit", {"dataset": None, "split": ""})
            if check["dataset"] == fit["dataset"] and datasets.overlap(
                check["split"], fit["split"]
            ):
                yield (
                    f"{key}.validate.split",
                    f"{check['split']!r} is what the scorer is fitted on; name a split that was "
                    "held out",
                )
