"""Keys of the figure and the tables of concepts in two wordings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from actadd.base.kinds import NAME, Rule, option
from actadd.results.displays.kinds import Experiment, ExperimentOptions

Name = Annotated[str, NAME]
# Option that names a further experiment -> what that has to measure.
OTHERS = {"sweep": "completions", "controls": "completions"}


@dataclass(frozen=True, kw_only=True)
class Worded:
    condition: str = option(
        "Condition that adds the concept's vector in this wording; of `controls`, its control."
    )
    metric: str = option("scorer.metric of the concept.")


@dataclass(frozen=True, kw_only=True)
class ConceptOptions(ExperimentOptions):
    wordings: dict[Name, Annotated[dict[Name, Worded], Rule(min_length=2)]] = option(
        "Both wordings of a contrast pair -> concept -> the conditions with its vector.",
        min_length=2,
        max_length=2,
    )
    sweep: str = option(
        "Experiment on which each condition's layer was chosen, under the same name.",
        section="experiments",
    )
    controls: str = option(
        "Experiment with the same prompts, samples and sampling, whose conditions of the same "
        "names add controls.",
        section="experiments",
    )
    damage: str = option("scorer.metric of disfluency, as a ratio to unsteered.")

    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from experiment.lacks_unsteered()
        first, second = self.wordings.values()
        if first.keys() != second.keys():
            [name, *_] = sorted(first.keys() ^ second.keys())
            yield f"wordings: only one of the two has {name!r}; write the same concepts in both"
        for wording, concepts in self.wordings.items():
            for concept, worded in concepts.items():
                if not experiment.conditions.get(worded.condition, {}).get("additions"):
                    yield (
                        f"wordings.{wording}.{concept}.condition: no condition "
                        f"{worded.condition!r} of {experiment.name} adds a vector; write the name "
                        "of one that does"
                    )
                elif swept := experiment.swept(worded.condition):
                    yield (
                        f"wordings.{wording}.{concept}.condition: {worded.condition!r} has several "
                        f"values of {swept[0]}, and a concept has one setting; name a condition "
                        "with a choice"
                    )

    def scored(self) -> Iterator[tuple[str, str]]:
        yield "damage", self.damage
        for wording, concepts in self.wordings.items():
            for concept, worded in concepts.items():
                yield f"wordings.{wording}.{concept}.metric", worded.metric
