"""Keys of the figure and the table of one property on several models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, ExperimentOptions
from actadd.results.reliability.options import WAYS


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
            elif name and (swept := experiment.swept(name)):
                yield (
                    f"{key}: {name!r} has several values of {swept[0]}, and a row is one setting; "
                    "name another condition, such as one with a choice"
                )

    def scored(self) -> Iterator[tuple[str, str]]:
        yield "metric", self.metric
        yield "damage", self.damage

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """layers: model -> its number of blocks. aim: 1 if the metric should rise, else -1."""
        entry = config["experiments"][self.experiment]
        [addition] = entry["conditions"][self.steered]["additions"]
        rule = entry.get("choices", {}).get(addition.get("choice"), {})
        aim = WAYS[rule.get("direction", "max")] * (-1 if addition.get("factor", 1) < 0 else 1)
        return {
            "layers": {name: config["models"][name]["layers"] for name in entry["models"]},
            "aim": aim,
        }
