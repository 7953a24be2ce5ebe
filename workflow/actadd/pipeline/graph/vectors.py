"""Stages of steering vectors: activations of contrast prompts, vectors, norms and lenses."""

from collections.abc import Iterable
from typing import Any

from actadd.measure.additions import DOSE
from actadd.measure.conditions import at_depth, expand, vectors_needed
from actadd.pipeline.graph.sources import Sources, once
from actadd.pipeline.job import File, Job
from actadd.vectors.kinds import VECTOR_KINDS, parts_of


class Vectors(Sources):
    """Activations, vectors and lenses, and the vectors that an experiment reads."""

    def _of_vector(
        self, stage: str, model: str, vector: str, kind: str, *rest: Any, **about: Any
    ) -> Job:
        """A job of a vector of some kind: one rule for each model, whose layers it reads."""
        rule = f"{stage}_{model.replace('-', '_')}"
        layers = self.config["models"][model]["layers"]
        names = {"model": model, "vector": vector}
        modules = (f"programs.{stage}", VECTOR_KINDS[kind].module)
        return self._job(stage, names, modules, *rest, rule=rule, layers=layers, **about)

    def contrast(self, vector: str) -> str:
        """The vector whose cached activations a vector's job reads: itself or another."""
        entry = self.config["vectors"][vector]
        if parts := parts_of(entry):
            return self.contrast(parts[0])
        name: str = entry.get("like", vector)
        return name

    @once
    def activations(self, model: str, vector: str) -> Job:
        entry = {**self.config["vectors"][vector], "name": vector}
        if entry["kind"] == "file":
            # The file is not read here: only the reference sentence's stream is cached.
            entry = {"kind": "file", "name": vector}
        settings = {
            "contrast": entry,
            "dtype": self.config["models"][model]["dtype"],
            "compute": self.compute(model),
        }
        pairs = self.texts(entry["pairs"]["dataset"]) if "pairs" in entry else ()
        inputs = {**self.model_files(model), "pairs": pairs}
        return self._of_vector("activations", model, vector, entry["kind"], settings, inputs)

    @once
    def vectors(self, model: str, vector: str) -> Job:
        entry = {**self.config["vectors"][vector], "name": vector}
        layers = self.activations(model, self.contrast(vector)).files("layers")
        parts = self.vector_files(model, parts_of(entry))
        inputs: dict[str, tuple[File, ...]] = {"activations": layers, "file": (), "vectors": parts}
        sums = None
        if entry["kind"] == "file":
            inputs["file"] = self.own_file(entry["file"])
            sums = self.sum_of(entry["file"])
        return self._of_vector(
            "vectors",
            model,
            vector,
            entry["kind"],
            {"model": model, "vector": entry},
            inputs,
            sums=sums,
        )

    def vector_files(self, model: str, vectors: Iterable[str]) -> tuple[File, ...]:
        """The files of some vectors, in order."""
        jobs = (self.vectors(model, vector) for vector in vectors)
        return tuple(file for job in jobs for file in job.files("vector"))

    def norms(self, models: list[str], vectors: list[str]) -> tuple[File, ...]:
        """The norms of some vectors on some models."""
        jobs = (self.vectors(model, vector) for model in models for vector in vectors)
        return tuple(file for job in jobs for file in job.files("norms"))

    @once
    def lens(self, model: str, lens: str) -> Job:
        entry = self.config["lenses"][lens]
        settings = {
            "name": lens,
            "model": model,
            "vectors": entry["vectors"],
            "top": entry["top"],
            "dtype": self.config["models"][model]["dtype"],
            "compute": self.compute(model),
        }
        files = self.vector_files(model, entry["vectors"])
        inputs = {**self.model_files(model), "vectors": files}
        return self._job(
            "lens", {"model": model, "lens": lens}, ("programs.lens",), settings, inputs
        )

    @once
    def pair_check(self, model: str, pair_check: str) -> Job:
        """What can be known of some pairs before sampling."""
        entry = self.config["pair_checks"][pair_check]
        vectors = [{**self.config["vectors"][name], "name": name} for name in entry["vectors"]]
        settings = {
            "name": pair_check,
            "vectors": vectors,
            "layer": entry["layer"],
            "dose": entry["dose"],
            "dtype": self.config["models"][model]["dtype"],
            "compute": self.compute(model),
        }
        names = {"model": model, "pair_check": pair_check}
        # A pair's agreement over contexts is that of their mean difference.
        kinds = sorted({"mean_difference", *(entry["kind"] for entry in vectors)})
        modules = ("programs.pair_check", *(VECTOR_KINDS[kind].module for kind in kinds))
        modules += self.operation_modules
        return self._job("pair_check", names, modules, settings, self.model_files(model))

    # --- vectors of an experiment -----------------------------------------------------------------

    def conditions(self, model: str, experiment: str) -> dict[str, dict[str, Any]]:
        """An experiment's conditions, with relative depths as layers of a model."""
        entry = self.experiment(experiment)
        return at_depth(entry["conditions"], self.config["models"][model]["layers"])

    def candidate_layers(self, model: str, experiment: str) -> dict[str, list[int]]:
        """Choice of an experiment -> the source layers that it is made among."""
        candidates = {}
        for choice, rule in self.experiment(experiment).get("choices", {}).items():
            sweep = self.conditions(model, rule["experiment"])[rule["condition"]]
            layers = {
                layer
                for condition in expand({rule["condition"]: sweep})
                for addition in condition.additions
                for layer in addition.layers_read
            }
            candidates[choice] = sorted(layers)
        return candidates

    @once
    def stream_norms(self, model: str) -> Job:
        """The norms of a model's residual stream, which doses are shares of."""
        entry = {name: value for name, value in self.config[DOSE].items() if name != "dataset"}
        settings = {
            "model": model,
            "texts": entry,
            "dtype": self.config["models"][model]["dtype"],
            "compute": self.compute(model),
        }
        inputs = {**self.model_files(model), "texts": self.texts(self.config[DOSE]["dataset"])}
        modules = ("programs.stream_norms",)
        return self._job("stream_norms", {"model": model}, modules, settings, inputs)

    def norms_for_doses(self, model: str, experiment: str) -> tuple[File, ...]:
        """The norms that an experiment's doses are shares of; () without a dose."""
        entry = self.experiment(experiment)
        conditions = entry["conditions"].values()
        additions = (each for condition in conditions for each in condition.get("additions", []))
        choices = {name for name, rule in entry.get("choices", {}).items() if self._doses(rule)}
        dosed = any(DOSE in each or each.get("choice") in choices for each in additions)
        return self.stream_norms(model).files("norms") if dosed else ()

    def _doses(self, rule: dict[str, Any]) -> bool:
        """Whether what a choice is made of was swept as a dose."""
        sweep = self.experiment(rule["experiment"])["conditions"][rule["condition"]]
        return any(DOSE in addition for addition in sweep["additions"])

    def vectors_of(self, model: str, experiment: str) -> list[tuple[str, int]]:
        """(vector, layer) of every vector file that an experiment may read."""
        candidates = self.candidate_layers(model, experiment)
        return sorted(vectors_needed(self.conditions(model, experiment), candidates))
