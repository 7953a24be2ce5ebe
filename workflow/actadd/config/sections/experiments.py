"""Section `experiments`: conditions on prompts, and what is measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from actadd.base.kinds import Rule, option
from actadd.config.sections import datasets
from actadd.config.sections.rules import (
    MODELS,
    Filled,
    ModelName,
    Name,
    Natural,
    Probability,
    Problem,
    known,
    listed,
)
from actadd.measure.conditions import at_depth, grid_size
from actadd.scorers.kinds import metrics

MOST_CELLS = 100_000

LAYERS = {"title": "a layer number from 0 on, or a list of them"}
NUMBERS = {"title": "a number, or a list of different numbers"}
SHARES = {"title": "a share above 0 and up to 1 (a depth may be 0), or a list of them"}
SWEPT = Rule(min_length=1, unique=True)
Layers = Natural | Annotated[list[Natural], SWEPT]
Numbers = float | Annotated[list[float], SWEPT]
Shares = Probability | Annotated[list[Probability], SWEPT]
Position = Literal["front", "middle", "back", "all"]


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
class Sampling:
    temperature: float = option(
        "Logits are divided by it; 0 takes the likeliest token, whatever the other two say.",
        1,
        minimum=0,
    )
    top_p: float = option(
        "A token is left out if likelier ones hold more than this share of probability.",
        0.3,
        minimum=0,
        maximum=1,
    )
    frequency_penalty: float = option(
        "Subtracted from a token's logit for each time that it stands in the text so far.", 1
    )


@dataclass(frozen=True, kw_only=True)
class OwnSampling:
    """Settings of a condition; the experiment's take the place of those that it lacks."""

    temperature: float | None = option("As the experiment's.", None, minimum=0)
    top_p: float | None = option("As the experiment's.", None, minimum=0, maximum=1)
    frequency_penalty: float | None = option("As the experiment's.", None)


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


@dataclass(frozen=True, kw_only=True)
class Addition:
    vector: str = option("Vector that is added.", section="vectors")
    layer: Layers | None = option(
        "Block at whose input it is added, counted from 0.", None, **LAYERS
    )
    source_layer: Layers | None = option(
        "Layer that it is taken from; layer if not given.", None, **LAYERS
    )
    depth: Shares | None = option(
        "In place of layer, a share of the model's blocks.", None, **SHARES
    )
    source_depth: Shares | None = option(
        "In place of source_layer, a share of the model's blocks.", None, **SHARES
    )
    match_norm: bool | None = option(
        "Scale the vector to the norm that it has at the injection layer.", None
    )
    coefficient: Numbers | None = option("Factor of the vector.", None, **NUMBERS)
    choice: str | None = option("Take layer and coefficient from this choice.", None)
    factor: float | None = option(
        "Multiplies a chosen coefficient; -1 turns the direction round.", None
    )
    position: Position | Annotated[list[Position], SWEPT] | None = option(
        "Which tokens of the prompt the rows are added to; front, from BOS on, if not given.",
        None,
        title="front, middle, back or all, or a list of them",
    )
    dimensions: Shares | None = option(
        "Only the first entries of d_model, as a share of them.", None, **SHARES
    )
    phase: Literal["prefill", "every_step"] | None = option(
        "prefill, if not given, adds to the prompt alone; every_step also to each drawn token.",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class Condition:
    method: Literal["unsteered", "prompting", "preadd", "actadd"] = option(
        "Nothing, a prefix, a contrasted context (PREADD), or vectors that are added."
    )
    prefix: str | None = option(
        "Text put before every prompt; for preadd, before those of the contrasted context. It is "
        "tokens of its own, but of completions one that ends in a space is read with the prompt.",
        None,
        min_length=1,
        max_length=2000,
    )
    strength: float | None = option(
        "How much the contrasted context's logits count (method preadd, its alpha).", None
    )
    group: str | None = option("Only the rows of the dataset with this group.", None)
    sampling: OwnSampling | Annotated[list[OwnSampling], Rule(min_length=1)] | None = option(
        "Settings that differ from the experiment's; a list is swept.",
        None,
        title="sampling settings that differ from the experiment's, or a list of such",
    )
    seed: Natural | Annotated[list[Natural], SWEPT] | None = option(
        "In place of the config's seed; a list is swept.", None, title="a seed, or a list of them"
    )
    additions: list[Addition] | None = option(
        "Vectors that are added, all at once; lists in them are swept.", None, min_length=1
    )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    title: str = option("What the explorer calls it.", min_length=1)
    measure: Literal["completions", "logprobs", "divergence"] = option(
        "completions are drawn and scored; logprobs and divergence are of given texts."
    )
    models: list[ModelName] | None = option(MODELS, None, min_length=1, unique=True)
    prompts: Prompts = option("The rows of a dataset that are prompts, or texts to read.")
    allow_overlap: bool | None = option(
        "Run it although prompts are among what one of its scorers is fitted on; it is counted all "
        "the same.",
        None,
    )
    samples: int = option("Completions of each prompt.", 1, minimum=1, maximum=100_000)
    max_new_tokens: int = option(
        "Tokens that a completion may have.", 40, minimum=1, maximum=100_000
    )
    ranks: list[Annotated[int, Rule(minimum=1)]] = option(
        "The Ks of precision at K, for texts with targets.", [1, 10], min_length=1, unique=True
    )
    mask: bool | None = option(
        "Leave out predictions at positions that a condition changed directly; true if not given "
        "(measure logprobs).",
        None,
    )
    watch: list[Filled] | None = option(
        "Texts of single tokens whose probability is followed (measure divergence).", None
    )
    sampling: Sampling = option("How the tokens of completions are drawn.", {})
    shards: int = option(
        "Jobs among which the cells of one model are shared out, for a cluster.",
        1,
        minimum=1,
        maximum=999,
    )
    choices: dict[Name, Choice] | None = option(
        "Rules by which layer and coefficient are chosen on another experiment.", None
    )
    conditions: dict[Name, Condition] = option(
        "What is compared, each a method with its settings.", min_length=1
    )
    scorers: list[Annotated[str, Rule(section="scorers")]] | None = option(
        "Scorers of the completions.", None, unique=True
    )


# method -> keys that it needs, and keys that it may have beside those of every condition.
METHOD_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "unsteered": (set(), {"prefix"}),
    "prompting": ({"prefix"}, set()),
    "preadd": ({"prefix", "strength"}, set()),
    "actadd": ({"additions"}, {"prefix"}),
}


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in config["experiments"].items():
        yield from _experiment(config, f"experiments.{name}", name, entry)


