"""Section `experiments`: conditions on prompts, and what is measured."""

import functools
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from typing import Annotated, Any, Literal

from actadd.base.kinds import Rule, option
from actadd.base.names import unknown
from actadd.config.kinds import Family, declared, keys
from actadd.config.sections import conditions, datasets
from actadd.config.sections.conditions import AnyCondition
from actadd.config.sections.rules import (
    MODELS,
    ModelName,
    Name,
    Problem,
    known,
)
from actadd.measure.conditions import at_depth, grid_size
from actadd.measure.measures import MEASURES, Measure
from actadd.measure.methods import METHODS
from actadd.results.summaries.kinds import SUMMARIES
from actadd.scorers.kinds import metrics

MOST_CELLS = 100_000


@dataclass(frozen=True, kw_only=True)
class Prompts:
    dataset: str = option("Dataset with the prompts or texts.", section="datasets")
    split: str = option("Only the rows of this split.", "all")
    group: list[str] | None = option("Only the rows of these groups.", None, min_length=1)
    limit: int | None = option("Only the first so many rows.", None, minimum=1)
    each_group: bool | None = option("The limit counts for each group.", None)
    targets: Literal["first_token", "single_token"] | None = option(
        "Which target tokens are scored. first_token: the first one (as if not given); "
        "single_token: texts with a longer target are left out, and counted in the job's log.",
        None,
    )
    first_tokens: int | None = option(
        "Cut each text after so many of the model's own tokens, BOS included.", None, minimum=2
    )


