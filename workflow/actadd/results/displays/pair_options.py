"""Keys of the figure and the table of contrast pairs."""

from collections.abc import Iterator
from dataclasses import dataclass

from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, LensOptions, MetricsOptions


@dataclass(frozen=True, kw_only=True)
class PairsOptions(MetricsOptions, LensOptions):
    """metrics: the effect, then others to show."""

    relative_to: str | None = option(
        "Mean-difference vector that pairs are compared with.", None, section="vectors"
    )

    def check(self, experiment: Experiment) -> Iterator[str]:
        if not any(experiment.additions()):
            yield f"experiment: no condition of {experiment.name} adds a vector; add some"
