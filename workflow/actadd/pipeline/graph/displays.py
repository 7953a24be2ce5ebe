"""Stages of figures, tables and pages, and the targets that ask for them."""

from collections.abc import Callable
from itertools import product
from typing import Any

from actadd.config import methods
from actadd.measure.measures import MEASURES
from actadd.pipeline.graph.experiments import Experiments, joined
from actadd.pipeline.graph.sources import once
from actadd.pipeline.job import File, Inputs, Job
from actadd.results.displays import needs
from actadd.results.displays.metric_names import metric_names
from actadd.results.explorer.marks import LEXICONS

Display = tuple[str, str]
# Key of a figure or table -> the target that it belongs to in place of the default one.
PARTS = {"paper": "paper", "study": "laboratory"}
STAGE = {"figures": "figure", "tables": "table"}


def listed(numbers: set[int]) -> str:
    """A text that lists numbers, with runs as ranges: "0–5, 9"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = (f"{a}" if a == b else f"{a}, {b}" if b == a + 1 else f"{a}–{b}" for a, b in runs)
    return ", ".join(words)


def _none(model: str, experiment: str) -> set[int]:
    return set()


class Displays(Experiments):
    """Figures, tables, the comparison and the explorer."""

    # --- figures and tables ----------------------------------------------------------------------

    def display_files(self, section: str, name: str) -> Inputs:
        """Need -> the files that a figure or table reads for it, in order."""
        entry = self.config[section][name]
        inputs = needs.inputs(section, entry, self.config)
        files = {each.need: tuple(dict.fromkeys(self._read(each))) for each in inputs}
        return {need: files.get(need, ()) for need in needs.NEEDS}

    def _read(self, each: needs.Input) -> tuple[File, ...]:
        """The files of one need of a kind."""
        if each.need == "comparison":
            return self.comparison().files("parquet")
        if each.need == "texts":
            return joined([self.texts(name) for name in each.names])
        if each.need == "stream_norms":
            return joined([self.stream_norms(model).files("norms") for model in each.models])
        pairs = list(product(each.models, each.names))
        if each.need == "scores":
            scores = [
                self.scores(model, name, scorer).files("scores")
                for model, name in pairs
                for scorer in self.experiment(name).get("scorers", [])
            ]
            return joined(scores)
        if each.need == "overhead":
            return joined([self.overhead(name, subject).files("times") for subject, name in pairs])
        stages = {
            "tokens": (self.lens, "tokens"),
            "cosines": (self.lens, "cosines"),
            "pair_check": (self.pair_check, "table"),
            "norms": (self.vectors, "norms"),
            "curves": (self.equal_damage, "curves"),
            "readings": (self.equal_damage, "readings"),
            "summary": (self.summary, "parquet"),
            "cells": (self.cells, "table"),
            "tables": (self.cells, "table"),
        }
        job, output = stages[each.need]
        return joined([job(model, name).files(output) for model, name in pairs])

    @once
    def display(self, section: str, name: str) -> Job:
        """A figure (section "figures") or a table to read (section "tables")."""
        entry = self.config[section][name]
        modules: tuple[str, ...] = (f"programs.{STAGE[section]}",)
        # The program imports it by name, so that its digest does not include it.
        modules += (needs.kind_of(section, entry).module,)
        settings = {
            **entry,
            "name": name,
            "labels": self.config["labels"] | entry.get("labels", {}),
            "about": needs.facts(section, entry, self.config),
        }
        inputs = self.display_files(section, name)
        return self._job(STAGE[section], {"display": name}, modules, settings, inputs)

    def figure(self, display: str) -> Job:
        return self.display("figures", display)

    def table(self, display: str) -> Job:
        return self.display("tables", display)

    def display_labels(
        self, section: str, name: str, chosen: Callable[[str, str], set[int]] = _none
    ) -> dict[str, str]:
        """A figure's or table's labels in the report: its name, model, vector and layer.

        chosen(model, experiment): the layers that its choices picked, as far as that is known.
        """
        entry = self.config[section][name]
        experiment = needs.options_of(section, entry).main_experiment
        models: list[str] = []
        vectors, layers = set(), ""
        if experiment:
            models = self.experiment(experiment)["models"]
            added = {pair for model in models for pair in self.vectors_of(model, experiment)}
            vectors, layers = {vector for vector, _ in added}, listed({layer for _, layer in added})
            if self.experiment(experiment).get("choices"):
                picked = {each for model in models for each in chosen(model, experiment)}
                layers = listed(picked) if picked else f"chosen of {layers}"
        elif "lens" in entry or "vectors" in entry:
            models = self.config["lenses"].get(entry.get("lens"), entry)["models"]
            vectors, layers = set(needs.vectors_of(entry, self.config)), "all"
        elif "overhead" in entry:
            models = self.overhead_subjects(entry["overhead"])
        several = f"{len(vectors)} vectors" if len(vectors) > 3 else ", ".join(sorted(vectors))
        labels = {
            section.removesuffix("s"): name,
            "model": ", ".join(models),
            "vector": several,
            "layer": layers,
        }
        return {key: value or "–" for key, value in labels.items()}

    @once
    def scorer_card(self, part: str) -> Job:
        """The card of the default target (part "") or of another one (its name and "_")."""
        return self.card(self.experiments_in(part.removesuffix("_")), part)

    # --- published numbers beside ours -----------------------------------------------------------

    @once
    def comparison(self) -> Job:
        entry = self.config["comparison"]
        context = {
            name: {
                "dataset": (dataset := self.experiment(name)["prompts"]["dataset"]),
                "data": self.config["datasets"][dataset]["title"],
                "models": self.experiment(name)["models"],
            }
            for name in self.compared()
        }
        norms = entry.get("norms", {"vectors": [], "models": []})
        settings = {
            "comparisons": entry["comparisons"],
            "claims": entry["claims"],
            "context": context,
            "relative_to": norms.get("relative_to"),
        }
        vectors = [*norms["vectors"], *filter(None, [norms.get("relative_to")])]
        summaries = [
            self.summary(model, name).files("parquet")
            for name in self.compared()
            for model in self.experiment(name)["models"]
        ]
        inputs: dict[str, tuple[File, ...]] = {
            "published": (),
            "summaries": joined(summaries),
            "norms": self.norms(norms["models"], vectors),
        }
        sums = None
        if published := entry.get("published"):
            inputs["published"] = self.own_file(published)
            sums = self.sum_of(published)
        return self._job("comparison", {}, ("programs.comparison",), settings, inputs, sums=sums)

    def compared(self) -> list[str]:
        """Experiments that are compared with the paper's numbers."""
        entry = self.config["comparison"]
        items = [*entry["comparisons"].values(), *entry["claims"].values()]
        names = {selector["experiment"] for selector in needs.selectors(items)}
        # "norms" is not an experiment of the config.
        return sorted(names - {"norms"})

    # --- explorer --------------------------------------------------------------------------------

    def explorer_inputs(self, experiments: list[str]) -> Inputs:
        """Completions or tokens, scores, summaries and verification records, in order."""
        kinds = ("completions", "tokens", "scores", "summaries", "verifications")
        files: dict[str, dict[File, None]] = {kind: {} for kind in kinds}
        for name in experiments:
            entry = self.experiment(name)
            for model in entry["models"]:
                files["summaries"] |= dict.fromkeys(self.summary(model, name).files("parquet"))
                files["verifications"][self.verification_record(model)] = None
                if entry["measure"] == "logprobs":
                    files["tokens"] |= dict.fromkeys(self.cells(model, name).files("table"))
                if not MEASURES[entry["measure"]].draws:
                    continue
                files["completions"] |= dict.fromkeys(self.cells(model, name).files("table"))
                for scorer in entry.get("scorers", []):
                    scores = self.scores(model, name, scorer)
                    files["scores"] |= dict.fromkeys(scores.files("scores"))
        return {kind: tuple(each) for kind, each in files.items()}

    @once
    def explorer_page(self, part: str) -> Job:
        """The explorer of the default target (part "") or of another one (its name and "_")."""
        return self.explorer(self.experiments_in(part.removesuffix("_")), part)

    def explorer(self, experiments: list[str], part: str = "") -> Job:
        """The explorer of some experiments, and the first page of the report about them."""
        # Experiments with completions come first, then in the config's order.
        listed = list(self.config["experiments"])
        order = sorted(
            experiments,
            key=lambda n: (not MEASURES[self.experiment(n)["measure"]].draws, listed.index(n)),
        )
        entries = [self._explored(name, order) for name in order]
        models = sorted({model for entry in entries for model in entry["models"]})
        settings = {
            "title": "Steering explorer",
            "experiments": entries,
            "controls": needs.controls(self.config),
            "models": {name: self.config["models"][name]["source"] for name in models},
            "seed": self.config["seed"],
            "device": self.config["compute"]["device"],
        }
        inputs = self.explorer_inputs(experiments)
        return self._job("explorer_page", {"part": part}, ("programs.explorer",), settings, inputs)

    def _explored(self, name: str, beside: list[str]) -> dict[str, Any]:
        """What the page says of an experiment; beside: the experiments of the page."""
        entry = self.experiment(name)
        scorers = {scorer: self.config["scorers"][scorer] for scorer in entry.get("scorers", [])}
        labels = metric_names(scorers) | self.config["labels"]
        first: list[str] = []
        for section in ("figures", "tables"):
            for display in self.config[section].values():
                options = needs.options_of(section, display)
                if options.main_experiment == name:
                    labels |= display.get("labels", {})
                    first += options.metrics_of(self.config)[:1]
        rule = next(iter(entry.get("choices", {}).values()), None)
        if rule and not first:
            first.append(rule["metric"])
        return {
            "name": name,
            "title": entry["title"],
            "measure": entry["measure"],
            "models": entry["models"],
            "data": needs.data_title(name, self.config),
            "notes": {name: scorer["note"] for name, scorer in scorers.items() if "note" in scorer},
            "labels": labels,
            "marked": {
                scorer: {key: each[key] for key in ("kind", "words") if key in each}
                for scorer, each in scorers.items()
                if each["kind"] in LEXICONS
            },
            "metric": first[0] if first else None,
            "direction": {rule["metric"]: rule["direction"]} if rule else {},
            "held_out": rule is not None,
            "chosen_in": [each for each in beside if name in self.choice_sources(each)],
        }

    # --- which experiments and displays belong together ------------------------------------------

    def displays(self, part: str = "") -> list[Display]:
        """(section, name) of the figures and tables of a part, or of the default target."""
        return [
            (section, name)
            for section in ("figures", "tables")
            for name, entry in self.config[section].items()
            if next((PARTS[key] for key in PARTS if key in entry), "") == part
        ]

    def experiments_of(self, displays: list[Display]) -> list[str]:
        """Experiments of figures and tables, and those on which their settings are chosen."""
        names: set[str] = set()
        for section, name in displays:
            entry = self.config[section][name]
            kind = needs.kind_of(section, entry)
            names |= set(needs.experiments_of(kind, entry).values())
            if entry.get("method_comparison"):
                of_comparison = methods.experiments_of(entry["method_comparison"])
                names |= set(of_comparison) & self.config["experiments"].keys()
            if "comparison" in kind.reads:
                names |= set(self.compared())
        for name in list(names):
            names |= set(self.choice_sources(name))
        return sorted(names)

    def experiments_in(self, part: str = "") -> list[str]:
        """The experiments of a part, or of the default target.

        The latter include those without a figure or table, which a user wrote to be run.
        """
        names = set(self.experiments_of(self.displays(part)))
        if not part:
            parts = [display for each in PARTS.values() for display in self.displays(each)]
            names |= self.config["experiments"].keys() - set(self.experiments_of(parts))
        return sorted(names)
