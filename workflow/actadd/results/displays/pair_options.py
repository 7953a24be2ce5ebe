"""Keys of the figure and the table of contrast pairs."""

from collections.abc import Iterator
from dataclasses import dataclass

from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, MetricsOptions, Need

READS: tuple[Need, ...] = ("summary", "norms", "tokens", "cosines", "pair_check")


@dataclass(frozen=True, kw_only=True)
class PairsOptions(MetricsOptions):
    """metrics: the effect, then others to show; the name of a scorer alone stands for its metric
    with the name of each condition.
    """

    pair_check: str | None = option(
        "Pair check with the predictors, known before sampling.", None, section="pair_checks"
    )
    lens: str | None = option(
        "In place of a pair check, a lens that reads the vectors.", None, section="lenses"
    )
    relative_to: str | None = option(
        "Mean-difference vector of the lens that pairs are compared with.", None, section="vectors"
    )

    def scored(self) -> Iterator[tuple[str, str]]:
        yield from (each for each in super().scored() if "." in each[1])

    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from experiment.lacks_vectors()
        if (self.pair_check is None) == (self.lens is None):
            yield "pair_check: write either pair_check or lens"
        for metric in self.metrics:
            scorers = experiment.entry.get("scorers", [])
            if "." not in metric and metric not in scorers:
                yield f"metrics: {metric} is no scorer of {experiment.name}; write one of {scorers}"
