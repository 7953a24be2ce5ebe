"""What an entry of `figures` or `tables` needs, derived from its kind and the config."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from actadd.base.kinds import build
from actadd.measure.measures import MEASURES
from actadd.measure.methods import METHODS
from actadd.results.displays.kinds import (
    NAMED_BY,
    SECTIONS,
    Display,
    Experiment,
    Facts,
    Need,
    Options,
    Sources,
)
from actadd.results.displays.metrics import scale
from actadd.vectors.kinds import VECTOR_KINDS

NEEDS: tuple[Need, ...] = get_args(Need)
# Needs whose files do not say what they are of -> the names of the jobs that make them.
NAMES = {
    "norms": "{model,vector}",
    "tables": "{model,experiment}",
    "scores": "{model,experiment,scorer}",
    "texts": "{dataset}",
}
# The arguments of the programs that draw and tabulate.
ARGUMENTS = " ".join(f"{need}{NAMES.get(need, '*')}" for need in NEEDS)


@dataclass(frozen=True, kw_only=True)
class Input:
    """A need of a figure or table, and of what it is read.

    names: the experiments, lens, pair check, comparison of methods or timing; of norms, the
    vectors; of texts, the datasets; of the comparison with the paper, none. models: those of which
    each is read; of a timing, what is timed.
    """

    need: Need
    names: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def kind_of(section: str, entry: Mapping[str, Any]) -> Display:
    """The kind of an entry of `figures` or `tables` (section)."""
    return SECTIONS[section][entry["kind"]]


def options_of(section: str, entry: Mapping[str, Any]) -> Options:
    """The keys of an entry of `figures` or `tables` (section)."""
    return build(kind_of(section, entry).options, entry)


def inputs(section: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> list[Input]:
    """What an entry reads, in the order in which its kind gets it."""
    kind = kind_of(section, entry)
    return [_input(need, kind, entry, config) for need in kind.reads]


def _input(need: Need, kind: Display, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Input:
    if need in ("tables", "scores"):
        names = tuple(dict.fromkeys(experiments_of(kind, entry).values()))
        return Input(need=need, names=names, models=models_of(entry, config))
    if need == "texts":
        return Input(need=need, names=tuple(entry[each] for each in kind.datasets if each in entry))
    if need == "comparison":
        return Input(need=need)
    if need == "overhead":
        timed = config["overheads"][entry["overhead"]]
        subjects = (*timed["models"], *timed["shapes"])
        return Input(need=need, names=(entry["overhead"],), models=subjects)
    if need in ("tokens", "cosines", "pair_check") and not entry.get(NAMED_BY[need]):
        return Input(need=need)
    if need == "pair_check":
        return Input(need=need, names=(entry[need],), models=models_of(entry, config))
    if need in ("tokens", "cosines"):
        lens = config["lenses"][entry["lens"]]
        return Input(need=need, names=(entry["lens"],), models=tuple(lens["models"]))
    if need in ("curves", "readings"):
        names = tuple(filter(None, [entry.get("method_comparison")]))
        return Input(need=need, names=names, models=models_of(entry, config))
    if need == "norms":
        return Input(need=need, names=vectors_of(entry, config), models=models_of(entry, config))
    return Input(need=need, names=(entry["experiment"],), models=models_of(entry, config))


def experiments_of(kind: Display, entry: Mapping[str, Any]) -> dict[str, str]:
    """Option -> the experiment that an entry names by it."""
    options = ("experiment", *kind.others)
    return {option: entry[option] for option in options if entry.get(option)}


def models_of(entry: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, ...]:
    """The models that an entry shows: those of its experiment, of its lens, or its own."""
    sections = (("experiment", "experiments"), ("lens", "lenses"))
    # A comparison of methods has an experiment of its name.
    for option, section in (*sections, ("method_comparison", "experiments")):
        if entry.get(option):
            return tuple(config[section][entry[option]]["models"])
    return tuple(entry.get("models") or ())


def vectors_of(entry: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, ...]:
    """The vectors that an entry names, itself, by its lens or else by its experiment."""
    if entry.get("lens"):
        return tuple(config["lenses"][entry["lens"]]["vectors"])
    if "vectors" not in entry and entry.get("experiment"):
        conditions = config["experiments"][entry["experiment"]]["conditions"].values()
        added = (each for condition in conditions for each in condition.get("additions", []))
        return tuple(sorted({addition["vector"] for addition in added}))
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


def looks(config: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Condition -> (role, number) of its colour and mark, the same in every figure of the config.

    role: steered, control or unsteered. Numbers are given in the config's order, to each the
    smallest that no condition of the same role has in an experiment that both are in.
    """
    random = set(controls(config))
    beside: dict[tuple[str, str], set[str]] = {}
    for experiment in config["experiments"].values():
        roles = {name: _role(each, random) for name, each in experiment["conditions"].items()}
        for name, role in roles.items():
            others = {other for other in roles if roles[other] == role} - {name}
            beside.setdefault((role, name), set()).update(others)
    result: dict[str, tuple[str, int]] = {}
    for (role, name), others in beside.items():
        taken = {result[other][1] for other in others if result.get(other, ("",))[0] == role}
        number = next(number for number in range(len(others) + 1) if number not in taken)
        # One name may steer in one experiment and be a control in another: the first counts.
        result.setdefault(name, (role, number))
    return result


