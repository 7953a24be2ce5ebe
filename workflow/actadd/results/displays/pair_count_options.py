"""Keys of the figure and the table of directions of more and more pairs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, ExperimentOptions
from actadd.vectors.kinds import VECTOR_KINDS


@dataclass(frozen=True, kw_only=True)
class PairCountOptions(ExperimentOptions):
    metric: str = option("scorer.metric of the effect.")
    cost: str | None = option("scorer.metric of the damage, above 0, such as a perplexity.", None)
    damage: str | None = option(
        "Experiment whose completions the cost is of, with the same conditions; experiment if not "
        "given.",
        None,
        section="experiments",
    )
    share: float = option(
        "Enough pairs are the fewest with this share of the effect of the most.",
        0.9,
        exclusive_minimum=0,
        maximum=1,
    )

    def scored(self) -> Iterator[tuple[str, str]]:
        yield "metric", self.metric
        if self.cost and not self.damage:
            yield "cost", self.cost

    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from experiment.lacks_vectors()
        yield from experiment.lacks_unsteered()

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """conditions: condition -> the name of its curve, and how many pairs its vector has."""
        conditions = config["experiments"][self.experiment]["conditions"]
        about = {}
        for name, condition in conditions.items():
            additions = condition.get("additions", [])
            if len(additions) == 1:
                entry = config["vectors"][additions[0]["vector"]]
                if (count := _count(entry, config)) is not None:
                    about[name] = {"curve": _curve(entry, additions[0]), "pairs": count}
        return {"conditions": about}


def _count(entry: Mapping[str, Any], config: Mapping[str, Any]) -> int | None:
    """How many pairs a vector is derived from; None where the config does not say it."""
    if entry["kind"] == "pair":
        return 1
    if not VECTOR_KINDS[entry["kind"]].least_pairs:
        return None
    if "count" in entry:
        count: int = entry["count"]
        return count
    lender = config["vectors"][entry["like"]] if "like" in entry else entry
    return len(lender["positive"]) if "positive" in lender else None


def _curve(entry: Mapping[str, Any], addition: Mapping[str, Any]) -> str:
    """What a vector's curve is called: its kind, and what else is not usual."""
    if entry["kind"] == "pair" or entry.get("token") == "all":
        name = "activation addition" if addition.get("position", "front") == "front" else "pair"
    else:
        name = entry["kind"].replace("_", " ")
    others = ("center", "token") if entry.get("token") != "all" else ("center",)
    unusual = [f"{key}: {str(entry[key]).lower()}" for key in others if key in entry]
    return f"{name} ({', '.join(unusual)})" if unusual else name
