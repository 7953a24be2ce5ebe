"""Section `vectors`: steering vectors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from actadd.base.errors import UserError, shown
from actadd.base.kinds import Rule, option
from actadd.config.kinds import Family
from actadd.config.sections.rules import FileName, Natural, Problem, ShortText, listed
from actadd.measure.conditions import at_depth

CHAT = "{ chat: TEXT }, { chat: [{ role: ROLE, content: TEXT }] } or { token_ids: [1, 2] }"


@dataclass(frozen=True, kw_only=True)
class Message:
    role: str = option("Who speaks: system, user, assistant.", min_length=1, max_length=60)
    content: str = option("What is said.", max_length=2000)


@dataclass(frozen=True, kw_only=True)
class Chat:
    chat: (
        Annotated[str, Rule(min_length=1, max_length=2000)]
        | Annotated[list[Message], Rule(min_length=1, max_length=20)]
    ) = option(
        "What a user says, or messages, written by the model's own chat template up to the answer.",
        title="a text, or messages such as [{ role: user, content: Hello }]",
    )


@dataclass(frozen=True, kw_only=True)
class TokenIds:
    token_ids: list[Natural] = option(
        "Ids of the model's own tokens; BOS is put in front if it is not there.",
        min_length=1,
        max_length=2000,
    )


PROMPT = Rule(title=f"a text that is not blank, {CHAT}")
Prompt = Annotated[ShortText | Chat | TokenIds, PROMPT]
PairPrompt = Annotated[
    Annotated[str, Rule(max_length=2000)] | Chat | TokenIds,
    Rule(title=f"a text of at most 2000 characters, {CHAT}"),
]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Difference of the activations of two prompts."""

    positive: PairPrompt = option("Prompt to steer towards; empty is BOS alone.")
    negative: PairPrompt = option("Prompt that is subtracted; empty is BOS alone.")
    pad: str | None = option(
        "Text of the token that pads the shorter prompt; the model's pad if not given.",
        None,
        min_length=1,
    )
    pad_with_bos: bool | None = option("Pad with BOS in place of the model's pad token.", None)


@dataclass(frozen=True, kw_only=True)
class Single:
    """Activations of one prompt."""

    prompt: Prompt = option("Prompt whose residual stream is the vector.")


@dataclass(frozen=True, kw_only=True)
class MeanDifference:
    """Difference of the mean activations of two lists of prompts."""

    positive: list[Prompt] = option("Prompts to steer towards.", min_length=1, max_length=150)
    negative: list[Prompt] = option(
        "Prompts that are subtracted, as many.", min_length=1, max_length=150
    )


@dataclass(frozen=True, kw_only=True)
class Random:
    """Random rows with the norms of a pair's."""

    like: str = option(
        "The pair whose norm at each position the random rows get.", section="vectors"
    )
    seed: int | None = option(
        "Seed of the random rows; the config's own if not given.", None, minimum=0
    )
    draws: int | None = option(
        "How many random vectors are drawn, 1 if not given. A condition that adds the vector is "
        "run with each, and all of them are one control in summaries, figures and tables.",
        None,
        title="a number of draws, 1 to 100",
        minimum=1,
        maximum=100,
    )


@dataclass(frozen=True, kw_only=True)
class File:
    """A vector that somebody else made."""

    file: FileName = option("File that holds the vector.")
    format: Literal["safetensors", "gguf", "vllm-lens"] | None = option(
        "What the file is, where its name does not end in .safetensors, .gguf or .json.", None
    )


