"""Section `method_comparisons`: ways of steering, compared at equal damage.

An entry stands for ordinary experiments and control vectors, which `config.methods` writes out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from actadd.base.kinds import Rule, option
from actadd.config.sections import datasets
from actadd.config.sections.conditions import AnyCondition
from actadd.config.sections.experiments import metric_problems
from actadd.config.sections.rules import MODELS, ModelName, Name, Problem, listed
from actadd.engine.decoding.sampling import Sampling
from actadd.measure.additions import operation_of, strength_of, swept_keys
from actadd.measure.methods import METHODS
from actadd.vectors.kinds import VECTOR_KINDS

Control = Literal["random", "orthogonal", "shuffled"]
ONCE = Rule(min_length=1, unique=True)
Positive = Annotated[list[Annotated[float, Rule(exclusive_minimum=0)]], ONCE]
# Lists of these are choices to make; of a strength, a curve to draw.
CHOSEN = ("layer", "depth", "source_layer", "source_depth", "position")


@dataclass(frozen=True, kw_only=True)
class Prompts:
    dataset: str = option("Dataset with the prompts.", section="datasets")
    development: str = option("Split on which layers are chosen.", "development")
    held_out: str = option("Split on which methods are compared.", "held-out")
    limit: int | None = option("Only the first so many rows of each split.", None, minimum=1)


@dataclass(frozen=True, kw_only=True)
class Effect:
    metric: str = option("scorer.metric that steering is meant to move.")
    direction: Literal["max", "min"] = option("Which way steering is meant to move it.", "max")


@dataclass(frozen=True, kw_only=True)
class Disfluency:
    metric: str = option("scorer.metric that steering should not raise, such as a perplexity.")
    at: Annotated[list[Annotated[float, Rule(exclusive_minimum=1)]], ONCE] = option(
        "Ratios to unsteered at which methods are read."
    )


@dataclass(frozen=True, kw_only=True)
class Divergence:
    dataset: str | None = option(
        "Dataset of the texts that are read; the held-out prompts if not given.",
        None,
        section="datasets",
    )
    split: str = option("Only its rows of this split.", "all")
    limit: int | None = option("Only the first so many rows.", None, minimum=1)
    at: Positive = option("KL in nats at which methods are read.")


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    dataset: str = option("Dataset of texts with targets.", section="datasets")
    split: str = option("Only its rows of this split.", "all")
    limit: int | None = option("Only the first so many rows.", None, minimum=1)
    metric: Literal["precision_at_1", "precision_at_10", "target_logprob"] = option(
        "What is lost.", "precision_at_1"
    )
    at: Positive = option("Losses at which methods are read.")


@dataclass(frozen=True, kw_only=True)
class Damage:
    disfluency: Disfluency = option(
        "Of completions, under a judge that is not the steered model where there is one."
    )
    divergence: Divergence | None = option(
        "KL of unsteered from steered predictions in given texts.", None
    )
    knowledge: Knowledge | None = option(
        "Targets of given texts that are no longer predicted.", None
    )


@dataclass(frozen=True, kw_only=True)
class MethodComparison:
    title: str = option("What the explorer calls its experiments.", min_length=1)
    models: list[ModelName] | None = option(MODELS, None, min_length=1, unique=True)
    prompts: Prompts = option("The prompts of its two splits.")
    allow_overlap: bool | None = option(
        "Compare although some prompts are among the texts that a scorer is fitted on.", None
    )
    shards: int = option(
        "Jobs among which the cells of one model are shared out.", 1, minimum=1, maximum=999
    )
    samples: int = option("Completions of each prompt.", 1, minimum=1, maximum=100_000)
    max_new_tokens: int = option(
        "Tokens that a completion may have.", 40, minimum=1, maximum=100_000
    )
    sampling: Sampling = option("How the tokens of completions are drawn.", Sampling())
    methods: dict[Name, AnyCondition] = option(
        "What is compared. Of one addition, lists of layers and positions are searched on the "
        "development split; the list of its strengths is drawn as a curve on the held-out one.",
        min_length=1,
    )
    effect: Effect = option("What steering is for.")
    damage: Damage = option("What steering costs, and the costs at which methods are compared.")
    cap: float | None = option(
        "Layers are chosen among settings up to this ratio of disfluency; the largest in at, if "
        "not given.",
        None,
        exclusive_minimum=0,
    )
    controls: list[Control] = option(
        "Vectors that steer nowhere on purpose, each added in place of a method's vector.",
        ["random", "orthogonal", "shuffled"],
        unique=True,
    )
    draws: int = option("Draws of each control.", 5, minimum=1, maximum=100)
    scorers: list[Annotated[str, Rule(section="scorers")]] | None = option(
        "Further scorers of the held-out completions.", None, unique=True
    )


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    """What keeps entries from being written out; the experiments are checked as all others are."""
    for name, entry in config["method_comparisons"].items():
        key = f"method_comparisons.{name}"
        prompts = entry["prompts"]
        for split in ("development", "held_out"):
            for _, sentence in datasets.split(config, key, prompts["dataset"], prompts[split]):
                yield f"{key}.prompts.{split}", sentence
        if datasets.overlap(prompts["development"], prompts["held_out"]):
            yield (
                f"{key}.prompts.held_out",
                f"{prompts['held_out']!r} has prompts of the development split "
                f"{prompts['development']!r}; compare on other prompts than layers are chosen on",
            )
        disfluency = entry["damage"]["disfluency"]
        for part, of_part in (("effect", entry["effect"]), ("damage.disfluency", disfluency)):
            at = f"{key}.{part}.metric"
            yield from metric_problems(config, at, of_part["metric"], config["scorers"])
        if entry["effect"]["metric"] == disfluency["metric"]:
            yield f"{key}.damage.disfluency.metric", "it is the effect too; name another metric"
        yield from _divergence(f"{key}.damage.divergence", entry["damage"].get("divergence", {}))
        for method, details in entry["methods"].items():
            yield from _method(f"{key}.methods.{method}", details)
        if not any(METHODS[each["method"]].role == "steered" for each in entry["methods"].values()):
            yield (
                f"{key}.methods",
                "none of them steers, so there is no curve; add one with method: actadd",
            )


def _divergence(key: str, entry: dict[str, Any]) -> Iterator[Problem]:
    """Without a dataset of its own the held-out prompts are read, all of them."""
    if "dataset" not in entry:
        for field in ("limit", *(["split"] if entry.get("split", "all") != "all" else [])):
            if field in entry:
                yield (
                    f"{key}.{field}",
                    "without a dataset the held-out prompts are read; write dataset too, or remove "
                    "it",
                )


def _method(key: str, details: dict[str, Any]) -> Iterator[Problem]:
    if METHODS[details["method"]].role == "unsteered":
        yield key, "every method is compared with unsteered already; remove it"
    for field in ("sampling", "seed", "group"):
        if field in details:
            yield f"{key}.{field}", "methods are compared on the same draws; remove it"
    additions = details.get("additions", [])
    curves = 0
    for index, addition in enumerate(additions):
        at_key, strength = f"{key}.additions.{index}", strength_of(addition)
        if "choice" in addition:
            yield f"{at_key}.choice", "the layer is chosen among those listed; write layer: [...]"
        for field in swept_keys(addition):
            swept = isinstance(addition.get(field), list)
            if swept and len(additions) > 1 and field in CHOSEN:
                yield (
                    f"{at_key}.{field}",
                    "of several additions nothing is chosen; write one value",
                )
            if swept and field not in (*CHOSEN, strength):
                yield f"{at_key}.{field}", "only layers, positions and the strength may be lists"
        values = addition.get(strength, 1)
        curves += isinstance(values, list)
        if min(listed(values)) < 0 < max(listed(values)):
            yield (
                f"{at_key}.{strength}",
                f"{values} go both ways, but a curve one way from unsteered; write two methods",
            )
    if curves > 1:
        yield f"{key}.additions", "one strength makes a curve, and two are lists; write one value"


def controlled(config: dict[str, Any], entry: dict[str, Any]) -> dict[str, str]:
    """Vector -> the method whose layer and strengths its controls have, if possible plain addition.

    Vectors of methods with several additions have none, nor have vectors that are controls.
    """
    chosen: dict[str, str] = {}
    order = sorted(
        entry["methods"],
        key=lambda name: (
            any(operation_of(each).reads_stream for each in _additions(entry, name)),
            name,
        ),
    )
    for name in order:
        additions = _additions(entry, name)
        if len(additions) == 1:
            vector = additions[0]["vector"]
            if not VECTOR_KINDS[config["vectors"][vector]["kind"]].control:
                chosen.setdefault(vector, name)
    return chosen


def _additions(entry: dict[str, Any], method: str) -> list[dict[str, Any]]:
    additions: list[dict[str, Any]] = entry["methods"][method].get("additions", [])
    return additions


def lacking(config: dict[str, Any], vector: str) -> dict[str, str]:
    """Control -> why a vector cannot have it."""
    entry = config["vectors"][vector]
    kind = VECTOR_KINDS[entry["kind"]]
    if kind.file:
        every = f"{vector} is read from a file, which may lack layers"
        return dict.fromkeys(("random", "orthogonal", "shuffled"), every)
    if entry.get("draws", 1) > 1:
        several = f"{vector} has {entry['draws']} draws, and a control is of one vector"
        return dict.fromkeys(("random", "orthogonal", "shuffled"), several)
    lender = config["vectors"][entry.get("like", vector)] if kind.least_pairs else {}
    if not {"positive", "pairs"} & lender.keys():
        return {"shuffled": f"{vector} is not a direction of several pairs with labels to exchange"}
    # Of a dataset's pairs the check of vectors says whether there are enough.
    least = VECTOR_KINDS["shuffled"].least_pairs
    if min(entry.get("count", least), len(lender.get("positive", [""] * least))) < least:
        return {"shuffled": f"{vector} is of one pair, whose labels cannot be exchanged"}
    return {}
