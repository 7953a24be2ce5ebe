"""The sentence at the end of a card: what its numbers allow to be said, by stated rules.

1. Without an effect, or with one that has no interval, nothing is claimed.
2. An effect is claimed if its interval excludes 0, and the wrong way is called that. Otherwise none
   is shown, and the smallest that could have been seen is said.
3. What it cost in perplexity is said with it, or that nobody measured it; so are the prompts that
   moved against the aim.
4. It is better than the best control, or than prompting at equal damage, if the interval of the
   difference lies above 0; worse if below; else not better.
5. Of several settings that were tried on these prompts, how many is said.
"""

import numpy as np

from actadd.results.intervals import interval_text
from actadd.results.markup import decimals, fixed
from actadd.results.reliability.card import Card, Estimate, Unmeasured, Versus


def number(value: float, signed: bool = True) -> str:
    """A number with two or three digits that count."""
    if np.isnan(value):
        return "unknown"
    text = fixed(value, min(decimals([value], 2), 4))
    return f"+{text}" if signed and value > 0 and text.strip("0.") else text


def interval(estimate: Estimate, signed: bool = True) -> str:
    """ "+0.21 [+0.15, +0.27]", without bounds where there are none."""
    places = min(decimals(estimate, 2), 4)

    def text(value: float) -> str:
        plain = fixed(value, places)
        return f"+{plain}" if signed and float(plain) > 0 else plain

    return interval_text(estimate, text) or "unknown"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def claim(card: Card) -> str:
    """One sentence, see the rules above."""
    if isinstance(card.effect, Unmeasured):
        return f"Nothing may be claimed: {card.effect.why}."
    if not card.effect.bounded:
        return (
            f"Nothing may be claimed: n = {card.prompts} "
            f"{'prompt' if card.prompts == 1 else 'prompts'} without a difference among them give "
            "no interval."
        )
    parts = [_effect(card, card.effect) + _cost(card)]
    if not isinstance(card.wrong_way, Unmeasured):
        # Of an effect the wrong way, they are those that move as the mean does.
        way = {0: "against the aim", card.aim: "the other way"}.get(card.effect.side(), "that way")
        parts.append(f"{percent(card.wrong_way.share.value)} of prompts move {way}")
    parts += [_versus(card.control, "control"), _versus(card.prompting, "prompting")]
    if card.decodable_not_steerable:
        parts.append("decodable, but not steerable")
    if card.settings_tried > 1:
        parts.append(f"one of {card.settings_tried} settings tried on these prompts")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _effect(card: Card, effect: Estimate) -> str:
    side = effect.side()
    if side == 0:
        missed = (
            ""
            if isinstance(card.detectable, Unmeasured)
            else f" (less than {number(card.detectable, signed=False)} could not have been seen)"
        )
        return f"no effect on {card.label} is shown: {interval(effect)}{missed}"
    wrong = "" if side == card.aim else " the wrong way,"
    return f"moves {card.label}{wrong} by {interval(effect)}"


def _cost(card: Card) -> str:
    if isinstance(card.disfluency, Unmeasured):
        return ", at a disfluency that was not measured"
    return f" at {number(card.disfluency.value, signed=False)} times the perplexity"


def _versus(versus: Versus | Unmeasured, what: str) -> str:
    if isinstance(versus, Unmeasured):
        at = " at equal damage" if what == "prompting" else ""
        return f"not compared with {'a control' if what == 'control' else what}{at}"
    name = {"control": f"the best control ({versus.name})", "prompting": versus.name}[what]
    word = {1: "better than", -1: "worse than", 0: "not better than"}[versus.difference.side()]
    return f"{word} {name}" + (f" at {versus.at}" if what == "prompting" else "")
