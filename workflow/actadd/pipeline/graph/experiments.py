"""Stages of experiments: cells, shards, choices, scores, summaries and timings."""

from dataclasses import fields
from functools import cached_property
from typing import Any

from actadd.config import methods
from actadd.measure.conditions import modules_of
from actadd.measure.gates import gates_of
from actadd.measure.measures import MEASURES
from actadd.pipeline.graph.sources import once
from actadd.pipeline.graph.vectors import Vectors
from actadd.pipeline.job import File, Inputs, Job
from actadd.results.summaries.kinds import SUMMARIES
from actadd.scorers.kinds import SCORERS, asks, metrics


class Experiments(Vectors):
    """Measurements of steered models, their scores and summaries."""

    # --- cells -----------------------------------------------------------------------------------

    @once
    def cells(self, model: str, experiment: str) -> Job:
        """The cells of an experiment, of any measure.

        With shards, the job that gathers them; its digest is that of the job without shards.
        """
        return self._cells(model, experiment)

    @once
    def cells_shard(self, model: str, experiment: str, shard: str, shards: str) -> Job:
        """The job that computes one shard of an experiment's cells."""
        return self._cells(model, experiment, {"shard": shard, "shards": shards})

    def _shards(self, experiment: str) -> list[dict[str, str]]:
        count = self.experiment(experiment)["shards"]
        if count == 1:
            return []
        return [{"shard": str(number), "shards": str(count)} for number in range(count)]

    def _cells(self, model: str, experiment: str, shard: dict[str, str] | None = None) -> Job:
        entry = self.experiment(experiment)
        measure = entry["measure"]
        settings = {
            "name": experiment,
            "measure": measure,
            "model": model,
            "conditions": self.conditions(model, experiment),
            "prompts": {k: v for k, v in entry["prompts"].items() if k != "dataset"},
            "dtype": self.config["models"][model]["dtype"],
            "compute": self.compute(model),
            "batch_rows": self.config["compute"]["batch_rows"],
        }
        kind = MEASURES[measure]
        settings |= options_of(kind.options, entry)
        if kind.draws:
            settings["seed"] = self.config["seed"]
        inputs = self._cells_inputs(model, experiment)
        stage = "cells_shard" if shard else "cells"
        if not shard and (shards := self._shards(experiment)):
            stage = "cells_gather"
            records = [
                self.cells_shard(model, experiment, each["shard"], each["shards"]).files(
                    "provenance"
                )
                for each in shards
            ]
            inputs["shards"] = _existing(records)
        return self._job(
            stage,
            {"measure": measure, "model": model, "experiment": experiment, **(shard or {})},
            ("programs.cells", kind.module, *modules_of(entry["conditions"])),
            settings,
            inputs,
        )

    def _cells_inputs(self, model: str, experiment: str) -> dict[str, tuple[File, ...]]:
        entry = self.experiment(experiment)
        inputs = {
            **self.model_files(model),
            "prompts": self.texts(entry["prompts"]["dataset"]),
            "overlaps": self.overlap_record("experiments", experiment),
            "vectors": self.vector_files(model, dict(self.vectors_of(model, experiment))),
            "norms": self.norms_for_doses(model, experiment),
            "thresholds": (),
            "choice": (),
            "rows": (),
            "shards": (),
        }
        if gates_of(entry["conditions"]):
            inputs["thresholds"] = self.thresholds(model, experiment).files("thresholds")
        if entry.get("choices"):
            inputs["choice"] = self.choice(model, experiment).files("choice")
        if MEASURES[entry["measure"]].batched:
            inputs["rows"] = self.batch_rows_file(model)
        return inputs

    @once
    def choice(self, model: str, experiment: str) -> Job:
        sources = self.choice_sources(experiment)
        settings = {"name": experiment, "choices": self.experiment(experiment)["choices"]}
        tables = [self.summary(model, name).files("parquet") for name in sources]
        return self._job(
            "choice",
            {"model": model, "experiment": experiment},
            ("programs.choice",),
            settings,
            {"tables": joined(tables)},
        )

    @once
    def thresholds(self, model: str, experiment: str) -> Job:
        """The thresholds of an experiment's gates that a rule chooses."""
        gates = gates_of(self.experiment(experiment)["conditions"])
        settings = {
            "name": experiment,
            "gates": gates,
            "dtype": self.config["models"][model]["dtype"],
            "compute": self.compute(model),
        }
        used = sorted({gate["threshold"]["dataset"] for gate in gates})
        inputs = {
            **self.model_files(model),
            "texts": joined([self.texts(dataset) for dataset in used]),
            "vectors": self.vector_files(model, sorted({gate["vector"] for gate in gates})),
        }
        names = {"model": model, "experiment": experiment}
        return self._job("thresholds", names, ("programs.thresholds",), settings, inputs)

    # --- scores ----------------------------------------------------------------------------------

    def scorer_entry(self, name: str) -> dict[str, Any]:
        """A scorer's config entry, with the settings of its model."""
        entry = {**self.config["scorers"][name], "name": name}
        kind = self.scorer_kind(name)
        if kind in ("model", "source"):
            entry["compute"] = self.compute(entry.get("model"))
        if kind == "model":
            entry["dtype"] = self.config["models"][entry["model"]]["dtype"]
            entry["batch_rows"] = self.config["compute"]["batch_rows"]
        return entry

    def scorer_inputs(self, name: str) -> Inputs:
        """What a scorer reads besides texts: a fitted classifier, a model or a fetched source."""
        entry, kind = self.config["scorers"][name], self.scorer_kind(name)
        inputs: dict[str, tuple[File, ...]] = {"needs": (), "verified": (), "rows": ()}
        if kind == "classifier":
            inputs["needs"] = self.classifier(name).files("folder")
        if kind == "source":
            inputs["needs"] = self._source(entry["source"])
        if kind == "model":
            files = dict(self.model_files(entry["model"]))
            inputs = {
                "needs": files.pop("model"),
                "rows": self.batch_rows_file(entry["model"]),
                **files,
            }
        return inputs

    def judges(self, name: str) -> bool:
        """Whether a scorer runs a model: one of the config's models, or a fetched one."""
        return self.scorer_kind(name) in ("model", "source")

    def asks(self, name: str) -> bool:
        """Whether a scorer queries a server, whose answers are stored."""
        return asks(self.config["scorers"][name]["kind"])

    @once
    def classifier(self, scorer: str) -> Job:
        entry = {**self.config["scorers"][scorer], "name": scorer}
        for label in ("validate", "note", "cut"):
            entry.pop(label, None)
        inputs = {"texts": self.texts(entry["fit"]["dataset"])}
        return self._job(
            "classifier",
            {"scorer": scorer},
            self._scorer_modules(scorer, "programs.classifier"),
            {"scorer": entry},
            inputs,
        )

    def _scorer_modules(self, name: str, program: str) -> tuple[str, ...]:
        return (program, SCORERS[self.config["scorers"][name]["kind"]].module)

    @once
    def scores(self, model: str, experiment: str, scorer: str) -> Job:
        """A scorer's table; of a scorer that runs a model, with shards, the job that gathers it."""
        return self._scores(model, experiment, scorer)

    @once
    def scores_shard(
        self, model: str, experiment: str, scorer: str, shard: str, shards: str
    ) -> Job:
        return self._scores(model, experiment, scorer, {"shard": shard, "shards": shards})

    def _scores(
        self, model: str, experiment: str, scorer: str, shard: dict[str, str] | None = None
    ) -> Job:
        entry = self.scorer_entry(scorer)
        # The validation set and the note in captions change no score.
        for label in ("validate", "note"):
            entry.pop(label, None)
        inputs = {
            "completions": self.cells(model, experiment).files("table"),
            "overlaps": self.overlap_record("experiments", experiment),
            **self.scorer_inputs(scorer),
            "shards": (),
        }
        stage = "scores_shard" if shard else "scores"
        # Only scorers that run a model are slow enough for shards.
        shards = self._shards(experiment) if self.judges(scorer) else []
        if shards and not shard:
            stage = "scores_gather"
            records = [
                self.scores_shard(model, experiment, scorer, each["shard"], each["shards"]).files(
                    "provenance"
                )
                for each in shards
            ]
            inputs["shards"] = _existing(records)
        return self._job(
            stage,
            {"model": model, "experiment": experiment, "scorer": scorer, **(shard or {})},
            self._scorer_modules(scorer, "programs.scores"),
            {"scorer": entry},
            inputs,
        )

    @once
    def validation(self, scorer: str) -> Job:
        entry = self.scorer_entry(scorer)
        inputs = {
            "texts": self.texts(entry["validate"]["dataset"]),
            "overlaps": self.overlap_record("scorers", scorer),
            **self.scorer_inputs(scorer),
        }
        modules = self._scorer_modules(scorer, "programs.validation")
        return self._job("validation", {"scorer": scorer}, modules, {"scorer": entry}, inputs)

    def card(self, experiments: list[str], part: str = "") -> Job:
        """The card of the scorers of some experiments."""
        labels = ("kind", "note", "validate")
        scorers = {
            each for name in experiments for each in self.experiment(name).get("scorers", [])
        }
        entries = [
            {"name": name, **{key: entry[key] for key in labels if key in entry}}
            for name, entry in sorted(self.config["scorers"].items())
            if name in scorers
        ]
        validated = [entry["name"] for entry in entries if "validate" in entry]
        files = [self.validation(name).files("figures") for name in validated]
        return self._job(
            "scorer_card",
            {"part": part},
            ("programs.scorer_card",),
            {"scorers": entries},
            {"validations": joined(files)},
        )

    # --- summaries, timings ----------------------------------------------------------------------

    @once
    def summary(self, model: str, experiment: str) -> Job:
        entry = self.experiment(experiment)
        scorers = entry.get("scorers", [])
        kind = SUMMARIES[entry["measure"]]
        settings = {"measure": entry["measure"], **options_of(kind.options, entry)}
        if MEASURES[entry["measure"]].draws:
            settings["shares"] = {name: self._shares[name] for name in scorers}
            # The order of the summary's rows.
            settings["scorers"] = scorers
        scores = [self.scores(model, experiment, scorer).files("scores") for scorer in scorers]
        inputs = {"cells": self.cells(model, experiment).files("table"), "scores": joined(scores)}
        return self._job(
            "summary",
            {"model": model, "experiment": experiment},
            ("programs.summary", kind.module),
            settings,
            inputs,
        )

    @once
    def equal_damage(self, model: str, method_comparison: str) -> Job:
        """The curves of a comparison's methods and controls, and what is read off them."""
        settings = methods.spec(self.config, method_comparison)
        of_damage = [each["experiment"] for each in settings["damage"].values()]
        experiments = list(dict.fromkeys([settings["experiment"], *of_damage]))
        scorers = dict.fromkeys(
            metric.partition(".")[0]
            for metric in (settings["effect"]["metric"], settings["damage"]["disfluency"]["metric"])
        )
        curves = settings["experiment"]
        scores = [self.scores(model, curves, each).files("scores") for each in scorers]
        cells = [self.cells(model, each).files("table") for each in experiments]
        return self._job(
            "equal_damage",
            {"model": model, "method_comparison": method_comparison},
            ("programs.equal_damage", *modules_of(self.experiment(curves)["conditions"])),
            settings,
            {"cells": joined(cells), "scores": joined(scores)},
        )

    @cached_property
    def _shares(self) -> dict[str, list[str]]:
        """Scorer -> its metrics that are shares."""
        return {
            scorer: [name for name, share in metrics(entry).items() if share]
            for scorer, entry in self.config["scorers"].items()
        }

    @once
    def overhead(self, overhead: str, subject: str) -> Job:
        """Timings of a subject: a model, or a shape with random weights."""
        entry = self.config["overheads"][overhead]
        shape = entry["shapes"].get(subject)
        fields = ("rows", "tokens", "repeats", "warmup", "layer", "positive", "negative")
        settings = {
            "name": subject,
            "shape": shape,
            **{field: entry[field] for field in fields},
            "seed": self.config["seed"],
            "dtype": "float32" if shape else self.config["models"][subject]["dtype"],
            "compute": self.compute(None if shape else subject),
        }
        inputs = {"model": (), "verified": ()} if shape else self.model_files(subject)
        names = {"overhead": overhead, "subject": subject}
        modules = ("programs.overhead", *self.operation_modules)
        return self._job("overhead", names, modules, settings, inputs)

    def overhead_subjects(self, name: str) -> list[str]:
        entry = self.config["overheads"][name]
        return [*entry["models"], *entry["shapes"]]


def options_of(options: type, entry: dict[str, Any]) -> dict[str, Any]:
    """The options of a kind that a config entry sets."""
    names = [option.name for option in fields(options)]
    return {name: entry[name] for name in names if name in entry}


def joined(files: list[tuple[File, ...]]) -> tuple[File, ...]:
    return tuple(file for each in files for file in each)


def _existing(files: list[tuple[File, ...]]) -> tuple[File, ...]:
    """Files that only have to exist: the reader's digest already covers their content."""
    return tuple(File(file.path, file.job, counts=False) for file in joined(files))
