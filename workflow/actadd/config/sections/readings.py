"""Sections `lenses`, `pair_checks`, `overheads`: vectors are read, pairs examined, passes timed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from actadd.base.kinds import option
from actadd.config.sections.rules import MODELS, ModelName, Name, Natural, Problem, VectorName


@dataclass(frozen=True, kw_only=True)
class Lens:
    vectors: list[VectorName] = option("Vectors that are read.", min_length=1, unique=True)
    models: list[ModelName] | None = option(MODELS, None, min_length=1, unique=True)
    top: int = option("Tokens of each direction.", 10, minimum=1, maximum=10_000)


@dataclass(frozen=True, kw_only=True)
class PairCheck:
    vectors: list[VectorName] = option(
        "Vectors of kind pair that are examined.", min_length=1, unique=True
    )
    models: list[ModelName] | None = option(MODELS, None, min_length=1, unique=True)
    layer: int = option("Block at whose input they are examined, from 0.", minimum=0)
    dose: float = option(
        "Strength at which the first token is read, a share of the residual stream's median norm.",
        1.0,
        exclusive_minimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class Shape:
    layers: int = option("Number of blocks.", minimum=1, maximum=1000)
    d_model: int = option("Width of the residual stream.", minimum=1, maximum=100_000)
    heads: int = option(
        "Attention heads of a block; their number divides d_model.", minimum=1, maximum=10_000
    )
    vocabulary: int = option("Size of the vocabulary.", minimum=16, maximum=10_000_000)


@dataclass(frozen=True, kw_only=True)
class Overhead:
    models: list[ModelName] | None = option(
        "Models that are timed; those of run_on if not given.", None, unique=True
    )
    shapes: dict[Name, Shape] = option("Architectures that are timed with random weights.", {})
    rows: int = option("Rows of the batch.", 32, minimum=1, maximum=100_000)
    tokens: int = option("Tokens of each row.", 64, minimum=1, maximum=100_000)
    repeats: int = option("Rounds that are timed.", 20, minimum=2, maximum=100_000)
    warmup: int = option("Untimed rounds before these.", 3, minimum=0, maximum=100_000)
    layer: Natural | Literal["middle"] = option(
        "Block at whose input the vector is added; middle is half the depth.",
        "middle",
        title="a layer, or middle",
    )
    positive: str = option("First prompt of the contrast pair.", min_length=1, max_length=2000)
    negative: str = option("Second prompt of the pair; empty is BOS alone.", max_length=2000)


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in config["lenses"].items():
        for vector in entry["vectors"]:
            draws = config["vectors"][vector].get("draws", 1)
            if draws > 1:
                yield (
                    f"lenses.{name}.vectors",
                    f"{vector!r} has {draws} draws, and a lens reads one vector; name another, or "
                    "one with draws: 1",
                )
    for name, entry in config["pair_checks"].items():
        key = f"pair_checks.{name}"
        for vector in entry["vectors"]:
            if (kind := config["vectors"][vector]["kind"]) != "pair":
                yield f"{key}.vectors", f"{vector!r} is a {kind} vector; name vectors of kind pair"
        for model in entry["models"]:
            if entry["layer"] >= (depth := config["models"][model]["layers"]):
                yield (
                    f"{key}.layer",
                    f"{entry['layer']} is beyond {model}, whose layers are 0 to {depth - 1}",
                )
    for name, entry in config["overheads"].items():
        yield from _overhead(config, f"overheads.{name}", entry)


def _overhead(config: dict[str, Any], key: str, entry: dict[str, Any]) -> Iterator[Problem]:
    depths = {name: config["models"][name]["layers"] for name in entry["models"]}
    for name, shape in entry["shapes"].items():
        if name in depths:
            yield (
                f"{key}.shapes",
                f"{name!r} is also a model that is timed here; rename the shape",
            )
        if shape["d_model"] % shape["heads"]:
            yield (
                f"{key}.shapes.{name}.heads",
                f"{shape['heads']} does not divide d_model, which is {shape['d_model']}; write a "
                "number that does",
            )
        depths[name] = shape["layers"]
    for name, depth in depths.items():
        if entry["layer"] != "middle" and entry["layer"] >= depth:
            yield (
                f"{key}.layer",
                f"{entry['layer']} is beyond {name}, which has layers 0 to {depth - 1}",
            )