KINDS = {
    "pair": Pair,
    "single": Single,
    "mean_difference": MeanDifference,
    "random": Random,
    "file": File,
}
Vector = Annotated[Any, Family("kind", lambda: KINDS, "What the vector is made from.")]


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in config["vectors"].items():
        key = f"vectors.{name}"
        if entry["kind"] == "random":
            like = config["vectors"][entry["like"]]["kind"]
            if like != "pair":
                yield f"{key}.like", f"{entry['like']!r} is a {like} vector; name a pair"
        if entry["kind"] == "pair":
            sides = [entry["positive"], entry["negative"]]
            if sides[0] == sides[1]:
                yield key, f"positive and negative are both {shown(sides[0])}; make them differ"
            if all(isinstance(side, str) and not side.strip() for side in sides):
                yield key, "positive and negative are both blank; write a text for one of them"
        if entry["kind"] == "mean_difference" and len(entry["positive"]) != len(entry["negative"]):
            yield (
                key,
                f"{len(entry['positive'])} positive and {len(entry['negative'])} negative prompts; "
                "write as many of one as of the other",
            )


def file_problems(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    """Vectors read from files need the layers at which they are used, and rows to align."""
    for name, entry in config["vectors"].items():
        if entry["kind"] == "file":
            yield from _file_problems(config, f"vectors.{name}", name, root)


def _file_problems(config: dict[str, Any], key: str, name: str, root: Path) -> Iterator[Problem]:
    # Only here, since it takes a moment.
    from actadd.vectors.file_formats import load_vectors

    entry = config["vectors"][name]
    if not (root / entry["file"]).is_file():
        yield f"{key}.file", f"{entry['file']} does not exist; write the path of a file"
    try:
        vectors = load_vectors(root / entry["file"], entry.get("format"))
    except UserError as error:
        yield f"{key}.file", str(error)
    for place, model, addition in _additions_of(config, name):
        used = [addition.get(field, []) for field in ("layer", "source_layer")]
        if "choice" in addition:
            used.append(_chosen_layers(config, place.split(".")[1], model, addition))
        for layer in sorted({layer for part in used for layer in listed(part)}):
            if layer not in vectors.rows:
                layers = ", ".join(map(str, vectors.layers))
                yield (
                    place,
                    f"on {model} it is layer {layer}, and {entry['file']} holds layer {layers}, "
                    "counted by block inputs; write one of these",
                )
        positions = listed(addition.get("position", []))
        if "all" in positions and vectors.positions > 1:
            yield f"{place}.position", f"all needs one row, {entry['file']} has {vectors.positions}"
        if not positions and vectors.positions == 1:
            yield place, f"{entry['file']} holds one row; write position: back or all"
    for lens, reading in config["lenses"].items():
        for model in reading["models"] if name in reading["vectors"] else []:
            depth = config["models"][model]["layers"]
            if not vectors.rows.keys() >= set(range(depth)):
                yield (
                    f"lenses.{lens}.vectors",
                    f"a lens reads all {depth} layers of {model}, but {entry['file']} does not "
                    f"hold them all; remove {name!r}",
                )


def _chosen_layers(
    config: dict[str, Any], experiment: str, model: str, addition: dict[str, Any]
) -> list[int]:
    """Layers of which a choice may set one, for an addition that does not name its own."""
    rule = config["experiments"][experiment]["choices"][addition["choice"]]
    sweep = config["experiments"][rule["experiment"]]["conditions"]
    [swept] = at_depth(sweep, config["models"][model]["layers"])[rule["condition"]]["additions"]
    source = "source_layer" if "source_layer" in swept else "layer"
    fields = set() if "source_layer" in addition else {source}
    fields |= {"layer"} if addition.get("match_norm") else set()
    return [layer for field in fields for layer in listed(swept[field])]


def _additions_of(config: dict[str, Any], vector: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(key, model, addition with its layers there) of a vector's additions."""
    for experiment, entry in config["experiments"].items():
        for model in entry["models"]:
            conditions = at_depth(entry["conditions"], config["models"][model]["layers"])
            for condition, details in conditions.items():
                for index, addition in enumerate(details.get("additions", [])):
                    if addition["vector"] == vector:
                        key = f"experiments.{experiment}.conditions.{condition}.additions.{index}"
                        yield key, model, addition
