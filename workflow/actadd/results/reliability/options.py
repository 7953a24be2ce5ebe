"""Keys of the table and the figure of reliability cards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, ExperimentOptions

Way = Literal["max", "min"]
# Option that names a further experiment -> what that has to measure.
OTHERS = {"sweep": "completions", "divergence": "divergence", "knowledge": "logprobs"}
WAYS = {"max": 1, "min": -1}
# Keys of the experiment that a card quotes.
EXPERIMENT = ("models", "prompts", "samples", "scorers")


@dataclass(frozen=True, kw_only=True)
class ReliabilityOptions(ExperimentOptions):
    metric: str = option("scorer.metric of the effect.")
    direction: Way = option(
        "Which way the metric should move at a positive strength; the opposite at a negative one.",
        "max",
    )
    aims: dict[str, Way] = option(
        "Condition -> max or min, where its choice and the sign of its strength do not say which.",
        {},
    )
    cost: str | None = option("scorer.metric of disfluency, as a ratio to unsteered.", None)
    agreement: list[str] = option("scorer.metric of other judges of the same effect.", [])
    sweep: str | None = option(
        "Experiment with several strengths of the same setting, whose slope is taken; the "
        "experiment itself if not given.",
        None,
        section="experiments",
    )
    divergence: str | None = option(
        "Experiment that measures divergence at the same settings.", None, section="experiments"
    )
    method_comparison: str | None = option(
        "Comparison of methods from which the effect at prompting's damage is read.",
        None,
        section="method_comparisons",
    )
    knowledge: str | None = option(
        "Experiment that measures logprobs of texts with targets at the same settings.",
        None,
        section="experiments",
    )

    def check(self, experiment: Experiment) -> Iterator[str]:
        conditions = experiment.conditions
        yield from experiment.lacks_vectors()
        yield from experiment.lacks_unsteered()
        for name in self.aims:
            steered = [each for each in conditions if any(experiment.additions(each))]
            if name not in steered:
                yield f"aims: {name!r} adds no vector; write one of {', '.join(steered)}"

    def scored(self) -> Iterator[tuple[str, str]]:
        yield "metric", self.metric
        if self.cost:
            yield "cost", self.cost
        yield from (("agreement", metric) for metric in self.agreement)

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """aims: condition -> 1 or -1. roots: vector -> that whose prompts it is derived from.

        chosen: condition -> how its setting was chosen. vectors: their entries. sources: model ->
        where it is from. compared: whether a comparison of methods makes the experiment. seed, and
        `EXPERIMENT`.
        """
        entry = config["experiments"][self.experiment]
        conditions = entry["conditions"]
        vectors = {
            each["vector"] for name in conditions for each in conditions[name].get("additions", [])
        }
        return {
            "aims": {name: aim for name in conditions if (aim := self._aim(name, entry))},
            "chosen": {name: text for name in conditions if (text := _chosen(name, entry))},
            "roots": {name: _root(name, config["vectors"]) for name in sorted(vectors)},
            "vectors": {name: config["vectors"][name] for name in sorted(vectors)},
            "sources": {name: config["models"][name]["source"] for name in entry["models"]},
            "compared": self.experiment in config["method_comparisons"],
            "seed": config["seed"],
            **{name: entry.get(name) for name in EXPERIMENT},
        }

    def _aim(self, condition: str, entry: Mapping[str, Any]) -> int:
        """Which way a condition should move the metric, if its choice or the config says it."""
        if condition in self.aims:
            return WAYS[self.aims[condition]]
        for addition in entry["conditions"][condition].get("additions", []):
            rule = entry.get("choices", {}).get(addition.get("choice"))
            if rule and rule["metric"] == self.metric:
                return WAYS[rule["direction"]] * (-1 if addition.get("factor", 1) < 0 else 1)
        return 0


def _root(vector: str, vectors: Mapping[str, Any]) -> str:
    """The vector from whose prompts a vector or a control is derived, along `like`."""
    while like := vectors[vector].get("like"):
        vector = like
    return vector


def _chosen(condition: str, entry: Mapping[str, Any]) -> str:
    """How the setting of a condition was chosen, in words; "" if it is written in the config."""
    for addition in entry["conditions"][condition].get("additions", []):
        if rule := entry.get("choices", {}).get(addition.get("choice")):
            cap = rule.get("cap")
            limit = f" with {cap['metric']} up to {cap['factor']:g} times unsteered" if cap else ""
            return f"chosen on {rule['experiment']}: {rule['direction']} {rule['metric']}{limit}"
    return ""
