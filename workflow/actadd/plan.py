"""What each job depends on: exactly its slice of the config, and the digests of what it reads.

A job's `spec` is one canonical JSON string. It names the jobs upstream by their digests, so that a
change anywhere above changes every spec below; a job that failed once can then never leave an older
figure standing as up to date. Pure functions of the config, of our source, and of data files that
the config names.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from actadd.codedigest import code_digest
from actadd.conditions import expand, vectors_needed
from actadd.files import canonical_json, sha256_file
from actadd.program import job_digest
from actadd.scorers import KINDS


@dataclass(frozen=True)
class Job:
    """One job's identity: its config slice and its code."""

    slice: dict[str, Any]
    code: str

    @cached_property
    def spec(self) -> str:
        return canonical_json(self.slice)

    @cached_property
    def digest(self) -> str:
        return job_digest(self.slice, self.code)


class Plan:
    """All jobs of a validated config, by stage; each method returns the `Job`."""

    def __init__(self, config: dict[str, Any], root: Path = Path()):
        """root: the folder that relative paths in the config start from."""
        self.config = config
        self.root = root
        self._jobs: dict[tuple, Job] = {}

    def _job(self, key: tuple, modules: tuple[str, ...], spec: dict, **upstream: Job) -> Job:
        if key not in self._jobs:
            above = {name: job.digest for name, job in upstream.items()}
            self._jobs[key] = Job({**spec, "upstream": above}, code_digest(*modules))
        return self._jobs[key]

    # --- what is fetched and made ready ----------------------------------------------------------

    def source(self, name: str) -> Job:
        entry = self.config["sources"][name]
        # Our code does not change what is fetched, the files are pinned by their sums: an edited
        # library never downloads anything again.
        return Job({"name": name, "source": entry}, "pinned")

    def model(self, name: str) -> Job:
        entry = self.config["models"][name]
        fields = ("format", "layers", "bos", "pad", "stop", "chat_template")
        spec = {"name": name, **{field: entry[field] for field in fields}}
        source = self.source(entry["source"])
        return self._job(("model", name), ("programs.model",), {"model": spec}, source=source)

    def dataset(self, name: str) -> Job:
        entry = self.config["datasets"][name]
        above = {"source": self.source(entry["source"])} if "source" in entry else {}
        kept = {key: value for key, value in entry.items() if key != "title"}
        spec = {"dataset": {**kept, "name": name}}
        if "file" in entry and "source" not in entry:
            # By content: an older file put back is noticed, and so is what a failed job left.
            spec["sha256"] = sha256_file(self.root / entry["file"])
        return self._job(("dataset", name), ("programs.dataset",), spec, **above)

    # --- vectors ---------------------------------------------------------------------------------

    def contrast(self, vector: str) -> str:
        """The vector whose contrast prompts a vector is made from: itself, or what it resembles."""
        return self.config["vectors"][vector].get("like", vector)

    def activations(self, model: str, contrast: str) -> Job:
        entry = {**self.config["vectors"][contrast], "name": contrast}
        spec = {
            "contrast": entry,
            "dtype": self.config["models"][model]["dtype"],
            "compute": self._compute(),
        }
        key = ("activations", model, contrast)
        return self._job(key, ("programs.activations",), spec, model=self.model(model))

    def vectors(self, model: str, vector: str) -> Job:
        spec = {"vector": {**self.config["vectors"][vector], "name": vector}}
        above = self.activations(model, self.contrast(vector))
        return self._job(("vectors", model, vector), ("programs.vectors",), spec, activations=above)

    # --- experiments -----------------------------------------------------------------------------

    def experiment(self, name: str) -> dict[str, Any]:
        return self.config["experiments"][name]

    def candidate_layers(self, experiment: str) -> dict[str, list[int]]:
        """For each choice of an experiment, the source layers among which it is made."""
        candidates = {}
        for choice, rule in self.experiment(experiment).get("choices", {}).items():
            sweep = self.experiment(rule["experiment"])["conditions"][rule["condition"]]
            spelled = expand({rule["condition"]: sweep})
            layers = {a["source_layer"] for condition in spelled for a in condition.additions}
            candidates[choice] = sorted(layers)
        return candidates

    def vectors_of(self, experiment: str) -> list[tuple[str, int]]:
        """(vector, layer) of every vector file that an experiment may read."""
        entry = self.experiment(experiment)
        return sorted(vectors_needed(entry["conditions"], self.candidate_layers(experiment)))

    def choice_sources(self, experiment: str) -> list[str]:
        """The sweeps that an experiment's choices are made on."""
        choices = self.experiment(experiment).get("choices", {})
        return sorted({rule["experiment"] for rule in choices.values()})

    def _above_experiment(self, model: str, experiment: str) -> dict[str, Job]:
        entry = self.experiment(experiment)
        above = {
            "model": self.model(model),
            "prompts": self.dataset(entry["prompts"]["dataset"]),
            **{
                f"vector {vector}": self.vectors(model, vector)
                for vector, _ in self.vectors_of(experiment)
            },
        }
        if entry.get("choices"):
            above["choice"] = self.choice(model, experiment)
        return above

    def _compute(self) -> dict[str, Any]:
        compute = self.config["compute"]
        return {name: compute[name] for name in ("device", "threads")}

    def cells(self, model: str, experiment: str) -> Job:
        """Completions or log-probabilities, whichever the experiment measures."""
        entry = self.experiment(experiment)
        spec = {
            "name": experiment,
            "model": model,
            "conditions": entry["conditions"],
            "split": entry["prompts"]["split"],
            "dtype": self.config["models"][model]["dtype"],
            "compute": self._compute(),
            "batch_rows": self.config["compute"]["batch_rows"],
        }
        if entry["measure"] == "completions":
            fields = ("samples", "max_new_tokens", "sampling")
            spec |= {field: entry[field] for field in fields} | {"seed": self.config["seed"]}
        return self._job(
            ("cells", model, experiment),
            (f"programs.{entry['measure']}",),
            spec,
            **self._above_experiment(model, experiment),
        )

    def choice(self, model: str, experiment: str) -> Job:
        entry = self.experiment(experiment)
        spec = {"name": experiment, "choices": entry["choices"]}
        above = {name: self.table(model, name) for name in self.choice_sources(experiment)}
        return self._job(("choice", model, experiment), ("programs.choice",), spec, **above)

    # --- scores ----------------------------------------------------------------------------------

    def scorer_entry(self, name: str) -> dict[str, Any]:
        """A scorer's config entry, with the settings it takes from elsewhere in the config."""
        entry = {**self.config["scorers"][name], "name": name}
        if KINDS[entry["kind"]] in ("model", "source"):
            entry["compute"] = self._compute()
        if KINDS[entry["kind"]] == "model":
            entry["dtype"] = self.config["models"][entry["model"]]["dtype"]
            entry["batch_rows"] = self.config["compute"]["batch_rows"]
        return entry

    def scorer_inputs(self, name: str) -> dict[str, Job]:
        """What a scorer reads besides texts: a fitted classifier, a model or a fetched source."""
        entry = self.config["scorers"][name]
        makers = {
            "classifier": lambda: self.classifier(name),
            "model": lambda: self.model(entry["model"]),
            "source": lambda: self.source(entry["source"]),
        }
        needs = KINDS[entry["kind"]]
        return {needs: makers[needs]()} if needs else {}

    def classifier(self, name: str) -> Job:
        entry = {**self.config["scorers"][name], "name": name}
        for label in ("validate", "note"):
            entry.pop(label, None)
        texts = self.dataset(entry["fit"]["dataset"])
        return self._job(
            ("classifier", name), ("programs.classifier",), {"scorer": entry}, texts=texts
        )

    def _scorer_modules(self, name: str, program: str) -> tuple[str, ...]:
        return (program, f"actadd.scorers.{self.config['scorers'][name]['kind']}")

    def scores(self, model: str, experiment: str, scorer: str) -> Job:
        entry = self.scorer_entry(scorer)
        # What a scorer is validated on and what a caption says of it change no score.
        for label in ("validate", "note"):
            entry.pop(label, None)
        return self._job(
            ("scores", model, experiment, scorer),
            self._scorer_modules(scorer, "programs.scores"),
            {"scorer": entry},
            completions=self.cells(model, experiment),
            **self.scorer_inputs(scorer),
        )

    def validation(self, scorer: str) -> Job:
        entry = self.scorer_entry(scorer)
        return self._job(
            ("validation", scorer),
            self._scorer_modules(scorer, "programs.validation"),
            {"scorer": entry},
            texts=self.dataset(entry["validate"]["dataset"]),
            **self.scorer_inputs(scorer),
        )

    def validated_scorers(self) -> list[str]:
        return [name for name, entry in self.config["scorers"].items() if "validate" in entry]

    def scorer_card(self) -> Job:
        shown = ("kind", "note", "validate")
        entries = [
            {"name": name, **{key: entry[key] for key in shown if key in entry}}
            for name, entry in sorted(self.config["scorers"].items())
        ]
        above = {name: self.validation(name) for name in self.validated_scorers()}
        return self._job(("card",), ("programs.scorer_card",), {"scorers": entries}, **above)

    # --- everything ------------------------------------------------------------------------------

    def scorers_used(self) -> list[str]:
        """Scorers of some experiment, and those that are validated."""
        used = set(self.validated_scorers())
        for entry in self.config["experiments"].values():
            used |= set(entry.get("scorers", []))
        return sorted(used)

    def models_used(self) -> list[str]:
        """Models of some experiment or figure, and those that judge."""
        used = {model for entry in self.config["experiments"].values() for model in entry["models"]}
        used |= {m for entry in self.config["figures"].values() for m in entry.get("models", [])}
        scorers = (self.config["scorers"][name] for name in self.scorers_used())
        return sorted(used | {entry["model"] for entry in scorers if "model" in entry})

    def datasets_used(self) -> list[str]:
        """Datasets of some experiment, and those that scorers are fitted or validated on."""
        used = {e["prompts"]["dataset"] for e in self.config["experiments"].values()}
        for name in self.scorers_used():
            entry = self.config["scorers"][name]
            used |= {entry[use]["dataset"] for use in ("fit", "validate") if use in entry}
        return sorted(used)

    def sources_used(self) -> list[str]:
        used = {self.config["models"][name]["source"] for name in self.models_used()}
        datasets = (self.config["datasets"][name] for name in self.datasets_used())
        scorers = (self.config["scorers"][name] for name in self.scorers_used())
        return sorted(used | {e["source"] for e in (*datasets, *scorers) if "source" in e})

    # --- tables and figures ----------------------------------------------------------------------

    def table(self, model: str, experiment: str) -> Job:
        entry = self.experiment(experiment)
        above = {"cells": self.cells(model, experiment)}
        for scorer in entry.get("scorers", []):
            above[f"scores {scorer}"] = self.scores(model, experiment, scorer)
        spec = {"measure": entry["measure"]}
        return self._job(("table", model, experiment), ("programs.table",), spec, **above)

    def figure(self, name: str) -> Job:
        entry = self.config["figures"][name]
        spec = {**entry, "name": name}
        above: dict[str, Job] = {}
        for model in self.figure_models(name):
            if entry["kind"] == "norms":
                above |= {f"{model} {v}": self.vectors(model, v) for v in entry["vectors"]}
            else:
                above[model] = self.table(model, entry["experiment"])
        if entry["kind"] != "norms":
            spec["about"] = self._about(entry)
        return self._job(("figure", name), ("programs.figure",), spec, **above)

    def figure_models(self, name: str) -> list[str]:
        entry = self.config["figures"][name]
        if entry["kind"] == "norms":
            return entry["models"]
        return self.experiment(entry["experiment"])["models"]

    def _about(self, figure: dict[str, Any]) -> dict[str, Any]:
        """What a caption has to say of the data and the scorers behind a figure."""
        experiment = self.experiment(figure["experiment"])
        prompts = experiment["prompts"]
        data = self.config["datasets"][prompts["dataset"]]["title"]
        if prompts["split"] != "all":
            data += f" ({prompts['split']} split)"
        unit = "prompts" if experiment["measure"] == "completions" else "texts"
        shown = {metric.split(".")[0] for metric in figure.get("metrics", [])}
        notes = []
        for name in experiment.get("scorers", []):
            if name not in shown:
                continue
            note = self.config["scorers"][name].get("note")
            if note:
                notes.append(f"{name}: {note}.")
        return {"data": data, "unit": unit, "notes": notes}
