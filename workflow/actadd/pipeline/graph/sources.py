"""Stages that fetch, check and convert models and data."""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, cast

from actadd.base.kinds import plugin_files
from actadd.config.files import path_of
from actadd.config.licences import terms, unaccepted
from actadd.data.readers.kinds import READERS, possible_readers
from actadd.data.sources.local_files import own_files
from actadd.engine.operations import OPERATIONS
from actadd.measure.additions import DEFAULT_OPERATION
from actadd.pipeline.job import File, Inputs, Job
from actadd.scorers.kinds import reads
from actadd.store.sums import sha256

P = ParamSpec("P")


def once(method: Callable[Concatenate[Any, P], Job]) -> Callable[Concatenate[Any, P], Job]:
    """A method of the graph that makes each job once, so that equal jobs are the same object."""

    @wraps(method)
    def job(self: Any, *args: P.args, **names: P.kwargs) -> Job:
        key = (method.__name__, args, tuple(sorted(names.items())))
        if key not in self._jobs:
            self._jobs[key] = method(self, *args, **names)
        result: Job = self._jobs[key]
        return result

    return cast("Callable[Concatenate[Any, P], Job]", job)


class Base:
    """A validated config, and the jobs that have been requested so far."""

    def __init__(self, config: dict[str, Any], root: Path = Path()):
        """root: the folder that relative paths in the config start from."""
        self.config = config
        self.root = root
        self._jobs: dict[tuple[Any, ...], Job] = {}

    def _job(
        self,
        stage: str,
        names: Mapping[str, str],
        modules: tuple[str, ...],
        settings: dict[str, Any],
        inputs: Inputs | None = None,
        **about: Any,
    ) -> Job:
        """The job of a stage with some names. about: further fields of `Job`."""
        if plugins := plugin_files(modules):
            settings = {**settings, "plugins": plugins}
        fields = {"rule": stage, **about}
        return Job(stage, names, settings=settings, modules=modules, inputs=inputs or {}, **fields)


