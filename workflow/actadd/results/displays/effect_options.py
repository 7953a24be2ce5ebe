"""Keys of the figure and the table of effects beside a control."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, MetricsOptions

# Metrics of log-probabilities that are known text by text, see `prompt_values`.
OF_TEXTS = ("precision_at_1", "precision_at_10", "target_logprob", "rank", "logprob")


@dataclass(frozen=True, kw_only=True)
class EffectsOptions(MetricsOptions):
    control: str = option(
        "Condition that adds a control in place of the vector; each other condition that adds "
        "something is also compared with it."
    )

    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from experiment.lacks_unsteered()
        if experiment.entry.get("measure") == "logprobs":
            for metric in self.metrics:
                if metric not in OF_TEXTS:
                    yield (
                        f"metrics: {experiment.name} measures log-probabilities, which have no "
                        f"{metric!r}; write some of {', '.join(OF_TEXTS)}"
                    )
        conditions = experiment.conditions
        if self.control not in conditions:
            named = ", ".join(name for name, each in conditions.items() if each.get("additions"))
            yield f"control: {experiment.name} has no condition {self.control!r}; write {named}"
        elif not conditions[self.control].get("additions"):
            yield f"control: {self.control!r} adds no vector; name another condition"
        elif swept := experiment.swept(self.control):
            yield (
                f"control: {self.control!r} has several values of {swept[0]}, and conditions are "
                "compared with one setting; name another condition, such as one with a choice"
            )

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """conditions: their names, in the config's order."""
        return {"conditions": list(config["experiments"][self.experiment]["conditions"])}
