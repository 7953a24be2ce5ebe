"""Sections `figures` and `tables`: what is made from the experiments' tables."""

from collections.abc import Iterator
from typing import Annotated, Any

from actadd.base.kinds import build
from actadd.config.kinds import Family
from actadd.config.sections.experiments import metric_problems
from actadd.config.sections.rules import Problem
from actadd.measure.measures import MEASURES
from actadd.results.displays import needs
from actadd.results.displays.kinds import FIGURES, TABLES

Figure = Annotated[Any, Family("kind", FIGURES, "What is drawn.")]
Table = Annotated[Any, Family("kind", TABLES, "What is tabulated.")]


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for section in ("figures", "tables"):
        for name, entry in config[section].items():
            key = f"{section}.{name}"
            if "paper" in entry and "study" in entry:
                yield f"{key}.study", "an item of the paper is not a study's; keep one of the two"
            for problem in needs.problems(section, key, entry, config):
                place, _, sentence = problem.partition(": ")
                yield place, sentence
            experiment = config["experiments"].get(entry.get("experiment"), {})
            if experiment and MEASURES[experiment["measure"]].draws:
                used = experiment.get("scorers", [])
                options: Any = build(needs.kind_of(section, entry).options, entry)
                for option, metric in options.scored():
                    yield from metric_problems(config, f"{key}.{option}", metric, used)
