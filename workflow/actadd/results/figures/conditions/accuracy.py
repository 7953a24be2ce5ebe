"""Next-token accuracy of each condition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.results.displays.kinds import Experiment, ExperimentOptions, Sources, figure
from actadd.results.displays.targets import lacks_targets
from actadd.results.figures.conditions.side_by_side import side_by_side

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORDS = {2: "two", 3: "three", 5: "five", 10: "ten", 20: "twenty", 100: "hundred"}


@dataclass(frozen=True, kw_only=True)
class Accuracy(ExperimentOptions):
    ranks: list[Annotated[int, Rule(minimum=1)]] = option(
        "The Ks of the panels: an answer counts if it is among the K likeliest tokens.",
        [1, 10],
        min_length=1,
        unique=True,
    )

    def metrics_of(self, config: Mapping[str, Any]) -> list[str]:
        return [f"precision_at_{k}" for k in self.ranks]

    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from lacks_targets(experiment)
        ranks = experiment.entry["ranks"]
        for k in self.ranks:
            if k not in ranks:
                yield (
                    f"ranks: {k} is not among experiments.{experiment.name}.ranks, {ranks}; add it "
                    "there, or write ranks that are"
                )


@figure(Accuracy, reads=("summary",), measures=("logprobs",))
def accuracy(options: Accuracy, sources: Sources) -> "tuple[Figure, str]":
    """Next-token accuracy at some ranks for each condition: what steering costs off target."""
    metrics = {f"precision_at_{k}": f"top-{k} accuracy" for k in options.ranks}
    options = replace(options, labels=options.labels | metrics)
    figure, caption = side_by_side(options, sources, sources.read("summary"), metrics)
    shares = [_share(k) for k in options.ranks]
    caption = (
        "The figure shows the share of cloze items whose right answer is "
        f"{', or '.join(shares)}. {caption}"
    )
    return figure, caption


def _share(k: int) -> str:
    return "the likeliest next token" if k == 1 else f"among the {WORDS.get(k, k)} likeliest"
