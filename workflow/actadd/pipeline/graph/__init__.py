"""The graph: each job of a config, by stage, with the jobs above it."""

from collections.abc import Callable
from functools import cache, cached_property, partial
from inspect import signature

from actadd.base.errors import UserError
from actadd.pipeline import layout
from actadd.pipeline.graph.displays import PARTS, STAGE, Display, Displays
from actadd.pipeline.graph.sources import once
from actadd.pipeline.job import Job, walk

# Prefix of the target of a figure or a table, before its name.
PREFIX = {"figures": "fig_", "tables": "table_"}


@cache
def _parameters(method: Callable[..., Job]) -> list[str]:
    """The names that a method of the graph takes."""
    return list(signature(method).parameters)[1:]


class Graph(Displays):
    """All jobs of a validated config: for each stage, a method that takes the names in its paths.

    A pure function of the config, our source, and the user's files that the config names.
    """

    def job(self, stage: str, **names: str) -> Job:
        """The job of a stage in the layout, by the names in its paths."""
        method = getattr(self, stage.removesuffix("_gather"))
        # By position, as the graph calls it: otherwise `once` would make the job twice.
        job: Job = method(*(names[name] for name in _parameters(method.__func__)))
        if job.names != names:
            # An experiment's cells under the name of another measure.
            raise UserError(f"{layout.job(stage, **names)}: no such job; its name is {job.name}")
        return job

    def runs(self, experiments: list[str]) -> list[Job]:
        """The last jobs of some experiments: their summaries, and validations of their scorers."""
        jobs: list[Job] = []
        for name in experiments:
            entry = self.experiment(name)
            jobs += [self.summary(model, name) for model in entry["models"]]
            for scorer in entry.get("scorers", []):
                if "validate" in self.config["scorers"][scorer]:
                    jobs.append(self.validation(scorer))
        return jobs

    def results(self, displays: list[Display], experiments: list[str]) -> list[Job]:
        """The jobs of figures and tables, and the last jobs of some experiments."""
        return [*(self.display(*each) for each in displays), *self.runs(experiments)]

    @cached_property
    def targets(self) -> dict[str, Callable[[], list[Job]]]:
        """Target -> a function that returns its last jobs, without those above them."""

        def whole(part: str = "") -> list[Job]:
            results = self.results(self.displays(part), self.experiments_in(part))
            return [*results, self.scorer_card(f"{part}_" if part else "")]

        def explorer(part: str) -> list[Job]:
            page = self.explorer_page(part)
            return [page, *self.runs([entry["name"] for entry in page.settings["experiments"]])]

        targets: dict[str, Callable[[], list[Job]]] = {
            "all": whole,
            "explorer": partial(explorer, ""),
        }
        for part in PARTS.values():
            targets[part] = partial(whole, part)
            targets[f"{part}_explorer"] = partial(explorer, f"{part}_")
        for part in (*PARTS.values(), ""):
            for display in self.displays(part):
                experiments = self.experiments_of([display])
                targets[target_of(*display)] = partial(self.results, [display], experiments)
        return targets

    def target(self, name: str) -> list[Job]:
        """Every job that a target needs, those above first."""
        return list(walk(self.targets[name]()))

    def everything(self) -> list[Job]:
        """Every job of the config, including entries that no target needs, those above first."""
        config = self.config
        jobs = [self.complete(target) for target in self.targets]
        jobs += [self.fetch(name) for name in config["sources"]]
        jobs += [self.dataset(name) for name in config["datasets"]]
        jobs += [self.vectors(m, v) for m in config["models"] for v in config["vectors"]]
        jobs += [self.runs([name])[0] for name in config["experiments"]]
        jobs += [self.classifier(n) for n, entry in config["scorers"].items() if "fit" in entry]
        jobs += [self.lens(m, n) for n, entry in config["lenses"].items() for m in entry["models"]]
        checks = config["pair_checks"].items()
        jobs += [self.pair_check(m, name) for name, entry in checks for m in entry["models"]]
        jobs += [
            self.equal_damage(model, name)
            for name in config["method_comparisons"]
            for model in config["experiments"][name]["models"]
        ]
        jobs += [
            self.overhead(n, s) for n in config["overheads"] for s in self.overhead_subjects(n)
        ]
        return list(walk(jobs))

    @once
    def complete(self, target: str) -> Job:
        """The last job of a target; it fails if cells failed in a job above it."""
        jobs = self.target(target)
        notes = sorted({job.name for job in jobs if job.failures})
        settings = {"failures": notes}
        inputs = {"records": tuple(file for job in jobs for file in job.files("provenance"))}
        return self._job("complete", {"target": target}, ("programs.complete",), settings, inputs)


def target_of(section: str, name: str) -> str:
    """The name of the target of a figure or a table."""
    return PREFIX[section] + name.replace("-", "_")


__all__ = ["STAGE", "Graph", "Job", "target_of", "walk"]