def _role(condition: Mapping[str, Any], random: set[str]) -> str:
    if METHODS[condition["method"]].role == "unsteered":
        return "unsteered"
    vectors = {addition["vector"] for addition in condition.get("additions", [])}
    return "control" if vectors and vectors <= random else "steered"


def problems(
    section: str, key: str, entry: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    """What keeps an entry from being made from its experiment, in sentences, before anything runs.

    key: the entry's place in the config. Its experiment has to exist.
    """
    kind, options = kind_of(section, entry), options_of(section, entry)
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
    others = (*_of_others(kind, entry, config), *_of_pair_check(entry, config))
    for problem in (*options.check(experiment), *others):
        yield f"{key}.{problem}"


def _of_others(kind: Display, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """What further experiments lack."""
    named = experiments_of(kind, entry)
    models = models_of(entry, config)
    for option, measure in kind.others.items():
        if option not in named:
            continue
        other = config["experiments"][named[option]]
        if other["measure"] != measure:
            yield f"{option}: {named[option]} measures {other['measure']}; name one of {measure}"
        if missing := [model for model in models if model not in other["models"]]:
            yield f"{option}: {named[option]} is not run on {', '.join(missing)}; add it there"


def _of_pair_check(entry: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Which pairs of the experiment were not examined before sampling."""
    if "pair_check" not in entry:
        return
    check = config["pair_checks"][entry["pair_check"]]
    experiment = config["experiments"][entry["experiment"]]
    for condition in experiment["conditions"].values():
        vector = "+".join(addition["vector"] for addition in condition.get("additions", []))
        if vector and vector != entry.get("relative_to") and vector not in check["vectors"]:
            yield f"pair_check: {entry['pair_check']} does not examine {vector!r}; name another"
    if missing := [name for name in experiment["models"] if name not in check["models"]]:
        yield f"pair_check: {entry['pair_check']} is not made on {', '.join(missing)}; add it there"


def facts(section: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Facts`: what a caption has to say of the data and the scorers behind an entry."""
    options = options_of(section, entry)
    if (name := options.main_experiment) is None:
        return {}
    experiment = config["experiments"][name]
    unit = "prompts" if MEASURES[experiment["measure"]].draws else "texts"
    scored = {metric.split(".")[0] for metric in options.metrics_of(config)}
    notes = [
        f"{scorer}: {config['scorers'][scorer]['note']}."
        for scorer in experiment.get("scorers", [])
        if scorer in scored and config["scorers"][scorer].get("note")
    ]
    about: dict[str, Any] = {"data": data_title(name, config), "unit": unit}
    about |= {"notes": notes + options.remarks(config), "controls": controls(config)}
    every = looks(config)
    about["looks"] = {each: every[each] for each in experiment["conditions"]}
    about["scales"] = {each: scale(each, config["scorers"]) for each in options.metrics_of(config)}
    about["choices"] = choices(experiment, config)
    more = options.facts(config)
    return {**about, "more": more} if more else about


def choices(experiment: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Condition -> the rule that chose its setting, and the data on which it did."""
    rules = experiment.get("choices") or {}
    return {
        name: {**rule, "data": data_title(rule["experiment"], config)}
        for name, condition in experiment["conditions"].items()
        for addition in condition.get("additions", [])
        if (rule := rules.get(addition.get("choice")))
    }


def choices_on(sweep: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules that choose a setting of an experiment, each with the experiments that take it."""
    rules: list[dict[str, Any]] = []
    for name, experiment in config["experiments"].items():
        for rule in (experiment.get("choices") or {}).values():
            if rule["experiment"] != sweep:
                continue
            same = next((each for each in rules if each["rule"] == rule), None)
            if same is None:
                rules.append({"rule": rule, "experiments": [name]})
            elif name not in same["experiments"]:
                same["experiments"].append(name)
    return rules


def data_title(experiment: str, config: Mapping[str, Any]) -> str:
    """What an experiment's prompts or texts are, in words."""
    prompts = config["experiments"][experiment]["prompts"]
    title = config["datasets"][prompts["dataset"]]["title"]
    return title if prompts["split"] == "all" else f"{title} ({prompts['split']} split)"


def sources_of(section: str, spec: Mapping[str, Any], files: Mapping[str, Any]) -> Sources:
    """The files that an entry's kind reads, with the facts of the spec's `about`.

    files: need -> list of paths; of the needs in `NAMES`, these names -> path.
    """
    about = build(Facts, spec.get("about", {}))
    paths = {need: files[need] for need in files if need not in NAMES}
    named = {need: files.get(need, {}) for need in NAMES}
    return Sources(key=f"{section}.{spec['name']}", facts=about, paths=paths, **named)


def selectors(value: Any) -> list[dict[str, Any]]:
    """Every part of a comparison or a claim that selects rows of an experiment."""
    if isinstance(value, list):
        return [selector for item in value for selector in selectors(item)]
    if not isinstance(value, dict):
        return []
    itself = [value] if isinstance(value.get("experiment"), str) else []
    return itself + [selector for item in value.values() for selector in selectors(item)]
