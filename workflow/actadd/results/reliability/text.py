"""A card as plain text."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from actadd.results.displays.visible import visible
from actadd.results.intervals import interval_text
from actadd.results.reliability.card import Card, Estimate, Position, Unmeasured, Versus
from actadd.results.reliability.claims import claim, interval, number, percent

T = TypeVar("T")
# Width of the column of names.
WIDTH = 26
# Characters of a prompt that are printed.
LONGEST = 70
WAY = {1: "rise", -1: "fall"}


def card_text(card: Card) -> str:
    """All fields of a card, one below the other, the claim and what would measure the rest."""
    lines = [
        f"{card.setting} on {card.model}",
        f"{card.experiment}, condition {card.condition}: {card.label} should {WAY[card.aim]}",
        *([card.chosen] if card.chosen else []),
        "",
        *(f"{name:<{WIDTH}}{text}".rstrip() for name, text in fields(card)),
        "",
        f"Claim: {claim(card)}",
    ]
    return "\n".join([*lines, *_remedies(card)])


def fields(card: Card) -> Iterator[tuple[str, str]]:
    """(name, text) of each line; a name is empty on further lines of a field."""
    yield "effect", _or(card.effect, lambda e: f"{interval(e)} from unsteered, n = {card.prompts}")
    yield (
        "detectable",
        _or(card.detectable, lambda d: f"{number(d, signed=False)} (80 % power at 5 %)"),
    )
    yield from _wrong_way(card)
    yield from _slope(card)
    yield "minus best control", _versus(card.control)
    yield "minus prompting", _versus(card.prompting)
    yield (
        "disfluency",
        _or(card.disfluency, lambda e: f"{interval(e, signed=False)} times unsteered"),
    )
    yield "KL from unsteered", _or(card.kl, lambda e: f"{interval(e, signed=False)} nats")
    yield (
        "knowledge",
        _or(card.knowledge, lambda e: f"{interval(_percent(e))} points of top-1 accuracy"),
    )
    yield from _positions(card)
    yield "warnings", card.warnings[0] if card.warnings else "none"
    yield from (("", line) for line in card.warnings[1:])
    yield (
        "held-out separation",
        _or(
            card.separation,
            lambda s: (
                f"AUC {s.auc:.2f}, d' {s.d_prime:.2f} (layer {s.layer}, position {s.position})"
            ),
        ),
    )
    flag = {True: "yes", False: "no", None: "unknown"}[card.decodable_not_steerable]
    yield "decodable, not steerable", flag
    yield from _agreement(card)
    yield from (
        ("made from" if index == 0 else "", f"{name}: {text}")
        for index, (name, text) in enumerate(card.provenance.items())
    )


def _or(value: T | Unmeasured, text: Callable[[T], str]) -> str:
    return f"not measured: {value.why}" if isinstance(value, Unmeasured) else text(value)


def _percent(estimate: Estimate) -> Estimate:
    return Estimate(*(100 * value for value in estimate))


def _wrong_way(card: Card) -> Iterator[tuple[str, str]]:
    value = card.wrong_way
    if isinstance(value, Unmeasured):
        yield "moved the wrong way", f"not measured: {value.why}"
        return
    unmoved = f", {value.unmoved} not moved" if value.unmoved else ""
    yield (
        "moved the wrong way",
        f"{interval_text(value.share, percent)} of prompts "
        f"({value.count} of {card.prompts}{unmoved})"
        + (
            f"; with {card.control.name} {percent(card.control.wrong_way)}"
            if isinstance(card.control, Versus)
            else ""
        ),
    )
    for index, prompt in enumerate(value.worst):
        text = visible(prompt.text).replace("\n", " ")
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        yield "  worst" if index == 0 else "", f"{number(prompt.change)}  {text!r}"


def _slope(card: Card) -> Iterator[tuple[str, str]]:
    value = card.slope
    if isinstance(value, Unmeasured):
        yield "slope (steerability)", f"not measured: {value.why}"
        return
    yield (
        "slope (steerability)",
        f"{interval(value.mean)} for each 1 of strength, n = {value.prompts}",
    )
    strengths = ", ".join(f"{strength:g}" for strength in value.strengths)
    yield (
        "",
        f"standard deviation over prompts {number(value.spread, signed=False)}, "
        f"{percent(value.against.value)} slope the other way; strengths {strengths}",
    )


def _versus(value: Versus | Unmeasured) -> str:
    if isinstance(value, Unmeasured):
        return f"not measured: {value.why}"
    return f"{interval(value.difference)}; {value.name}: {interval(value.other)}, {value.at}"


def _positions(card: Card) -> Iterator[tuple[str, str]]:
    value = card.positions
    if isinstance(value, Unmeasured):
        yield "norm and dose", f"not measured: {value.why}"
        return
    for index, row in enumerate(value):
        yield "norm and dose" if index == 0 else "", _position(row)


def _position(row: Position) -> str:
    return (
        f"position {row.position} ({visible(row.token)}): norm {row.norm:.3g}, "
        f"{row.ratio:.2f} of the stream's; added {row.dose:.2f} of it"
    )


def _agreement(card: Card) -> Iterator[tuple[str, str]]:
    value = card.agreement
    if isinstance(value, Unmeasured):
        yield "agreement of scorers", f"not measured: {value.why}"
        return
    assert isinstance(card.effect, Estimate)
    for index, each in enumerate(value):
        same = "same sign" if each.same_sign(card.effect) else "other sign"
        yield (
            "agreement of scorers" if index == 0 else "",
            f"{each.metric} {interval(each.effect)} ({same}), rank correlation over prompts "
            f"{interval(each.correlation)}",
        )


def _remedies(card: Card) -> list[str]:
    """What would measure the rest, as lines of a config on top."""
    lines = []
    for name, value in card.unmeasured.items():
        if value.remedy:
            lines += ["", f"# {name.replace('_', ' ')}: {value.why}", value.remedy.rstrip()]
    if not lines:
        return []
    head = "Lines of a config on top of config.yaml that would measure the rest, each by itself:"
    return ["", head, *lines]
