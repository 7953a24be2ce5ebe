"""Sections `figures` and `tables`: what is made from the experiments' tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from actadd.base.kinds import option
from actadd.config.sections.experiments import metric_problems
from actadd.config.sections.rules import ModelName, Problem, VectorName, known
from actadd.results import displays


@dataclass(frozen=True, kw_only=True)
class Display:
    title: str = option("What stands above it.", min_length=1)
    paper: str | None = option(
        "Where it stands in the paper; it then belongs to the target `paper`.", None, min_length=1
    )
    note: str | None = option("What the caption adds.", None)
    experiment: str | None = option(
        "Experiment whose numbers are shown.", None, section="experiments"
    )
    labels: dict[str, str] | None = option("Metric -> what it is called.", None)
    relative_to: str | None = option(
        "Vector whose norms those of the others are divided by, or that pairs are compared with.",
        None,
        section="vectors",
    )
    lens: str | None = option("Lens whose readings are shown.", None, section="lenses")
    overhead: str | None = option("Timing that is shown.", None, section="overheads")


@dataclass(frozen=True, kw_only=True)
class Figure(Display):
    kind: Literal[
        "sweep",
        "conditions",
        "perplexity_ratio",
        "frequency",
        "accuracy",
        "precision",
        "dose_response",
        "topics",
        "token_shift",
        "divergence",
        "pairs",
        "norms",
        "lens",
        "cosines",
        "overhead",
        "comparison",
    ] = option("What is drawn.")
    metrics: list[str] | None = option(
        "scorer.metric of each panel; of dose_response the effect, then the cost.",
        None,
        min_length=1,
    )
    x: Literal["coefficient", "layer", "dimensions"] | None = option(
        "What a sweep is drawn against; the coefficient if not given.", None
    )
    by_group: bool | None = option("One line for each group of prompts.", None)
    condition: str | None = option(
        "The one condition that a sweep or perplexity_ratio draws; all if not given.", None
    )
    log: bool | None = option("Draw the measure on a logarithmic axis.", None)
    vectors: list[VectorName] | None = option(
        "Vectors to draw; of a lens, all of them if not given.", None, min_length=1
    )
    models: list[ModelName] | None = option(
        "Models of a figure of norms; those of run_on if not given.",
        None,
        min_length=1,
        unique=True,
    )
    depth: float = option(
        "Layer of the comparison between vectors, as a share of the blocks.",
        0.4,
        minimum=0,
        maximum=1,
    )
    at_least: int | None = option(
        "Instances that a token needs (20 if not given), or documents that a bin needs (1).",
        None,
        minimum=1,
    )


@dataclass(frozen=True, kw_only=True)
class Table(Display):
    kind: Literal[
        "methods",
        "precision",
        "qualitative",
        "token_shift",
        "next_tokens",
        "pairs",
        "lens",
        "overhead",
        "comparison",
    ] = option("What is tabulated.")
    metrics: list[str] | None = option(
        "scorer.metric, or of one group of prompts scorer.metric@group.", None, min_length=1
    )
    samples: int | None = option(
        "Completions of each prompt that are shown; 3 if not given.", None, minimum=1
    )
    at_least: int | None = option(
        "Instances that a token needs; 20 if not given.", None, minimum=1
    )
    top: int | None = option(
        "Tokens of each direction or list; 10 if not given, of a lens 5.", None, minimum=1
    )


# section -> key -> kinds that need it, or all but these.
NEEDS: dict[str, dict[str, set[str]]] = {
    "figures": {
        "vectors": {"norms"},
        "lens": {"lens", "cosines", "pairs"},
        "overhead": {"overhead"},
        "metrics": {"sweep", "conditions", "dose_response", "topics", "pairs"},
    },
    "tables": {
        "overhead": {"overhead"},
        "lens": {"lens", "pairs"},
        "metrics": {"methods", "pairs"},
    },
}
ALONE = {"norms", "lens", "cosines", "overhead", "comparison"}


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for section in ("figures", "tables"):
        for name, entry in config[section].items():
            yield from _display(config, f"{section}.{name}", section, entry)


def _display(
    config: dict[str, Any], key: str, section: str, entry: dict[str, Any]
) -> Iterator[Problem]:
    needed = [name for name, kinds in NEEDS[section].items() if entry["kind"] in kinds]
    for name in (*needed, *([] if entry["kind"] in ALONE else ["experiment"])):
        if name not in entry:
            yield key, f"the key {name!r} is missing; add it"
    if "experiment" not in entry:
        return
    experiment = config["experiments"][entry["experiment"]]
    measure = displays.MEASURES.get(entry["kind"], experiment["measure"])
    if experiment["measure"] != measure:
        yield (
            f"{key}.kind",
            f"{entry['kind']} is made from {measure}, but experiments.{entry['experiment']} "
            f"measures {experiment['measure']}; name another kind or experiment",
        )
    if experiment["measure"] == "completions":
        for metric in entry.get("metrics", []):
            metric = metric.partition("@")[0]
            yield from metric_problems(
                config, f"{key}.metrics", metric, experiment.get("scorers", [])
            )
    if "condition" in entry:
        name = entry["condition"]
        yield from known(f"{key}.condition", name, experiment["conditions"], "condition")
        if "additions" not in experiment["conditions"][name]:
            yield (
                f"{key}.condition",
                f"{name!r} adds no vector, so there is nothing to sweep; name another",
            )
    yield from _drawable(key, entry, experiment["conditions"])


def _drawable(
    key: str, entry: dict[str, Any], conditions: dict[str, dict[str, Any]]
) -> Iterator[Problem]:
    """Whether a figure of a kind that needs certain conditions or metrics has them."""
    kind, metrics = entry["kind"], entry.get("metrics", [])
    if kind == "dose_response" and len(metrics) != 2:
        yield (
            f"{key}.metrics",
            f"there are {len(metrics)}; write two, the effect and then the cost",
        )
    for metric in metrics if kind == "topics" else []:
        topic = metric.partition(".")[2]
        if "additions" not in conditions.get(topic, {}):
            yield (
                f"{key}.metrics",
                f"{metric!r} needs a condition {topic!r} that adds the topic's vector; add it, or "
                "remove the metric",
            )
    if kind in ("sweep", "perplexity_ratio"):
        x = entry.get("x", "coefficient")
        chosen = [entry["condition"]] if "condition" in entry else conditions
        added = [conditions[name].get("additions", []) for name in chosen]
        alone = [additions[0] for additions in added if len(additions) == 1]
        if not any(x != "dimensions" or x in addition for addition in alone):
            with_it = " with dimensions" if x == "dimensions" else ""
            yield f"{key}.x", f"no condition has one addition{with_it} to sweep; add one"
