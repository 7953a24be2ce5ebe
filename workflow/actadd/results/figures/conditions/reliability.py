"""Reliability cards of an experiment, prompt by prompt."""

from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.results.displays.kinds import Sources, figure
from actadd.results.reliability.options import OTHERS, ReliabilityOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from actadd.results.reliability.card import Card


@figure(
    ReliabilityOptions,
    reads=("tables", "scores", "norms", "readings"),
    measures=("completions",),
    others=OTHERS,
)
def reliability(options: ReliabilityOptions, sources: Sources) -> "tuple[Figure, str]":
    """Each prompt's paired difference from unsteered, sorted, with the control's beside.

    A panel for each vector, setting and model. Raises UserError if every cell failed.
    """
    from actadd.results.drawing import legend, look, panels, wrapped
    from actadd.results.reliability.card import Estimate
    from actadd.results.reliability.gather import cards
    from actadd.results.reliability.rows import caption

    every = cards(options, sources)
    gathered = [card for card in every if isinstance(card.effect, Estimate)]
    if not gathered:
        raise UserError(
            f"{sources.key}.experiment: no setting of {options.experiment} has a difference from "
            f"unsteered in {options.metric}; run its failed cells again, or name another experiment"
        )
    figure, axes = panels(len(gathered), 2.2, sharey=True)
    room = figure.get_figwidth() / min(3, len(gathered))
    several = len({card.model for card in gathered}) > 1
    for axis, card in zip(axes, gathered, strict=True):
        title = f"{options.label(card.condition)}: {card.setting}".replace(
            card.vector, options.label(card.vector)
        )
        if several:
            title = f"{title}, {options.label(card.model)}"
        axis.set_title(wrapped(title, 0.85 * room))
        _draw(axis, card, look(sources.facts.looks, card.condition))
        axis.set_xlabel("prompts, in order of their change")
    axes[0].set_ylabel(f"change of {options.label(options.metric)}")
    legend(figure, axes)
    text = (
        "Each mark is a prompt's difference, steered minus unsteered, in ascending order; crosses "
        "moved against the aim. The line is the mean with its 95 % interval. Grey points are the "
        "best control at the same setting, with its prompts in their own ascending order. "
        f"{caption(every, options, sources)}"
    )
    return figure, text


def _draw(axis: "Axes", card: "Card", style: "dict[str, Any]") -> None:
    import numpy as np

    from actadd.results.drawing import CONTROL, LEVEL, SMALL
    from actadd.results.intervals import interval_text
    from actadd.results.reliability.card import Estimate, Unmeasured, Versus
    from actadd.results.reliability.claims import percent

    assert isinstance(card.effect, Estimate)
    steered, mark = style["color"], style["marker"]
    values = np.sort(card.changes.to_numpy(float))
    shares = (np.arange(len(values)) + 0.5) / len(values)
    against = card.aim * values < 0
    axis.axhline(0, **LEVEL)
    if isinstance(card.control, Versus) and card.control.changes is not None:
        other = np.sort(card.control.changes.to_numpy(float))
        at = (np.arange(len(other)) + 0.5) / len(other)
        axis.plot(at, other, "-", color=CONTROL, linewidth=0.8, marker=".", label="best control")
    each = {"linestyle": "none", "markersize": 3.5, "color": steered}
    axis.plot(
        *(shares[~against], values[~against]),
        **{**each, "marker": mark, "label": "moved with the aim, or not"},
    )
    axis.plot(
        *(shares[against], values[against]),
        **{**each, "marker": "x", "markeredgewidth": 1.2, "label": "moved against the aim"},
    )
    axis.axhline(card.effect.value, color=steered, linewidth=0.9, label="mean")
    if card.effect.bounded:
        axis.axhspan(card.effect.low, card.effect.high, color=steered, alpha=0.15, linewidth=0)
    axis.set(xlim=(0, 1), xticks=[])
    if not isinstance(card.wrong_way, Unmeasured):
        low = card.aim > 0
        axis.text(
            *(0.97 if low else 0.03, 0.04 if low else 0.96),
            f"{interval_text(card.wrong_way.share, percent)}\nagainst the aim",
            transform=axis.transAxes,
            ha="right" if low else "left",
            va="bottom" if low else "top",
            fontsize=SMALL,
        )
