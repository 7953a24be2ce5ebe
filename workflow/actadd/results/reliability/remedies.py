"""Lines of a config on top that would measure what a card lacks."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from actadd.measure.additions import operation_of, strength_of

# What is left out of an addition, as it is what a config means anyway.
USUAL = {"match_norm": False, "phase": "prefill", "position": "front"}


class Remedies:
    """Remedies of one card.

    key: of the table or figure, such as tables.reliability. experiment: its name. conditions: name
    and additions, as recorded, of the card's. more: see `ReliabilityOptions.facts`.
    """

    def __init__(
        self,
        key: str,
        experiment: str,
        condition: str,
        additions: Sequence[Mapping[str, Any]],
        more: Mapping[str, Any],
    ) -> None:
        self.section, _, self.entry = key.partition(".")
        self.experiment, self.condition, self.more = experiment, condition, more
        self.additions = [_plain(addition) for addition in additions]

    def option(self, **options: Any) -> dict[str, Any]:
        """Keys of the table or figure itself."""
        return {self.section: {self.entry: options}}

    def cost(self) -> str:
        return _lines(self.option(cost="disfluency.perplexity"), self._scorers("disfluency"))

    def agreement(self, metric: str) -> str:
        other = "sentiment.probability" if metric.startswith("vader.") else "vader.compound"
        return _lines(self.option(agreement=[other]), self._scorers(other.partition(".")[0]))

    def divergence(self) -> str:
        name = f"{self.experiment}-divergence"
        if self.more["compared"]:
            return _lines(self.option(divergence=name), self._damage(divergence={"at": [0.1]}))
        prompts = {"dataset": self.more["prompts"]["dataset"]}
        return _lines(self.option(divergence=name), self._on_texts(name, "divergence", prompts))

    def knowledge(self) -> str:
        name = f"{self.experiment}-knowledge"
        texts = {"dataset": "cloze"}
        if self.more["compared"]:
            damage = self._damage(knowledge={**texts, "at": [0.05]})
            return _lines(self.option(knowledge=name), damage)
        return _lines(self.option(knowledge=name), self._on_texts(name, "logprobs", texts))

    def slope(self) -> str:
        """The experiment anew at parts of the strength: with 0, if that is unsteered, three."""
        [addition] = self.additions
        strength = strength_of(addition)
        parts = (1 / 2, 1) if operation_of(addition).nothing_at_zero else (1 / 4, 1 / 2, 1)
        swept = {**addition, strength: [part * addition[strength] for part in parts]}
        name = f"{self.experiment}-strengths"
        conditions = {
            "unsteered": {"method": "unsteered"},
            self.condition: {"method": "actadd", "additions": [swept]},
        }
        entry = {
            **{"title": f"{self.experiment} over strengths", "measure": "completions"},
            **{name: self.more[name] for name in ("models", "prompts", "samples", "scorers")},
            "conditions": conditions,
        }
        return _lines(self.option(sweep=name), {"experiments": {name: entry}})

    def control(self) -> str:
        [addition] = self.additions
        name = f"{addition['vector']}-orthogonal"
        vectors = {name: {"kind": "orthogonal", "like": addition["vector"]}}
        other = {"method": "actadd", "additions": [{**addition, "vector": name}]}
        conditions = {f"{self.condition}-control": other}
        return _lines({"vectors": vectors}, self._conditions(conditions))

    def separation(self) -> str:
        """The same contrast in more than one pair."""
        [addition] = self.additions
        entry = self.more["vectors"][addition["vector"]]
        name = f"{addition['vector']}-pairs"
        sides = {
            side: [entry.get(side, "FIRST PROMPT"), f"FURTHER {side.upper()} PROMPT"]
            for side in ("positive", "negative")
        }
        many = {**addition, "vector": name, "position": "back"}
        conditions = {f"{self.condition}-pairs": {"method": "actadd", "additions": [many]}}
        vectors = {name: {"kind": "mean_difference", **sides}}
        return _lines({"vectors": vectors}, self._conditions(conditions))

    def prompting(self, options: Any, aim: int) -> str:
        """A comparison of the method's curve with a prompt, on the same data."""
        if len(self.additions) != 1:
            return ""
        [addition] = self.additions
        strength, name = strength_of(addition), f"{self.experiment}-methods"
        swept = {**addition, strength: [addition[strength] / 2, addition[strength]]}
        entry = self.more["vectors"][addition["vector"]]
        side = entry.get("positive" if aim > 0 else "negative", "WHAT TO SAY")
        text = side if isinstance(side, str) else "WHAT TO SAY"
        prompting = {"method": "prompting", "prefix": f"{text} "}
        if self.more["compared"]:
            added = self._conditions({"prompting": prompting})
            return _lines(self.option(method_comparison=self.experiment), added)
        compared = {
            **{"title": f"{self.experiment} against prompting", "models": self.more["models"]},
            "prompts": {"dataset": self.more["prompts"]["dataset"]},
            "samples": self.more["samples"],
            "methods": {
                self.condition: {"method": "actadd", "additions": [swept]},
                "prompting": prompting,
            },
            "effect": {"metric": options.metric, "direction": "max" if aim > 0 else "min"},
            "damage": {"disfluency": {"metric": "disfluency.perplexity", "at": [1.1, 1.5]}},
        }
        return _lines(self.option(method_comparison=name), {"method_comparisons": {name: compared}})

    def _on_texts(self, name: str, measure: str, prompts: Mapping[str, Any]) -> dict[str, Any]:
        """An experiment on texts at the card's setting."""
        conditions = {
            "unsteered": {"method": "unsteered"},
            self.condition: {"method": "actadd", "additions": self.additions},
        }
        entry = {"title": name, "measure": measure, "models": self.more["models"]}
        entry |= {"prompts": prompts, "conditions": conditions}
        return {"experiments": {name: entry}}

    def _scorers(self, scorer: str) -> dict[str, Any]:
        """The experiment with one more scorer, if it lacks it."""
        used = self.more["scorers"]
        if scorer in used:
            return {}
        return self._of_experiment({"scorers": [*used, scorer]})

    def _conditions(self, conditions: Mapping[str, Any]) -> dict[str, Any]:
        """The experiment with more conditions."""
        key = "methods" if self.more["compared"] else "conditions"
        return self._of_experiment({key: conditions})

    def _damage(self, **kinds: Mapping[str, Any]) -> dict[str, Any]:
        return self._of_experiment({"damage": kinds})

    def _of_experiment(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of the experiment, or of the comparison that makes it."""
        section = "method_comparisons" if self.more["compared"] else "experiments"
        return {section: {self.experiment: keys}}


def _plain(addition: Mapping[str, Any]) -> dict[str, Any]:
    """An addition as a config writes it."""
    plain = {
        name: value
        for name, value in addition.items()
        if value is not None and USUAL.get(name) != value
    }
    if plain.get("source_layer") == plain.get("layer"):
        plain.pop("source_layer", None)
    order = ["vector", "operation", "layer", "layers", strength_of(addition)]
    assert operation_of(addition)
    return {name: plain[name] for name in [*order, *sorted(plain.keys() - order)] if name in plain}


def _lines(*parts: Mapping[str, Any]) -> str:
    whole = {name: value for part in parts for name, value in part.items()}
    text: str = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=100)
    return text