def _experiment(
    config: dict[str, Any], key: str, name: str, entry: dict[str, Any]
) -> Iterator[Problem]:
    prompts, measure = entry["prompts"], entry["measure"]
    yield from _grid(config, key, name, entry)
    if "watch" in entry and measure != "divergence":
        yield f"{key}.watch", "only measure divergence follows tokens; remove the key"
    if measure != "logprobs":
        for place, part in ((f"{key}.prompts.targets", prompts), (f"{key}.mask", entry)):
            if place.rpartition(".")[2] in part:
                yield place, "only measure logprobs scores given tokens; remove the key"
    yield from datasets.split(config, f"{key}.prompts", prompts["dataset"], prompts["split"])
    if measure != "completions" and entry.get("scorers"):
        yield f"{key}.scorers", f"{measure} has no completions to score; remove the key"
    for choice, rule in entry.get("choices", {}).items():
        yield from _choice(config, f"{key}.choices.{choice}", entry, rule)
    methods = {name: condition["method"] for name, condition in entry["conditions"].items()}
    unsteered = [name for name, method in methods.items() if method == "unsteered"]
    if len(unsteered) > 1:
        yield (
            f"{key}.conditions",
            f"{', '.join(unsteered)} are the same unsteered condition; keep one",
        )
    if measure == "logprobs" and not unsteered:
        yield f"{key}.conditions", "ratios need an unsteered condition; add one"
    for condition, details in entry["conditions"].items():
        yield from _condition(config, f"{key}.conditions.{condition}", entry, details)


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
        yield f"{key}.experiment", f"{other} is not run on {missing}; add it there"
    additions = sweep["conditions"][rule["condition"]].get("additions", [])
    if len(additions) != 1:
        yield (
            f"{key}.condition",
            f"{rule['condition']!r} needs exactly one addition to choose; name another condition",
        )
    for field in ("position", "dimensions"):
        if isinstance(additions[0].get(field), list):
            yield (
                f"{key}.condition",
                f"{field} is swept, but only layer and coefficient chosen; write one {field}",
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
    methods = {condition["method"] for condition in sweep["conditions"].values()}
    if rule.get("cap") and "unsteered" not in methods:
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
            f"{metric!r} is not scored there; write scorer.metric with one of "
            f"{', '.join(used) or 'none'}, or add the scorer",
        )
    columns = metrics(config["scorers"][scorer])
    if column not in columns:
        names = ", ".join(f"{scorer}.{name}" for name in columns)
        yield key, f"there is no metric {metric!r}; write one of {names}"


