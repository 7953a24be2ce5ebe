"""Keys of the figure and the table of one property on several models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, ExperimentOptions


@dataclass(frozen=True, kw_only=True)
class ModelOptions(ExperimentOptions):
    metric: str = option("scorer.metric of the property.")
    damage: str = option("scorer.metric of disfluency, as a ratio to unsteered.")
    steered: str = option("Condition that steers.")
    control: str = option("Condition that adds a control in place of its vector.")
    prompting: str | None = option("Condition that prompts for the property.", None)

    def check(self, experiment: Experiment) -> Iterator[str]:
        conditions = experiment.conditions
        yield from experiment.lacks_unsteered()
        for key in ("steered", "control", "prompting"):
            name = getattr(self, key)
            if name is not None and name not in conditions:
                yield f"{key}: {experiment.name} has no condition {name!r}; write another"
            elif name and key != "prompting" and len(conditions[name].get("additions", [])) != 1:
                yield f"{key}: {name!r} needs one addition; name another condition"

    def scored(self) -> Iterator[tuple[str, str]]:
        yield "metric", self.metric
        yield "damage", self.damage

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """layers: model -> its number of blocks."""
        models = config["experiments"][self.experiment]["models"]
        return {"layers": {name: config["models"][name]["layers"] for name in models}}
