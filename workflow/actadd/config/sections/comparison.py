"""Section `comparison`: the published numbers, and what of ours stands beside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from actadd.base.kinds import Rule, option
from actadd.config.kinds import Selector
from actadd.config.sections.datasets import own_file
from actadd.config.sections.rules import MODELS, FileName, ModelName, Problem, VectorName, known
from actadd.results.displays import needs

OURS = "Column -> value, of the rows of a summary of ours that are meant."
NonNegative = Annotated[float, Rule(minimum=0)]
Rows = Annotated[dict[str, Any], Selector("experiment")]


@dataclass(frozen=True, kw_only=True)
class Norms:
    vectors: list[VectorName] = option(
        "Vectors whose norms are compared.", min_length=1, unique=True
    )
    relative_to: str = option("Vector whose norms norm_ratio divides by.", section="vectors")
    models: list[ModelName] | None = option(MODELS, None, min_length=1, unique=True)


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    absolute: NonNegative | None = option("In the unit of the number.", None)
    relative: NonNegative | None = option("As a share of the published number.", None)


@dataclass(frozen=True, kw_only=True)
class Series:
    title: str = option("What the table calls it.", min_length=1)
    published: Annotated[dict[str, Any], Selector("item")] = option(
        "Column -> value, of the rows of the published numbers that are meant."
    )
    ours: Rows = option(OURS)
    x: str | None = option(
        "Column of ours that holds the published x; without it one row is meant.", None
    )
    y: Literal["mean", "difference"] = option(
        "Which number of a row is compared; difference is the paired one from unsteered.", "mean"
    )
    models: list[str] = option("Models whose numbers can be compared with the published ones.")
    data: str | None = option("Name or title of the dataset that the published numbers need.", None)
    neutral: float | None = option("The value that stands for no effect.", None)
    tolerance: Tolerance = option(
        "How far from the published number ours may be to match; the wider of the two counts.",
        min_length=1,
    )


@dataclass(frozen=True, kw_only=True)
class Test:
    above: float | None = option("A number that ours is above.", None)
    below: float | None = option("A number that ours is below.", None)
    near: list[float] | None = option(
        "A number, and how far from it ours may be.", None, min_length=2, max_length=2
    )
    greater_than: Rows | None = option(OURS, None)
    ordered: list[Rows] | None = option(
        "Rows that get larger one after another.", None, min_length=2
    )


@dataclass(frozen=True, kw_only=True)
class Claim:
    title: str = option("What is claimed.", min_length=1)
    source: str = option("Where the paper says it.", min_length=1)
    test: (
        Literal["increasing", "decreasing"] | Annotated[Test, Rule(min_length=1, max_length=1)]
    ) = option(
        "Along x, beside a number (near has an allowed distance too), beside the rows of another "
        "selector, or of a list of selectors, each larger than the one before.",
        title="increasing, decreasing, or one of above, below, near, greater_than and ordered with "
        "what it needs",
    )
    ours: Rows | None = option(OURS, None)
    x: str | None = option("Column along which ours increases or decreases.", None, min_length=1)
    y: Literal["mean", "difference"] = option(
        "Which number of a row is tested; difference is the paired one from unsteered.", "mean"
    )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    published: FileName | None = option(
        "CSV file of the published numbers, with columns item, x, y and others to select rows by.",
        None,
    )
    norms: Norms | None = option("Vectors whose norms are compared, as the experiment norms.", None)
    comparisons: dict[str, Series] = option("Series of published numbers, set beside ours.", {})
    claims: dict[str, Claim] = option("Statements of the paper, tested on our numbers.", {})


# test -> keys that it needs; any other needs ours.
TEST_KEYS = {"increasing": ("ours", "x"), "decreasing": ("ours", "x"), "ordered": ()}


def problems(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    entry = config["comparison"]
    kinds = [needs.kind_of(s, each) for s in ("figures", "tables") for each in config[s].values()]
    compared = entry["comparisons"] or entry["claims"]
    if any("comparison" in kind.reads for kind in kinds) and not compared:
        yield (
            "comparison",
            "a figure or table shows it, but it compares nothing; add comparisons",
        )
    if entry["comparisons"] and "published" not in entry:
        yield "comparison", "the key 'published' is missing; write the file of published numbers"
    if "published" in entry:
        yield from own_file("comparison.published", entry["published"], root)
    if "norms" in entry and "norms" in config["experiments"]:
        yield (
            "experiments.norms",
            "comparison.norms goes by this name; call the experiment otherwise",
        )
    for name, claim in entry["claims"].items():
        test = next(iter(claim["test"])) if isinstance(claim["test"], dict) else claim["test"]
        for field in TEST_KEYS.get(test, ("ours",)):
            if field not in claim:
                yield (
                    f"comparison.claims.{name}",
                    f"the test {test} needs the key {field!r}; add it",
                )
    experiments = {*config["experiments"], *(["norms"] if "norms" in entry else [])}
    for section in ("comparisons", "claims"):
        for name, item in entry[section].items():
            for selector in needs.selectors(item):
                key = f"comparison.{section}.{name}.ours.experiment"
                yield from known(key, selector["experiment"], experiments, "experiment")
