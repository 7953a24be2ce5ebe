"""What figure and table of doses say in words."""

import math

from actadd.results.displays.kinds import Sources
from actadd.results.doses.options import Doses, Model
from actadd.results.intervals import interval_text


def interval(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """ "0.52 [0.41, 0.66]"; what is not reached is a dash."""
    return interval_text(
        (value, low, high), lambda each: "–" if math.isinf(each) else f"{each:.3g}"
    )


def caption(options: Doses, sources: Sources, models: list[Model]) -> str:
    """What is shown, on what, by which rules, with which intervals."""
    counts = " and ".join(
        f"{options.label(model.name)} ({len(model.curves.layers)} layers, n = "
        f"{model.curves.effect.shape[-1]} "
        f"{sources.facts.unit})"
        for model in models
    )
    rule = (
        f"{options.factor:g} times its unsteered mean" if options.factor else f"{options.limit:g}"
    )
    effect, damage = options.label(options.effect), options.label(options.damage)
    notes = " ".join(sources.facts.notes)
    if lost := sum(int(model.curves.failed.sum()) for model in models):
        notes = f"Settings that failed ({lost}) count as collapsed. {notes}"
    return (
        f"A dose is a share of the residual stream's median norm at the layer. The effect is "
        f"the paired difference in {effect} from unsteered; half-maximal is the first dose at "
        "which its mean is half of its largest. Collapse is the first dose at which the mean "
        f"{damage} is {rule}. Between doses, from 0 on, both are read off straight lines; a dash "
        "is beyond the largest. No setting is chosen on a development split: the largest effect is "
        f"the largest on these {sources.facts.unit}. The models are {counts}. The data "
        f"are {sources.facts.data}. Brackets and bars are 95 % bootstrap intervals over "
        f"{sources.facts.unit}. {notes}"
    ).strip()
