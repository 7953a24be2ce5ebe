"""The cards of an experiment: every vector at every setting, on every model."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pandas as pd

from actadd.base.files import sha256_file
from actadd.results.displays.kinds import Sources
from actadd.results.displays.labels import addition_details, read_norms
from actadd.results.reliability import directions, effects
from actadd.results.reliability.card import (
    Agreement,
    Card,
    Estimate,
    Slope,
    Unmeasured,
    Versus,
)
from actadd.results.reliability.evidence import Evidence, Setting
from actadd.results.reliability.options import WAYS, ReliabilityOptions
from actadd.results.reliability.remedies import Remedies

# Of texts with targets: the share whose target is the likeliest token.
KNOWLEDGE = "precision_at_1"
T = TypeVar("T")
# Characters of a file's sha256 that a card quotes.
SUM = 12


def cards(options: ReliabilityOptions, sources: Sources) -> list[Card]:
    """All cards of an entry, by model, in the order of the experiment's cells."""
    models = sorted(model for model, name in sources.tables if name == options.experiment)
    return [card for model in models for card in Gathering(options, sources, model).cards()]


class Gathering:
    """What the cards of one model are made from."""

    def __init__(self, options: ReliabilityOptions, sources: Sources, model: str) -> None:
        self.options, self.sources, self.model = options, sources, model
        self.more = sources.facts.more
        self.controls = set(sources.facts.controls)
        self.evidence = self._read(options.experiment)
        self.others = {
            name: self._read(experiment)
            for name in ("sweep", "divergence", "knowledge")
            if (experiment := getattr(options, name))
        }
        paths = sources.paths.get("readings")
        readings = sources.read("readings") if paths else None
        self.readings = None if readings is None else readings[readings["model"] == model]
        norms = {key: path for key, path in sources.norms.items() if key[0] == model}
        self.norms = read_norms(norms) if norms else pd.DataFrame({"vector": []})

    def _read(self, experiment: str) -> Evidence:
        path = self.sources.tables[self.model, experiment]
        table = pd.read_parquet(path)
        prompts = (
            table.drop_duplicates("prompt_id").set_index("prompt_id")["prompt"].to_dict()
            if "prompt" in table
            else {}
        )
        return Evidence(self.sources.values(self.model, experiment), prompts)

    @property
    def settings(self) -> list[Setting]:
        """Settings that add some vector which is no control."""
        steered = []
        for setting in self.evidence.settings:
            additions = directions.additions_of(setting.iloc[0])
            if {addition["vector"] for addition in additions} - self.controls:
                steered.append(setting)
        return steered

    def cards(self) -> Iterator[Card]:
        for setting in self.settings:
            yield self._card(setting)

    def _card(self, setting: Setting) -> Card:
        options, evidence, metric = self.options, self.evidence, self.options.metric
        first = setting.iloc[0]
        additions = directions.additions_of(first)
        condition, vector = str(first["condition"]), str(first["vector"])
        aim = self._aim(condition, additions[0])
        remedies = Remedies(self.sources.key, options.experiment, condition, additions, self.more)
        effect = effects.effect(evidence, setting, metric)
        changes = evidence.changes(setting, metric)[0]
        control = self._control(first, changes, aim, remedies)
        positions = directions.positions(additions, self.norms)
        separated = directions.separation(additions, self.norms)
        if isinstance(separated, Unmeasured) and len(additions) == 1:
            separated = replace(separated, remedy=remedies.separation())
        card = Card(
            model=self.model,
            experiment=options.experiment,
            condition=condition,
            vector=vector,
            setting=" + ".join(addition_details(addition) for addition in additions),
            metric=metric,
            label=options.label(metric),
            aim=aim,
            settings_tried=self._tried(first),
            chosen=self.more["chosen"].get(condition, ""),
            changes=changes,
            effect=effect,
            detectable=effects.smallest(changes),
            wrong_way=effects.wrong_way(changes, aim, evidence.prompts),
            slope=self._slope(first, additions, remedies),
            control=control,
            prompting=self._prompting(condition, effect, aim, remedies),
            disfluency=self._disfluency(setting, remedies),
            kl=self._kl(first, remedies),
            knowledge=self._knowledge(first, remedies),
            positions=positions,
            warnings=directions.warnings(positions),
            separation=separated,
            agreement=self._agreement(setting, effect, remedies),
            provenance=self._provenance(vector),
            decodable_not_steerable=directions.decodable_not_steerable(
                separated, effect, control, aim
            ),
        )
        return card

    def _aim(self, condition: str, addition: Mapping[str, Any]) -> int:
        """1 if the metric should rise, else -1; see `ReliabilityOptions`."""
        if aim := self.more["aims"].get(condition):
            return int(aim)
        return WAYS[self.options.direction] * effects.sign_of(addition)

    def _control(
        self,
        first: "pd.Series[Any]",
        changes: "pd.Series[float]",
        aim: int,
        remedies: Remedies,
    ) -> Versus | Unmeasured:
        roots = self.more["roots"]
        vector = first["vector"]
        if vector not in roots:
            return Unmeasured(why="a control of several vectors at once is not looked for")
        related = frozenset(name for name in self.controls if roots.get(name) == roots[vector])
        versus = effects.over_control(
            self.evidence, self.options.metric, changes, first, aim, related
        )
        return _with_remedy(versus, remedies.control)

    def _tried(self, first: "pd.Series[Any]") -> int:
        """Settings of the vector, or, where something was chosen on others, of the condition."""
        same = "condition" if first["condition"] in self.more["chosen"] else "vector"
        return sum(each.iloc[0][same] == first[same] for each in self.settings)

    def _prompting(
        self, condition: str, effect: Estimate | Unmeasured, aim: int, remedies: Remedies
    ) -> Versus | Unmeasured:
        if isinstance(effect, Unmeasured):
            return Unmeasured(why="there is no effect to compare")
        if self.readings is None:
            remedy = remedies.prompting(self.options, aim)
            return Unmeasured(why="no comparison of methods is named", remedy=remedy)
        return effects.over_prompting(self.readings, condition, aim)

    def _slope(
        self, first: "pd.Series[Any]", additions: list[dict[str, Any]], remedies: Remedies
    ) -> Slope | Unmeasured:
        if len(additions) != 1:
            return Unmeasured(why="several additions have no one strength")
        rises = WAYS[self.options.direction] * effects.sign_of(additions[0], strength=False)
        evidence = self.others.get("sweep", self.evidence)
        slope = effects.slope(evidence, self.options.metric, first, rises)
        return _with_remedy(slope, remedies.slope)

    def _disfluency(self, setting: Setting, remedies: Remedies) -> Estimate | Unmeasured:
        cost = self.options.cost
        if cost is None:
            return Unmeasured(why="no cost is named", remedy=remedies.cost())
        return effects.cost_ratio(self.evidence, setting, cost)

    def _kl(self, first: "pd.Series[Any]", remedies: Remedies) -> Estimate | Unmeasured:
        return self._at("divergence", "kl", first, remedies.divergence, against_unsteered=False)

    def _knowledge(self, first: "pd.Series[Any]", remedies: Remedies) -> Estimate | Unmeasured:
        return self._at("knowledge", KNOWLEDGE, first, remedies.knowledge, against_unsteered=True)

    def _at(
        self,
        name: str,
        metric: str,
        first: "pd.Series[Any]",
        remedy: Callable[[], str],
        against_unsteered: bool,
    ) -> Estimate | Unmeasured:
        """A metric of a further experiment at the same setting, or its change from unsteered."""
        evidence = self.others.get(name)
        if evidence is None:
            return Unmeasured(why=f"no experiment of {name} is named", remedy=remedy())
        experiment = getattr(self.options, name)
        setting = evidence.same(first["additions"])
        if setting is None:
            return Unmeasured(why=f"{experiment} has no such setting", remedy=remedy())
        if metric not in evidence.metrics:
            return Unmeasured(why=f"{experiment} has no {metric}: its texts have no targets")
        if reason := evidence.failed(setting, metric):
            return Unmeasured(why=f"the cell of {experiment} failed: {reason}")
        values = (
            evidence.changes(setting, metric)
            if against_unsteered
            else evidence.values(setting, metric).dropna()
        )
        if values.empty:
            return Unmeasured(why=f"{experiment} has no unsteered condition to compare with")
        return effects.mean_of(values)

    def _agreement(
        self, setting: Setting, effect: Estimate | Unmeasured, remedies: Remedies
    ) -> tuple[Agreement, ...] | Unmeasured:
        if isinstance(effect, Unmeasured):
            return Unmeasured(why="there is no effect to agree on")
        if not self.options.agreement:
            remedy = remedies.agreement(self.options.metric)
            return Unmeasured(why="no other metric is named", remedy=remedy)
        others = self.options.agreement
        return effects.agreement(self.evidence, setting, self.options.metric, others)

    def _provenance(self, vector: str) -> dict[str, str]:
        """What the card is made from: data, model, vector, seed and the files with their sums."""
        facts, more, model = self.sources.facts, self.more, self.model
        entries = {name: more["vectors"].get(name, {}) for name in vector.split("+")}
        files = {
            "/".join(names): sha256_file(path)[:SUM]
            for tables in (self.sources.tables, self.sources.scores)
            for (of_model, *names), path in tables.items()
            if of_model == model
        }
        return {
            "model": f"{model} ({more['sources'].get(model, '')})",
            "prompts": facts.data,
            "vector": "; ".join(f"{name}: {_entry(entry)}" for name, entry in entries.items()),
            "seed": f"{more['seed']}, {more['samples']} samples of each prompt",
            "files": ", ".join(f"{name} {value}" for name, value in sorted(files.items())),
        }


def _entry(entry: Mapping[str, Any]) -> str:
    """A vector's entry in a few words."""
    kind = entry.get("kind", "")
    if isinstance(entry.get("positive"), str):
        return f"{kind} {entry['positive']!r} minus {entry['negative']!r}"
    if "positive" in entry:
        return f"{kind} of {len(entry['positive'])} pairs"
    rest = {key: value for key, value in entry.items() if key not in ("kind", "name")}
    return f"{kind} " + ", ".join(f"{key} {value}" for key, value in sorted(rest.items()))


def _with_remedy(value: T | Unmeasured, remedy: Callable[[], str]) -> T | Unmeasured:
    """A field, with its remedy if it was not measured."""
    return replace(value, remedy=remedy()) if isinstance(value, Unmeasured) else value