def _condition(
    config: dict[str, Any], key: str, entry: dict[str, Any], details: dict[str, Any]
) -> Iterator[Problem]:
    yield from _method(key, entry["measure"], details)
    additions = details.get("additions", [])
    draws = sorted({addition["draws"] for addition in additions if "draws" in addition})
    if len(draws) > 1:
        yield (
            f"{key}.additions",
            f"their random vectors have {' and '.join(map(str, draws))} draws; give them as many "
            "draws each",
        )
    settings = [{**entry["sampling"], **own} for own in listed(details.get("sampling", {}))]
    if any(settings.count(own) > 1 for own in settings):
        yield (
            f"{key}.sampling",
            "with the experiment's own settings two of them are the same; write each once",
        )
    for index, addition in enumerate(additions):
        yield from _addition(config, f"{key}.additions.{index}", entry, addition)


def _method(key: str, measure: str, details: dict[str, Any]) -> Iterator[Problem]:
    method = details["method"]
    needed, allowed = METHOD_KEYS[method]
    for missing in sorted(needed - details.keys()):
        yield key, f"method {method} needs the key {missing!r}; add it"
    special = {"additions", "prefix", "strength"}
    for extra in sorted((special - needed - allowed) & details.keys()):
        yield f"{key}.{extra}", f"method {method} takes no {extra}; remove it"
    if measure == "completions":
        if "prefix" in details and method in ("unsteered", "actadd"):
            yield f"{key}.prefix", "for completions that is method prompting; write that instead"
        return
    for extra in sorted({"sampling", "seed", "group"} & details.keys()):
        yield f"{key}.{extra}", f"{measure} draws nothing, so it has no {extra}; remove it"
    if method == "preadd":
        yield f"{key}.method", "preadd is a way of drawing completions; remove it"


def _addition(
    config: dict[str, Any], key: str, entry: dict[str, Any], addition: dict[str, Any]
) -> Iterator[Problem]:
    for depth, layer in (("depth", "layer"), ("source_depth", "source_layer")):
        if depth in addition and layer in addition:
            yield key, f"{depth} and {layer} say the same; keep one"
    if "choice" in addition:
        yield from known(f"{key}.choice", addition["choice"], entry.get("choices", {}), "choice")
        for field in ("layer", "depth", "coefficient"):
            if field in addition:
                yield (
                    f"{key}.{field}",
                    f"the choice {addition['choice']!r} sets it; remove it",
                )
    else:
        for field in ("layer", "coefficient"):
            if field not in addition and not (field == "layer" and "depth" in addition):
                yield key, f"the key {field!r} is missing; write it, or a choice"
        if "factor" in addition:
            yield f"{key}.factor", "only a chosen coefficient has a factor; write the coefficient"
    for field in ("layer", "source_layer"):
        for layer in listed(addition.get(field, [])):
            for model in entry["models"]:
                depth = config["models"][model]["layers"]
                if layer >= depth:
                    yield (
                        f"{key}.{field}",
                        f"{layer} is beyond {model}, whose layers are 0 to {depth - 1}",
                    )
    yield from _position(config, key, entry["measure"], addition)


def _position(
    config: dict[str, Any], key: str, measure: str, addition: dict[str, Any]
) -> Iterator[Problem]:
    positions = listed(addition.get("position", "front"))
    kind = config["vectors"][addition["vector"]]["kind"]
    if "all" in positions and kind not in ("mean_difference", "file"):
        yield f"{key}.position", f"all needs a vector of one row, a mean_difference, not a {kind}"
    if kind == "mean_difference" and "position" not in addition:
        yield key, "a mean_difference vector has one row; write position: back or all"
    late = {"back", "all"} & set(positions)
    if measure != "completions" and (late or addition.get("phase") == "every_step"):
        yield (
            key,
            f"with measure {measure}, {', '.join(sorted(late)) or 'every_step'} leaves no "
            "prediction that was not changed directly; write front or middle, and phase: prefill",
        )
