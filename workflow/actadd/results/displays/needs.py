"""What an entry of `figures` or `tables` needs, derived from its kind and the config."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from actadd.base.kinds import build
from actadd.measure.measures import MEASURES
from actadd.results.displays.kinds import (
    SECTIONS,
    Display,
    Experiment,
    Facts,
    Need,
    Sources,
)
from actadd.vectors.kinds import VECTOR_KINDS

NEEDS: tuple[Need, ...] = get_args(Need)
# The arguments of the programs that draw and tabulate. A file of norms says neither model nor
# vector.
ARGUMENTS = " ".join(f"{need}{'{model,vector}' if need == 'norms' else '*'}" for need in NEEDS)


@dataclass(frozen=True, kw_only=True)
class Input:
    """One thing that a figure or table reads.

    need: what it is. names: the experiment, the lens or the timing; of norms, the vectors; nothing
    of the comparison. models: of each of which it is read; of a timing, what is timed.
    """

    need: Need
    names: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def kind_of(section: str, entry: Mapping[str, Any]) -> Display:
    """The kind of an entry of `figures` or `tables` (section)."""
    return SECTIONS[section][entry["kind"]]


def inputs(section: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> list[Input]:
    """What an entry reads, in the order in which its kind gets it."""
    return [_input(need, entry, config) for need in kind_of(section, entry).reads]


def _input(need: Need, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Input:
    if need == "comparison":
        return Input(need=need)
    if need == "overhead":
        timed = config["overheads"][entry["overhead"]]
        subjects = (*timed["models"], *timed["shapes"])
        return Input(need=need, names=(entry["overhead"],), models=subjects)
    if need in ("tokens", "cosines"):
        lens = config["lenses"][entry["lens"]]
        return Input(need=need, names=(entry["lens"],), models=tuple(lens["models"]))
    if need in ("curves", "readings"):
        names = (entry["method_comparison"],)
        return Input(need=need, names=names, models=models_of(entry, config))
    if need == "norms":
        return Input(need=need, names=vectors_of(entry, config), models=models_of(entry, config))
    return Input(need=need, names=(entry["experiment"],), models=models_of(entry, config))


def models_of(entry: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, ...]:
    """The models that an entry shows: those of its experiment, of its lens, or its own."""
    sections = (("experiment", "experiments"), ("lens", "lenses"))
    # A comparison of methods has an experiment of its name.
    for option, section in (*sections, ("method_comparison", "experiments")):
        if entry.get(option):
            return tuple(config[section][entry[option]]["models"])
    return tuple(entry.get("models") or ())


def vectors_of(entry: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, ...]:
    """The vectors that an entry names, itself or by its lens."""
    if entry.get("lens"):
        return tuple(config["lenses"][entry["lens"]]["vectors"])
    named = (*(entry.get("vectors") or ()), entry.get("relative_to"))
    return tuple(filter(None, named))


def experiment_of(name: str, config: Mapping[str, Any]) -> Experiment:
    """What the config says of an experiment, for `Options.check`."""
    entry = config["experiments"][name]
    dataset = config["datasets"].get(entry["prompts"]["dataset"], {})
    return Experiment(name=name, entry=entry, dataset=dataset, controls=frozenset(controls(config)))


def controls(config: Mapping[str, Any]) -> list[str]:
    """Names of the vectors that steer nowhere on purpose, with which steering is compared."""
    vectors = config["vectors"].items()
    return sorted(name for name, entry in vectors if VECTOR_KINDS[entry["kind"]].control)


def problems(
    section: str, key: str, entry: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    """What keeps an entry from being made from its experiment, in sentences, before anything runs.

    key: the entry's place in the config. Its experiment has to exist.
    """
    kind = kind_of(section, entry)
    options = build(kind.options, entry)
    name = getattr(options, "experiment", None)
    if name is None:
        return
    experiment = experiment_of(name, config)
    measure = experiment.entry["measure"]
    if kind.measures and measure not in kind.measures:
        yield (
            f"{key}.kind: {kind.name} is made from {' or '.join(kind.measures)}, but "
            f"experiments.{name} measures {measure}; name another experiment"
        )
        return
    for problem in options.check(experiment):
        yield f"{key}.{problem}"


def facts(entry: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Facts`: what a caption has to say of the data and the scorers behind an entry."""
    name = entry.get("experiment") or entry.get("method_comparison")
    if name is None:
        return {}
    experiment = config["experiments"][name]
    unit = "prompts" if MEASURES[experiment["measure"]].draws else "texts"
    metrics, lacks = entry.get("metrics", []), list[str]()
    if "method_comparison" in entry:
        compared = config["method_comparisons"][name]
        metrics = [compared["effect"]["metric"], compared["damage"]["disfluency"]["metric"]]
        lacks = compared["lacks"]
    scored = {metric.split(".")[0] for metric in metrics}
    notes = [
        f"{scorer}: {config['scorers'][scorer]['note']}."
        for scorer in experiment.get("scorers", [])
        if scorer in scored and config["scorers"][scorer].get("note")
    ]
    data = data_title(name, config)
    return {"data": data, "unit": unit, "notes": notes + lacks, "controls": controls(config)}


def data_title(experiment: str, config: Mapping[str, Any]) -> str:
    """What an experiment's prompts or texts are, in words."""
    prompts = config["experiments"][experiment]["prompts"]
    title = config["datasets"][prompts["dataset"]]["title"]
    return title if prompts["split"] == "all" else f"{title} ({prompts['split']} split)"


def sources_of(section: str, spec: Mapping[str, Any], files: Mapping[str, Any]) -> Sources:
    """The files that an entry's kind reads, with the facts of the spec's `about`.

    files: need -> list of paths; norms (model, vector) -> path.
    """
    about = build(Facts, spec.get("about", {}))
    paths = {need: files[need] for need in files if need != "norms"}
    norms = files.get("norms", {})
    return Sources(key=f"{section}.{spec['name']}", facts=about, paths=paths, norms=norms)


def selectors(value: Any) -> list[dict[str, Any]]:
    """Every part of a comparison or a claim that selects rows of an experiment."""
    if isinstance(value, list):
        return [selector for item in value for selector in selectors(item)]
    if not isinstance(value, dict):
        return []
    itself = [value] if isinstance(value.get("experiment"), str) else []
    return itself + [selector for item in value.values() for selector in selectors(item)]