class Sources(Base):
    """Fetched sources, prepared models and datasets."""

    @once
    def fetch(self, source: str) -> Job:
        entry, sums = self.config["sources"][source], None
        if entry["type"] == "path":
            users = [*self.config["models"].values(), *self.config["scorers"].values()]
            of_model = any(user.get("source") == source for user in users)
            entry = {**entry, "of_model": of_model}
            path = self.root / Path(entry["path"]).expanduser()
            sums = partial(self._sums, path, of_model)
        # Files are pinned by their sums, so our code cannot change them: an edit of the library
        # downloads nothing again.
        settings = {"name": source, "source": entry}
        return self._job("fetch", {"source": source}, (), settings, sums=sums)

    def _sums(self, path: Path, of_model: bool) -> dict[str, str]:
        """The sums of the user's files at a path, by name."""
        return {name: sha256(file) for name, file in own_files(path, of_model).items()}

    def _source(self, name: str) -> tuple[File, ...]:
        return self.fetch(name).files("folder")

    @once
    def model(self, model: str) -> Job:
        entry = self.config["models"][model]
        fields = ("format", "layers", "parameters", "bos", "pad", "chat_template")
        spec = {"name": model, **{field: entry[field] for field in fields}}
        optional = ("stop", "chat_variables", "chat_date")
        spec |= {field: entry[field] for field in optional if field in entry}
        if entry["trust_remote_code"]:
            spec["trust_remote_code"] = True
        if missing := unaccepted(self.config, [model]):
            spec["terms"] = terms(self.config, missing)
        verifying = {} if self.verifies_apart else self._verifying(model)
        settings = {"model": spec, **verifying}
        inputs = {"source": self._source(entry["source"])}
        modules = ("programs.model", *self.operation_modules)
        return self._job("model", {"model": model}, modules, settings, inputs)

    def model_files(self, model: str) -> Inputs:
        """Inputs of a job that computes with a model: its folder, and its verification record."""
        record = (self.verification_record(model),)
        return {"model": self.model(model).files("folder"), "verified": record}

    @property
    def operation_modules(self) -> tuple[str, ...]:
        """The module of the default operation, with which models are verified and timed."""
        return (OPERATIONS[DEFAULT_OPERATION].module,)

    @property
    def verifies_apart(self) -> bool:
        """Whether a separate rule verifies models, since that takes a GPU."""
        return bool(self.config["compute"]["device"] == "cuda")

    def _verifying(self, model: str) -> dict[str, Any]:
        """How a model is loaded for verification: as experiments load it, with one thread."""
        compute = {k: v for k, v in self.compute(model).items() if k != "threads"}
        return {"dtype": self.config["models"][model]["dtype"], "compute": compute}

    @once
    def verification(self, model: str) -> Job:
        """The job that verifies a model; only if `verifies_apart`."""
        settings = {"name": model, **self._verifying(model)}
        inputs = {"model": self.model(model).files("folder")}
        modules = ("programs.verification", *self.operation_modules)
        return self._job("verification", {"model": model}, modules, settings, inputs)

    def verification_record(self, model: str) -> File:
        """The file or folder that holds the record of a model's verification."""
        if self.verifies_apart:
            return self.verification(model).files("record")[0]
        return self.model(model).files("folder")[0]

    def compute(self, model: str | None = None) -> dict[str, Any]:
        """Where a job computes and how its model is loaded; defaults are left out."""
        compute = {name: self.config["compute"][name] for name in ("device", "threads")}
        entry = self.config["models"].get(model, {})
        fields = ("device_map", "quantization", "trust_remote_code")
        compute |= {field: entry[field] for field in fields if entry.get(field)}
        if entry and compute["device"] == "cuda" and entry["gpus"] > 1:
            compute["gpus"] = entry["gpus"]
        return compute

    @property
    def proposes_rows(self) -> bool:
        """Whether the rows of a batch are derived from the machine's memory."""
        return bool(self.config["compute"]["batch_rows"] == "auto")

    @once
    def batch_rows(self, model: str) -> Job:
        """The job that proposes the rows of a batch; only if `proposes_rows`."""
        settings = {"dtype": self.config["models"][model]["dtype"], "compute": self.compute(model)}
        modules, inputs = ("programs.batch_rows",), self.model_files(model)
        return self._job("batch_rows", {"model": model}, modules, settings, inputs)

    def batch_rows_file(self, model: str) -> tuple[File, ...]:
        """The proposed batch rows of a model; () if the config states them."""
        return self.batch_rows(model).files("rows") if self.proposes_rows else ()

    @once
    def dataset(self, dataset: str) -> Job:
        entry = self.config["datasets"][dataset]
        settings = {key: value for key, value in entry.items() if key != "title"}
        if "splits" in settings:
            # As pairs, since their order matters and a job's spec has sorted keys.
            settings["splits"] = list(settings["splits"].items())
        readers = possible_readers(entry)
        inputs: dict[str, tuple[File, ...]] = {"source": (), "punkt": ()}
        sums = None
        if "source" in entry:
            inputs["source"] = self._source(entry["source"])
        elif "file" in entry:
            inputs["source"] = self.own_file(entry["file"])
            sums = self.sum_of(entry["file"])
        if "punkt" in entry:
            inputs["punkt"] = self._source(entry["punkt"])
        return self._job(
            "dataset",
            {"dataset": dataset},
            ("programs.dataset", *(READERS[reader].module for reader in readers)),
            {"dataset": {**settings, "name": dataset, "readers": readers}},
            inputs,
            sums=sums,
        )

    def own_file(self, file: str) -> tuple[File, ...]:
        """A file of the user's as the config names it; by its whole path beside the workflow."""
        path = path_of(file, self.root)
        return (File(file if path == self.root / file else str(path)),)

    def sum_of(self, file: str) -> Callable[[], str]:
        """A function that returns the sha256 of a file of the user's."""
        return lambda: sha256(path_of(file, self.root))

    def texts(self, dataset: str, counts: bool = True) -> tuple[File, ...]:
        """A dataset's table."""
        return tuple(File(f.path, f.job, counts) for f in self.dataset(dataset).files("table"))

    # --- overlaps of prompts with texts that scorers are fitted on --------------------------------

    def overlap_pairs(self, section: str, name: str) -> list[dict[str, Any]]:
        """Pairs of texts that must not overlap in an experiment or a validation; see `overlaps`."""
        entry, key = self.config[section][name], f"{section}.{name}"
        if section == "scorers":
            validated, fit = entry.get("validate"), entry.get("fit")
            # Splits of one dataset do not overlap.
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
        """A comparison with the texts that a scorer is fitted on.

        entry, key: the config entry that may allow an overlap.
        """
        fit = f"scorers.{scorer}.fit"
        others = {**self.config["scorers"][scorer]["fit"], "key": fit}
        return {
            "texts": texts,
            "others": {**others, "use": f"scorers.{scorer} is fitted on"},
            # Prompts are often the beginnings of texts; labelled texts are whole.
            "beginnings": texts["key"].startswith("experiments."),
            "refused": not entry.get("allow_overlap"),
            "remedy": f"take another split there or in {fit}, or write {key}.allow_overlap: true",
        }

    @once
    def overlaps(self, section: str, name: str) -> Job:
        """The comparison of an experiment's or a validation's texts with those of its scorers."""
        pairs = self.overlap_pairs(section, name)
        used = sorted({pair[side]["dataset"] for pair in pairs for side in ("texts", "others")})
        inputs = {"datasets": tuple(file for dataset in used for file in self.texts(dataset))}
        names = {"section": section, "name": name}
        return self._job("overlaps", names, ("programs.overlaps",), {"pairs": pairs}, inputs)

    def overlap_record(self, section: str, name: str) -> tuple[File, ...]:
        """The record of such a comparison; () if there is nothing to compare.

        It only has to exist: its content changes no number.
        """
        if not self.overlap_pairs(section, name):
            return ()
        files = self.overlaps(section, name).files("record")
        return tuple(File(file.path, file.job, counts=False) for file in files)

    # --- properties of an experiment for the stages below -----------------------------------------

    def experiment(self, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = self.config["experiments"][name]
        return entry

    def choice_sources(self, experiment: str) -> list[str]:
        """The sweeps on which an experiment's settings are chosen."""
        choices = self.experiment(experiment).get("choices", {})
        return sorted({rule["experiment"] for rule in choices.values()})

    def scorer_kind(self, scorer: str) -> str | None:
        """The input of a scorer besides texts: a classifier, a model, a source, or None."""
        return reads(self.config["scorers"][scorer]["kind"])