@dataclass(frozen=True, kw_only=True)
class Cap:
    metric: str = option("scorer.metric that must stay low.")
    factor: float = option(
        "Its highest mean allowed, over the unsteered one's.", exclusive_minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class Choice:
    experiment: str = option("The sweep to choose on, with other prompts.", section="experiments")
    condition: str = option("Its condition with the one addition to choose a setting of.")
    metric: str = option("scorer.metric whose mean decides.")
    direction: Literal["max", "min"] = option("Which mean is the best.", "max")
    cap: Cap | None = option(
        "Leaves out settings at which another metric's mean is too high.", None
    )
    over_cap: Literal["refuse", "least"] | None = option(
        "If no setting keeps under the cap: refuse ends the run, as if not given; least takes the "
        "one that exceeds it least.",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Keys of an experiment, whatever it measures."""

    title: str = option("What the explorer calls it.", min_length=1)
    models: list[ModelName] | None = option(MODELS, None, min_length=1, unique=True)
    prompts: Prompts = option("The rows of a dataset that are prompts, or texts to read.")
    allow_overlap: bool | None = option(
        "Run it although prompts are among what one of its scorers is fitted on; it is counted all "
        "the same.",
        None,
    )
    shards: int = option(
        "Jobs among which the cells of one model are shared out, for a cluster.",
        1,
        minimum=1,
        maximum=999,
    )
    choices: dict[Name, Choice] | None = option(
        "Rules by which layer, position and strength are chosen on another experiment.", None
    )
    conditions: dict[Name, AnyCondition] = option(
        "What is compared, each a method with its settings.", min_length=1
    )
    scorers: list[Annotated[str, Rule(section="scorers")]] | None = option(
        "Scorers of the completions.", None, unique=True
    )


def _has_default(field: Any) -> bool:
    return field.default not in (None, MISSING) or field.default_factory is not MISSING


@functools.cache
def _declared(declarations: tuple[type, ...], others: tuple[type, ...]) -> type:
    shared = [key for other in others for key in keys(other) if _has_default(key[2])]
    return declared("Experiment", [*(k for each in declarations for k in keys(each)), *shared])


def _keys(measure: Measure) -> tuple[type, type, type]:
    """What declares the keys of an experiment: for all, for its measure, for its summary."""
    return Experiment, measure.options, SUMMARIES[measure.name].options


def _experiment_of(measure: Measure) -> type:
    """The keys of an experiment that measures this.

    Keys of other measures that have defaults may stand there too: so a config that lies on top of
    another changes what an experiment measures by one key.
    """
    others = (each for other in MEASURES.values() for each in _keys(other))
    return _declared(_keys(measure), tuple(others))


AnyExperiment = Annotated[
    Any,
    Family("measure", MEASURES, "What is measured of a condition.", options=_experiment_of),
]


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in config["experiments"].items():
        yield from _experiment(config, f"experiments.{name}", name, entry)


def _experiment(
    config: dict[str, Any], key: str, name: str, entry: dict[str, Any]
) -> Iterator[Problem]:
    prompts, measure = entry["prompts"], entry["measure"]
    yield from _grid(config, key, name, entry)
    kind = MEASURES[measure]
    if "targets" in prompts and not kind.targets:
        scoring = " or ".join(name for name, each in MEASURES.items() if each.targets)
        yield (
            f"{key}.prompts.targets",
            f"only measure {scoring} scores given tokens; remove the key",
        )
    yield from datasets.split(config, f"{key}.prompts", prompts["dataset"], prompts["split"])
    if not kind.draws and entry.get("scorers"):
        yield f"{key}.scorers", f"{measure} has no completions to score; remove the key"
    for choice, rule in entry.get("choices", {}).items():
        yield from _choice(config, f"{key}.choices.{choice}", entry, rule)
    unsteered = list(_unsteered(entry))
    if len(unsteered) > 1:
        yield (
            f"{key}.conditions",
            f"{', '.join(unsteered)} are the same unsteered condition; keep one",
        )
    if kind.baseline and not unsteered:
        yield f"{key}.conditions", "ratios need an unsteered condition; add one"
    for condition, details in entry["conditions"].items():
        yield from conditions.problems(config, f"{key}.conditions.{condition}", entry, details)


def _unsteered(entry: dict[str, Any]) -> Iterator[str]:
    """The unsteered conditions of an experiment."""
    for name, condition in entry["conditions"].items():
        if METHODS[condition["method"]].role == "unsteered":
            yield name


def _grid(config: dict[str, Any], key: str, name: str, entry: dict[str, Any]) -> Iterator[Problem]:
    cells = config["budget"].get(name, {}).get("cells")
    most = cells or MOST_CELLS
    for model in entry["models"]:
        count = grid_size(at_depth(entry["conditions"], config["models"][model]["layers"]))
        if count > most:
            yield (
                f"budget.{name}.cells" if cells else f"{key}.conditions",
                f"the grid has {count} cells on {model}, more than {most}; sweep fewer values",
            )


def _choice(
    config: dict[str, Any], key: str, entry: dict[str, Any], rule: dict[str, Any]
) -> Iterator[Problem]:
    other, prompts = rule["experiment"], entry["prompts"]
    sweep = config["experiments"][other]
    if sweep.get("choices"):
        yield f"{key}.experiment", f"{other} makes choices itself; name a sweep"
    yield from known(f"{key}.condition", rule["condition"], sweep["conditions"], "condition")
    if not set(entry["models"]) <= set(sweep["models"]):
        missing = ", ".join(sorted(set(entry["models"]) - set(sweep["models"])))
        yield f"{key}.experiment", f"{other} is not run on {missing}; add it to its models"
    additions = sweep["conditions"][rule["condition"]].get("additions", [])
    if len(additions) != 1:
        yield (
            f"{key}.condition",
            f"{rule['condition']!r} needs exactly one addition to choose; name another condition",
        )
    if "layers" in additions[0] and not {"layer", "depth"} & additions[0].keys():
        yield f"{key}.condition", "it acts at several layers at once; name one with layer"
    if isinstance(additions[0].get("dimensions"), list):
        yield (
            f"{key}.condition",
            "dimensions is swept, but only layer, position and strength chosen; write one share",
        )
    swept = sweep["prompts"]
    if swept["dataset"] == prompts["dataset"] and datasets.overlap(
        swept["split"], prompts["split"]
    ):
        yield (
            f"{key}.experiment",
            f"{other} uses the same prompts as this experiment; choose on another split than the "
            "one reported",
        )
    if rule.get("cap") and not any(_unsteered(sweep)):
        yield f"{key}.cap", f"{other} has no unsteered condition to compare with; add one"
    for metric in (rule["metric"], *([rule["cap"]["metric"]] if rule.get("cap") else [])):
        yield from metric_problems(config, key, metric, sweep.get("scorers", []))


def metric_problems(
    config: dict[str, Any], key: str, metric: str, used: list[str]
) -> Iterator[Problem]:
    """A metric is scorer.column; the scorer must be used and have that column."""
    scorer, _, column = metric.partition(".")
    if scorer not in used:
        yield (
            key,
            f"{metric!r} is not scored by that experiment; write scorer.metric with one of "
            f"{', '.join(used) or 'none'}, or add the scorer",
        )
    columns = metrics(config["scorers"][scorer])
    if column not in columns:
        yield key, unknown("metric", metric, [f"{scorer}.{name}" for name in columns])
