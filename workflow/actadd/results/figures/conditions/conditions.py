"""Each condition's mean with its interval."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.results.displays.kinds import MetricsOptions, Sources, figure
from actadd.results.figures.conditions.side_by_side import side_by_side

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Conditions(MetricsOptions):
    pass


@figure(Conditions, reads=("summary",), measures=("completions",))
def conditions(options: Conditions, sources: Sources) -> "tuple[Figure, str]":
    """Each condition's mean with its interval, one panel for each metric."""
    metrics = {metric: options.label(metric) for metric in options.metrics}
    return side_by_side(options, sources, sources.read("summary"), metrics)
