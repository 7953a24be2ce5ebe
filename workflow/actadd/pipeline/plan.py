"""What each job depends on: exactly its slice of the config, and the digests of what it reads.

A job's `spec` is one canonical JSON string. It names the jobs upstream by their digests, so that a
change anywhere above changes every spec below; a job that failed once can then never leave an older
figure standing as up to date. Pure functions of the config, of our source, and of data files that
the config names.
"""

import json
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from actadd.base.files import canonical, sha256_file
from actadd.base.kinds import plugin_files
from actadd.config.licences import terms, unaccepted
from actadd.data.readers.kinds import READERS, possible_readers
from actadd.measure.conditions import at_depth, expand, modules_of, vectors_needed
from actadd.measure.measures import MEASURES
from actadd.pipeline.program import job_digest
from actadd.results.displays import needs
from actadd.scorers.kinds import SCORERS, asks, metrics, reads
from actadd.store.digests import code_digest
from actadd.vectors.kinds import VECTOR_KINDS


@dataclass(frozen=True)
class Job:
    """One job's identity: its config slice and its code."""

    slice: dict[str, Any]
    code: str

    @cached_property
    def spec(self) -> str:
        """Canonical JSON in ASCII, which passes through a command line in any locale."""
        return json.dumps(canonical(self.slice), sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        return job_digest(self.slice, self.code)


def listed(numbers: set[int]) -> str:
    """Numbers in words, runs of them as ranges: "0–5, 9"."""
    ordered, runs = sorted(numbers), []
    for number in ordered:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = (f"{a}" if a == b else f"{a}, {b}" if b == a + 1 else f"{a}–{b}" for a, b in runs)
    return ", ".join(shown)


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
            if plugins := plugin_files(modules):
                spec = {**spec, "plugins": plugins}
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
        fields = ("format", "layers", "parameters", "bos", "pad", "chat_template")
        spec = {"name": name, **{field: entry[field] for field in fields}}
        optional = ("stop", "chat_variables", "chat_date")
        spec |= {field: entry[field] for field in optional if field in entry}
        if entry["trust_remote_code"]:
            spec["trust_remote_code"] = True
        if missing := unaccepted(self.config, [name]):
            spec["terms"] = terms(self.config, missing)
        source = self.source(entry["source"])
        above = {} if self.verifies_apart else self._verifying(name)
        spec = {"model": spec, **above}
        return self._job(("model", name), ("programs.model",), spec, source=source)

    @property
    def verifies_apart(self) -> bool:
        """Whether models are verified by a rule of its own, since that takes a GPU."""
        return self.config["compute"]["device"] == "cuda"

    def _verifying(self, model: str) -> dict[str, Any]:
        """How a model is loaded to be verified: as experiments load it, with one thread."""
        compute = {k: v for k, v in self._compute(model).items() if k != "threads"}
        return {"dtype": self.config["models"][model]["dtype"], "compute": compute}

    def verification(self, model: str) -> dict[str, Job]:
        """What a job that computes with a model waits for: that it was verified, by a job apart."""
        if not self.verifies_apart:
            return {}
        spec = {"name": model, **self._verifying(model)}
        key, above = ("verification", model), self.model(model)
        return {"verification": self._job(key, ("programs.verification",), spec, model=above)}

    def verification_record(self, model: str) -> tuple[str, Job]:
        """The path that holds a model's verification, and the job that makes it."""
        if self.verifies_apart:
            return f"results/models/{model}.verification.json", *self.verification(model).values()
        return f"results/models/{model}", self.model(model)

    def dataset(self, name: str) -> Job:
        entry = self.config["datasets"][name]
        above = {key: self.source(entry[key]) for key in ("source", "punkt") if key in entry}
        kept = {key: value for key, value in entry.items() if key != "title"}
        if "splits" in kept:
            # As pairs: their order decides, and a job's spec has sorted keys.
            kept["splits"] = list(kept["splits"].items())
        readers = possible_readers(entry)
        spec = {"dataset": {**kept, "name": name, "readers": readers}}
        if "file" in entry and "source" not in entry:
            # By content: an older file put back is noticed, and so is what a failed job left.
            spec["sha256"] = sha256_file(self.root / entry["file"])
        modules = (READERS[reader].module for reader in readers)
        return self._job(("dataset", name), ("programs.dataset", *modules), spec, **above)

    def overlap_pairs(self, section: str, name: str) -> list[dict[str, Any]]:
        """What must not overlap in an experiment, or in a scorer's validation; see `overlaps`."""
        entry, key = self.config[section][name], f"{section}.{name}"
        if section == "scorers":
            validated, fit = entry.get("validate"), entry.get("fit")
            # Splits of one dataset share nothing.
            if not validated or not fit or validated["dataset"] == fit["dataset"]:
                return []
            fields = ("dataset", "split", "limit")
            rows = {field: validated[field] for field in fields if field in validated}
            texts = {**rows, "key": f"{key}.validate"}
            return [self._against_fit(texts, name, validated, f"{key}.validate")]
        texts = {**entry["prompts"], "key": f"{key}.prompts"}
        fitted = [
            name for name in entry.get("scorers", []) if "fit" in self.config["scorers"][name]
        ]
        pairs = [self._against_fit(texts, scorer, entry, key) for scorer in fitted]
        for sweep in self.choice_sources(name):
            other = self.experiment(sweep)["prompts"]
            if other["dataset"] != texts["dataset"]:
                use = f"experiments.{sweep} is run on, where its settings are chosen"
                others = {**other, "key": f"experiments.{sweep}.prompts", "use": use}
                pairs.append(
                    {"texts": texts, "others": others, "beginnings": True, "refused": False}
                )
        return pairs

    def _against_fit(
        self, texts: dict[str, Any], scorer: str, entry: dict[str, Any], key: str
    ) -> dict[str, Any]:
        """A comparison with what a scorer is fitted on; entry, key: what may allow an overlap."""
        fit = f"scorers.{scorer}.fit"
        others = {**self.config["scorers"][scorer]["fit"], "key": fit}
        return {
            "texts": texts,
            "others": {**others, "use": f"scorers.{scorer} is fitted on"},
            # Prompts are often the beginnings of texts, labelled texts are whole.
            "beginnings": texts["key"].startswith("experiments."),
            "refused": not entry.get("allow_overlap"),
            "remedy": f"take another split there or in {fit}, or write {key}.allow_overlap: true",
        }

    def overlaps(self, section: str, name: str) -> Job:
        """The comparison of an experiment's, or of a scorer's, texts with what is fitted."""
        pairs = self.overlap_pairs(section, name)
        named = sorted({pair[side]["dataset"] for pair in pairs for side in ("texts", "others")})
        above = {dataset: self.dataset(dataset) for dataset in named}
        key = ("overlaps", section, name)
        return self._job(key, ("programs.overlaps",), {"pairs": pairs}, **above)

    # --- vectors ---------------------------------------------------------------------------------

    def contrast(self, vector: str) -> str:
        """The vector whose contrast prompts a vector is made from: itself, or what it resembles."""
        return self.config["vectors"][vector].get("like", vector)

    def activations(self, model: str, contrast: str) -> Job:
        entry = {**self.config["vectors"][contrast], "name": contrast}
        if entry["kind"] == "file":
            # Nothing of the file is read then: only the reference sentence's stream is cached.
            entry = {"kind": "file", "name": contrast}
        spec = {
            "contrast": entry,
            "dtype": self.config["models"][model]["dtype"],
            "compute": self._compute(model),
        }
        key = ("activations", model, contrast)
        above = {"model": self.model(model), **self.verification(model)}
        modules = ("programs.activations", VECTOR_KINDS[spec["contrast"]["kind"]].module)
        return self._job(key, modules, spec, **above)

    def vectors(self, model: str, vector: str) -> Job:
        spec = {"vector": {**self.config["vectors"][vector], "name": vector}}
        if spec["vector"]["kind"] == "file":
            spec["sha256"] = sha256_file(self.root / spec["vector"]["file"])
        above = self.activations(model, self.contrast(vector))
        modules = ("programs.vectors", VECTOR_KINDS[spec["vector"]["kind"]].module)
        return self._job(("vectors", model, vector), modules, spec, activations=above)

    # --- experiments -----------------------------------------------------------------------------

    def experiment(self, name: str) -> dict[str, Any]:
        return self.config["experiments"][name]

    def conditions(self, model: str, experiment: str) -> dict[str, dict]:
        """An experiment's conditions, with the layers that its depths mean in a model."""
        entry = self.experiment(experiment)
        return at_depth(entry["conditions"], self.config["models"][model]["layers"])

    def candidate_layers(self, model: str, experiment: str) -> dict[str, list[int]]:
        """For each choice of an experiment, the source layers among which it is made."""
        candidates = {}
        for choice, rule in self.experiment(experiment).get("choices", {}).items():
            sweep = self.conditions(model, rule["experiment"])[rule["condition"]]
            spelled = expand({rule["condition"]: sweep})
            layers = {
                layer
                for condition in spelled
                for addition in condition.additions
                for layer in addition.layers
            }
            candidates[choice] = sorted(layers)
        return candidates

    def vectors_of(self, model: str, experiment: str) -> list[tuple[str, int]]:
        """(vector, layer) of every vector file that an experiment may read."""
        candidates = self.candidate_layers(model, experiment)
        return sorted(vectors_needed(self.conditions(model, experiment), candidates))

    def choice_sources(self, experiment: str) -> list[str]:
        """The sweeps that an experiment's choices are made on."""
        choices = self.experiment(experiment).get("choices", {})
        return sorted({rule["experiment"] for rule in choices.values()})

    def _above_experiment(self, model: str, experiment: str) -> dict[str, Job]:
        entry = self.experiment(experiment)
        above = {
            "model": self.model(model),
            **self.verification(model),
            **(self.batch_shape(model) if MEASURES[entry["measure"]].batched else {}),
            "prompts": self.dataset(entry["prompts"]["dataset"]),
            **{
                f"vector {vector}": self.vectors(model, vector)
                for vector, _ in self.vectors_of(model, experiment)
            },
        }
        if entry.get("choices"):
            above["choice"] = self.choice(model, experiment)
        return above

    def _compute(self, model: str | None = None) -> dict[str, Any]:
        """Where a job computes, and what of it is a model's own; defaults are left out."""
        compute = {name: self.config["compute"][name] for name in ("device", "threads")}
        entry = self.config["models"].get(model, {})
        fields = ("device_map", "quantization", "trust_remote_code")
        compute |= {field: entry[field] for field in fields if entry.get(field)}
        if compute["device"] == "cuda" and entry.get("gpus", 1) > 1:
            compute["gpus"] = entry["gpus"]
        return compute

    @property
    def proposes_rows(self) -> bool:
        """Whether the rows of a batch are proposed from the machine's memory."""
        return self.config["compute"]["batch_rows"] == "auto"

    def batch_shape(self, model: str) -> dict[str, Job]:
        """What a job that computes with a model reads besides: the proposed shape, if any."""
        if not self.proposes_rows:
            return {}
        spec = {"dtype": self.config["models"][model]["dtype"], "compute": self._compute(model)}
        key, above = ("batch shape", model), self.model(model)
        return {"shape": self._job(key, ("programs.batch_shape",), spec, model=above)}

    def cells(self, model: str, experiment: str) -> Job:
        """Completions or log-probabilities, whichever the experiment measures."""
        entry = self.experiment(experiment)
        spec = {
            "name": experiment,
            "measure": entry["measure"],
            "model": model,
            "conditions": self.conditions(model, experiment),
            "prompts": {k: v for k, v in entry["prompts"].items() if k != "dataset"},
            "dtype": self.config["models"][model]["dtype"],
            "compute": self._compute(model),
            "batch_rows": self.config["compute"]["batch_rows"],
        }
        measure = MEASURES[entry["measure"]]
        keys = [option.name for option in fields(measure.options)]
        spec |= {key: entry[key] for key in keys if key in entry}
        if measure.draws:
            spec["seed"] = self.config["seed"]
        return self._job(
            ("cells", model, experiment),
            ("programs.cells", measure.module, *modules_of(entry["conditions"])),
            spec,
            **self._above_experiment(model, experiment),
        )

    def choice(self, model: str, experiment: str) -> Job:
        entry = self.experiment(experiment)
        spec = {"name": experiment, "choices": entry["choices"]}
        above = {name: self.summary(model, name) for name in self.choice_sources(experiment)}
        return self._job(("choice", model, experiment), ("programs.choice",), spec, **above)

    # --- scores ----------------------------------------------------------------------------------

    def scorer_entry(self, name: str) -> dict[str, Any]:
        """A scorer's config entry, with the settings it takes from elsewhere in the config."""
        entry = {**self.config["scorers"][name], "name": name}
        if reads(entry["kind"]) in ("model", "source"):
            entry["compute"] = self._compute(entry.get("model"))
        if reads(entry["kind"]) == "model":
            entry["dtype"] = self.config["models"][entry["model"]]["dtype"]
            entry["batch_rows"] = self.config["compute"]["batch_rows"]
        if asks(entry["kind"]):
            entry["answers"] = "results/answers"
        return entry

    def scorer_inputs(self, name: str) -> dict[str, Job]:
        """What a scorer reads besides texts: a fitted classifier, a model or a fetched source."""
        entry = self.config["scorers"][name]
        makers = {
            "classifier": lambda: self.classifier(name),
            "model": lambda: self.model(entry["model"]),
            "source": lambda: self.source(entry["source"]),
        }
        needs = reads(entry["kind"])
        more = {}
        if needs == "model":
            more = self.verification(entry["model"]) | self.batch_shape(entry["model"])
        return {needs: makers[needs](), **more} if needs else {}

    def judges(self, name: str) -> bool:
        """Whether a model judges: one of ours, or a fetched one."""
        return reads(self.config["scorers"][name]["kind"]) in ("model", "source")

    def classifier(self, name: str) -> Job:
        entry = {**self.config["scorers"][name], "name": name}
        for label in ("validate", "note", "cut"):
            entry.pop(label, None)
        texts = self.dataset(entry["fit"]["dataset"])
        return self._job(
            ("classifier", name),
            self._scorer_modules(name, "programs.classifier"),
            {"scorer": entry},
            texts=texts,
        )

    def _scorer_modules(self, name: str, program: str) -> tuple[str, ...]:
        return (program, SCORERS[self.config["scorers"][name]["kind"]].module)

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

    # --- summaries -------------------------------------------------------------------------------

    def summary(self, model: str, experiment: str) -> Job:
        entry = self.experiment(experiment)
        above = {"cells": self.cells(model, experiment)}
        for scorer in entry.get("scorers", []):
            above[f"scores {scorer}"] = self.scores(model, experiment, scorer)
        spec = {"measure": entry["measure"]}
        measure = MEASURES[entry["measure"]]
        keys = [option.name for option in fields(measure.summary)]
        spec |= {key: entry[key] for key in keys if key in entry}
        if measure.draws:
            spec["shares"] = {name: self._shares(name) for name in entry.get("scorers", [])}
        return self._job(("summary", model, experiment), ("programs.summary",), spec, **above)

    def _shares(self, scorer: str) -> list[str]:
        """A scorer's metrics that are shares."""
        return [name for name, share in metrics(self.config["scorers"][scorer]).items() if share]

    # --- reading vectors, timing ----------------------------------------------------------------

    def lens(self, model: str, name: str) -> Job:
        entry = self.config["lenses"][name]
        spec = {
            "name": name,
            "model": model,
            "vectors": entry["vectors"],
            "top": entry["top"],
            "dtype": self.config["models"][model]["dtype"],
            "compute": self._compute(model),
        }
        above = {vector: self.vectors(model, vector) for vector in entry["vectors"]}
        return self._job(
            ("lens", model, name),
            ("programs.lens",),
            spec,
            model=self.model(model),
            **self.verification(model),
            **above,
        )

    def overhead(self, name: str, subject: str) -> Job:
        """subject: one of the models, or of the shapes with random weights."""
        entry = self.config["overheads"][name]
        shape = entry["shapes"].get(subject)
        fields = ("rows", "tokens", "repeats", "warmup", "layer", "positive", "negative")
        spec = {
            "name": subject,
            "shape": shape,
            **{field: entry[field] for field in fields},
            "seed": self.config["seed"],
            "dtype": "float32" if shape else self.config["models"][subject]["dtype"],
            "compute": self._compute(None if shape else subject),
        }
        above = {} if shape else {"model": self.model(subject), **self.verification(subject)}
        return self._job(("overhead", name, subject), ("programs.overhead",), spec, **above)

    def overhead_subjects(self, name: str) -> list[str]:
        entry = self.config["overheads"][name]
        return [*entry["models"], *entry["shapes"]]

    # --- figures and tables ----------------------------------------------------------------------

    def display_inputs(self, section: str, name: str) -> dict[str, Job]:
        """What a figure or table reads: path -> job, in order."""
        jobs: dict[str, Job] = {}
        for each in needs.inputs(section, self.config[section][name], self.config):
            jobs |= self._needed(each)
        return jobs

    def _needed(self, each: needs.Input) -> dict[str, Job]:
        if each.need == "comparison":
            return {"results/comparison.parquet": self.comparison()}
        jobs: dict[str, Job] = {}
        for model, name in product(each.models, each.names):
            if each.need == "overhead":
                jobs[f"results/overhead/{name}/{model}.parquet"] = self.overhead(name, model)
            elif each.need in ("tokens", "cosines"):
                jobs[f"results/lenses/{model}/{name}/{each.need}.parquet"] = self.lens(model, name)
            elif each.need == "norms":
                jobs[f"results/vectors/{model}/{name}/norms.csv"] = self.vectors(model, name)
            elif each.need == "summary":
                jobs[f"results/summaries/{model}/{name}.parquet"] = self.summary(model, name)
            else:
                measure = self.experiment(name)["measure"]
                jobs[f"results/{measure}/{model}/{name}.parquet"] = self.cells(model, name)
        return jobs

    def display_models(self, entry: dict[str, Any]) -> tuple[str, ...]:
        return needs.models_of(entry, self.config)

    def display_vectors(self, entry: dict[str, Any]) -> tuple[str, ...]:
        return needs.vectors_of(entry, self.config)

    def display(self, section: str, name: str) -> Job:
        """A figure (section "figures") or a table to read (section "tables")."""
        entry = self.config[section][name]
        modules = {"figures": ("programs.figure",), "tables": ("programs.table",)}[section]
        # Imported by its name, which the digest of the program does not see.
        modules += (needs.kind_of(section, entry).module,)
        spec = {**entry, "name": name, "about": needs.facts(entry, self.config)}
        above = self.display_inputs(section, name)
        return self._job((section, name), modules, spec, **above)

    def comparison(self) -> Job:
        """Published numbers beside ours."""
        entry = self.config["comparison"]
        context = {
            name: {
                "dataset": (dataset := self.experiment(name)["prompts"]["dataset"]),
                "data": self.config["datasets"][dataset]["title"],
                "models": self.experiment(name)["models"],
            }
            for name in self.compared()
        }
        published = self.root / entry["published"] if entry.get("published") else None
        spec = {
            "comparisons": entry["comparisons"],
            "claims": entry["claims"],
            "context": context,
            "sha256": sha256_file(published) if published else None,
            "relative_to": entry.get("norms", {}).get("relative_to"),
        }
        above = self.comparison_norms() | self.comparison_summaries()
        return self._job(("comparison",), ("programs.comparison",), spec, **above)

    def comparison_summaries(self) -> dict[str, Job]:
        """Summaries that are compared with published numbers: path -> job."""
        return {
            f"results/summaries/{model}/{name}.parquet": self.summary(model, name)
            for name in self.compared()
            for model in self.experiment(name)["models"]
        }

    def comparison_norms(self) -> dict[str, Job]:
        """Norms of vectors that are compared with published ones: path -> job."""
        entry = self.config["comparison"].get("norms", {"vectors": [], "models": []})
        vectors = [*entry["vectors"], *filter(None, [entry.get("relative_to")])]
        return {
            f"results/vectors/{model}/{vector}/norms.csv": self.vectors(model, vector)
            for model in entry["models"]
            for vector in vectors
        }

    def compared(self) -> list[str]:
        """Experiments that the paper's numbers are compared with."""
        entry = self.config["comparison"]
        items = [*entry["comparisons"].values(), *entry["claims"].values()]
        names = {selector["experiment"] for selector in needs.selectors(items)}
        # Norms are no experiment of the config; see `comparison_norms`.
        return sorted(names - {"norms"})

    # --- report ----------------------------------------------------------------------------------

    def display_labels(self, section: str, name: str) -> dict[str, str]:
        """What the report says beside a figure or table: experiment, model, vector, layer."""
        entry = self.config[section][name]
        experiment = entry.get("experiment")
        if experiment:
            models = self.experiment(experiment)["models"]
            added = {pair for model in models for pair in self.vectors_of(model, experiment)}
            vectors, layers = {vector for vector, _ in added}, listed({layer for _, layer in added})
            if self.experiment(experiment).get("choices"):
                layers = f"chosen of {layers}"
        elif "lens" in entry or "vectors" in entry:
            models = self.config["lenses"].get(entry.get("lens"), entry)["models"]
            vectors, layers = set(self.display_vectors(entry)), "all"
        else:
            timed = "overhead" in entry
            models = self.overhead_subjects(entry["overhead"]) if timed else []
            vectors, layers = set(), ""
        several = f"{len(vectors)} vectors" if len(vectors) > 3 else ", ".join(sorted(vectors))
        found = {
            section.removesuffix("s"): name,
            "experiment": experiment or "",
            "model": ", ".join(models),
            "vector": several,
            "layer": layers,
        }
        return {key: value or "–" for key, value in found.items()}

    # --- explorer --------------------------------------------------------------------------------

    def explorer_inputs(self, experiments: list[str]) -> dict[str, dict[str, Job]]:
        """Completions, scores and summaries of experiments: path -> job, in order."""
        kinds = ("completions", "scores", "summaries", "verifications")
        jobs: dict[str, dict[str, Job]] = {kind: {} for kind in kinds}
        for name in experiments:
            entry = self.experiment(name)
            for model in entry["models"]:
                place = f"{model}/{name}"
                summary = f"results/summaries/{place}.parquet"
                jobs["summaries"][summary] = self.summary(model, name)
                record, job = self.verification_record(model)
                jobs["verifications"][record] = job
                if entry["measure"] != "completions":
                    continue
                cells = f"results/completions/{place}.parquet"
                jobs["completions"][cells] = self.cells(model, name)
                for scorer in entry.get("scorers", []):
                    scores = f"results/scores/{place}/{scorer}.parquet"
                    jobs["scores"][scores] = self.scores(model, name, scorer)
        return jobs

    def explorer(self, experiments: list[str]) -> Job:
        """A page that shows experiments, and what a report says of them first."""
        # What can be read comes first.
        given = sorted(experiments, key=lambda n: self.experiment(n)["measure"] != "completions")
        entries = [self._explored(name) for name in given]
        models = sorted({model for entry in entries for model in entry["models"]})
        spec = {
            "title": "Steering explorer",
            "experiments": entries,
            "models": {name: self.config["models"][name]["source"] for name in models},
            "seed": self.config["seed"],
            "device": self.config["compute"]["device"],
        }
        above: dict[str, Job] = {}
        for jobs in self.explorer_inputs(experiments).values():
            above |= jobs
        return self._job(("explorer", *experiments), ("programs.explorer",), spec, **above)

    def _explored(self, name: str) -> dict[str, Any]:
        entry = self.experiment(name)
        scorers = {scorer: self.config["scorers"][scorer] for scorer in entry.get("scorers", [])}
        labels: dict[str, str] = {}
        for display in (*self.config["figures"].values(), *self.config["tables"].values()):
            if display.get("experiment") == name:
                labels |= display.get("labels", {})
        return {
            "name": name,
            "title": entry["title"],
            "measure": entry["measure"],
            "models": entry["models"],
            "data": needs.data_title(name, self.config),
            "notes": {name: own["note"] for name, own in scorers.items() if "note" in own},
            "labels": labels,
            "controls": needs.controls(self.config),
        }

    # --- targets ---------------------------------------------------------------------------------

    def displays(self, paper: bool) -> list[tuple[str, str]]:
        """(section, name) of the figures and tables that belong to the paper, or that do not."""
        return [
            (section, name)
            for section in ("figures", "tables")
            for name, entry in self.config[section].items()
            if ("paper" in entry) == paper
        ]

    def experiments_of(self, shown: list[tuple[str, str]]) -> list[str]:
        """Experiments behind figures and tables, and those that they choose their settings on."""
        found: set[str] = set()
        for section, name in shown:
            entry = self.config[section][name]
            if "experiment" in entry:
                found.add(entry["experiment"])
            if "comparison" in needs.kind_of(section, entry).reads:
                found |= set(self.compared())
        for name in list(found):
            found |= set(self.choice_sources(name))
        return sorted(found)

    def paper_experiments(self) -> list[str]:
        """What the target `paper` measures."""
        return self.experiments_of(self.displays(paper=True))

    def own_experiments(self) -> list[str]:
        """What the default target measures: what the config has beside the paper's.

        An experiment that no figure and no table shows belongs to it: somebody wrote it to be run.
        """
        paper, own = self.displays(paper=True), self.displays(paper=False)
        shown = self.experiments_of(paper + own)
        unshown = [name for name in self.config["experiments"] if name not in shown]
        return sorted({*self.experiments_of(own), *unshown})

    def scorers_of(self, experiments: list[str]) -> list[str]:
        return sorted({s for name in experiments for s in self.experiment(name).get("scorers", [])})
