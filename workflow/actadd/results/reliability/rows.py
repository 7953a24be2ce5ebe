"""Cards as rows of a table."""

import pandas as pd

from actadd.results.displays.captions import few, rule_text
from actadd.results.displays.kinds import Sources
from actadd.results.intervals import interval_text, span
from actadd.results.reliability.card import Card, Estimate, Separation, Unmeasured
from actadd.results.reliability.claims import claim, interval, number, percent
from actadd.results.reliability.options import ReliabilityOptions

NOT = "not measured"


def rows(cards: list[Card]) -> pd.DataFrame:
    """A row for each card; what it lacks is "not measured"."""
    table = pd.DataFrame([_row(card) for card in cards])
    return table.set_index(["model", "vector", "setting"])


def _row(card: Card) -> dict[str, str]:
    wrong, slope, positions = card.wrong_way, card.slope, card.positions
    flag = {True: "yes", False: "no", None: "unknown"}[card.decodable_not_steerable]
    return {
        "model": card.model,
        "vector": card.vector,
        "setting": f"{card.condition}: {card.setting}",
        "n": str(card.prompts),
        "effect": _estimate(card.effect),
        "detectable": NOT
        if isinstance(card.detectable, Unmeasured)
        else number(card.detectable, signed=False),
        "wrong way": NOT if isinstance(wrong, Unmeasured) else interval_text(wrong.share, percent),
        "slope": _estimate(slope if isinstance(slope, Unmeasured) else slope.mean),
        "spread of slopes": NOT
        if isinstance(slope, Unmeasured)
        else number(slope.spread, signed=False),
        "minus best control": _estimate(
            card.control if isinstance(card.control, Unmeasured) else card.control.difference
        ),
        "minus prompting": _estimate(
            card.prompting if isinstance(card.prompting, Unmeasured) else card.prompting.difference
        ),
        "disfluency": _estimate(card.disfluency, signed=False),
        "KL": _estimate(card.kl, signed=False),
        "knowledge": _estimate(card.knowledge),
        "largest dose": NOT
        if isinstance(positions, Unmeasured)
        else f"{max(row.dose for row in positions):.2f}",
        "AUC": _separation(card.separation, "auc"),
        "d'": _separation(card.separation, "d_prime"),
        "decodable, not steerable": flag,
        "agreement": NOT
        if isinstance(card.agreement, Unmeasured)
        else "; ".join(
            f"{each.metric} {interval(each.effect)}, rho {number(each.correlation.value)}"
            for each in card.agreement
        ),
        "warnings": "; ".join(card.warnings),
        "worst prompts": ""
        if isinstance(wrong, Unmeasured)
        else "\n".join(f"{number(each.change)} {each.text}" for each in wrong.worst),
        "claim": claim(card),
    }


def _estimate(value: Estimate | Unmeasured, signed: bool = True) -> str:
    return NOT if isinstance(value, Unmeasured) else interval(value, signed)


def _separation(value: Separation | Unmeasured, name: str) -> str:
    return NOT if isinstance(value, Unmeasured) else f"{getattr(value, name):.2f}"


COLUMNS = (
    "Wrong way: share of prompts that moved against the aim. Slope: of the metric for each 1 of "
    "strength, by least squares prompt by prompt. Minus best control: the control that does most "
    "for the aim, at the same setting. Minus prompting: read off at the damage of prompting. "
    "Disfluency: geometric mean ratio to unsteered. KL: nats. Knowledge: change of top-1 accuracy. "
    "Dose: what is added over the residual stream's norm. AUC, d': of held-out pairs. "
)


def caption(cards: list[Card], options: ReliabilityOptions, sources: Sources) -> str:
    """What is shown, on what, chosen how, how many, what the intervals are, what was missed."""
    models = options.listed(dict.fromkeys(card.model for card in cards))
    by_rule = {
        f"the setting of {options.label(condition)} was chosen {rule_text(options, rule)}": None
        for condition, rule in sources.facts.choices.items()
        if condition in {card.condition for card in cards}
    }
    chosen = "; ".join(by_rule) or "Settings are those that the config writes"
    counts = {card.prompts for card in cards} - {0} or {0}
    lost = [
        f"{card.condition} ({card.setting}): {card.effect.why}"
        for card in cards
        if isinstance(card.effect, Unmeasured)
    ]
    detectable = [card.detectable for card in cards if not isinstance(card.detectable, Unmeasured)]
    sentences = [
        f"The effect is the paired difference in {options.label(options.metric)} from unsteered, "
        f"with the same sampling and noise. The model is {models}. The data are "
        f"{sources.facts.data}, with n = {span(counts)} prompts. Intervals are 95 % percentile "
        f"bootstraps over prompts. {chosen[0].upper() + chosen[1:]}.",
        few(max(counts), "prompts"),
        f"True effects below {_ends(detectable)} would have been missed (80 % power at 5 %)."
        if detectable
        else "",
        f"Without a number (×): {'; '.join(lost)}." if lost else "",
        *sources.facts.notes,
    ]
    return " ".join(filter(None, sentences))


def lacking(cards: list[Card]) -> str:
    """Which fields some cards lack."""
    names = sorted({name.replace("_", " ") for card in cards for name in card.unmeasured})
    return f" Not measured for some: {', '.join(names)}; actadd card says how." if names else ""


def _ends(values: list[float]) -> str:
    low, high = (number(value, signed=False) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
