"""Section `models`: language models to steer, and to judge fluency with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from actadd.base.kinds import Rule, option
from actadd.config.licences import terms, unaccepted
from actadd.config.sections.rules import Filled, Natural, Problem
from actadd.scorers.kinds import reads

TEMPLATE = "true or false, or the name of one of the model's templates"


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    source: str = option("Source with weights and tokenizer.", section="sources")
    format: Literal["transformers", "gguf", "llama2c"] = option(
        "transformers (a checkpoint with safetensors), gguf, or llama2c."
    )
    layers: int = option("Number of blocks; the fetch checks it.", minimum=1, maximum=1000)
    parameters: int = option(
        "Number of weights, all of them, give or take a tenth, as 134_515_008 or 1.35e+8; a "
        "cluster is asked for memory and time by it, and the fetch checks it.",
        minimum=1,
        maximum=10_000_000_000_000,
    )
    bos: str = option("Text of the token that stands before every text.", min_length=1)
    pad: str = option(
        "Text of the one token that pads the shorter prompt of a contrast pair.", min_length=1
    )
    stop: list[Filled] | None = option(
        "Texts of the tokens that end a completion; those that the model's own files name if not "
        "given.",
        None,
    )
    dtype: Literal["float32", "bfloat16", "float16", "float64", "mixed", "auto"] = option(
        "Type of the numbers that the model computes with; mixed is float32 with products in "
        "bfloat16, on a CPU. auto takes mixed on a CPU and bfloat16 on a GPU where these have "
        "instructions for bfloat16 and the model's log-probabilities stay near those of float32, "
        "and float32 elsewhere; that is decided once, when the model is verified.",
        "float32",
    )
    gpus: int = option(
        "GPUs that a job with this model takes, where compute.device is cuda.", 1, minimum=1
    )
    device_map: (
        Literal["auto", "balanced", "sequential"]
        | Annotated[dict[str, Natural | Literal["cpu", "disk"]], Rule(min_length=1)]
        | None
    ) = option(
        "Where its parts lie, if not all on one device. auto (the default with several GPUs), "
        "balanced and sequential share them out; or name modules and say for each a GPU's number "
        "among the job's own, cpu, or disk.",
        None,
        title="auto, balanced, sequential, or a mapping from modules to a GPU's number, cpu or "
        "disk",
    )
    quantization: Literal["8bit"] | None = option(
        "8bit holds the blocks' weights in one byte a number (LLM.int8).", None
    )
    trust_remote_code: bool = option(
        "Run the Python code that the checkpoint brings along. Read it first.", False
    )
    chat_template: (
        bool
        | Annotated[str, Rule(title=TEMPLATE, pattern=r"^(?!(yes|no|on|off|true|false)\Z).+\Z")]
    ) = option(
        "Wrap each prompt in the model's own chat template, or in the one of this name where it "
        "has several; false is raw completion.",
        False,
        title=TEMPLATE,
    )
    chat_variables: dict[str, Any] | None = option(
        "What its chat template sees besides the messages, such as enable_thinking false.", None
    )
    chat_date: str | None = option(
        "The date that a chat template writes; that of the day on which the model is made ready "
        "if not given.",
        None,
        title='a date in quotes, such as "2024-07-26"',
        pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\Z",
    )
    licence: str = option("Name of the licence of the weights.")
    licence_terms: str | None = option(
        "Where the terms stand, for a licence that has to be accepted.", None
    )


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for section in ("experiments", "lenses", "overheads"):
        for name, entry in config[section].items():
            if not entry["models"] and not entry.get("shapes"):
                yield (
                    f"{section}.{name}",
                    "the key 'models' is missing; write it, or run_on for all",
                )
    for name, entry in config["models"].items():
        key = f"models.{name}"
        yield from _placement(key, entry, config["compute"]["device"])
        if "chat_date" in entry:
            try:
                date.fromisoformat(entry["chat_date"])
            except ValueError as error:
                yield (
                    f"{key}.chat_date",
                    f"{entry['chat_date']!r}: {error}; write a day of the calendar",
                )
    if missing := unaccepted(config, _used(config)):
        yield "licences_accepted", f"not accepted yet: {terms(config, missing)}"


def _used(config: dict[str, Any]) -> set[str]:
    """The models that something is run on or judged with."""
    sections = ("experiments", "lenses", "overheads", "figures")
    running = [entry for section in sections for entry in config[section].values()]
    running += filter(None, [config["comparison"].get("norms")])
    scorers = config["scorers"].values()
    judges = {entry["model"] for entry in scorers if reads(entry["kind"]) == "model"}
    return judges | {model for entry in running for model in entry.get("models", [])}


def _placement(key: str, entry: dict[str, Any], device: str) -> Iterator[Problem]:
    """Whether a model's parts are put where its job has devices."""
    gpus = entry["gpus"] if device == "cuda" else 0
    mapped = entry.get("device_map", {})
    for module, target in mapped.items() if isinstance(mapped, dict) else ():
        if isinstance(target, int) and target >= gpus:
            yield (
                f"{key}.device_map.{module}",
                f"{target} is the number of a GPU, but "
                + (
                    f"a job takes {gpus}, counted from 0; write {key}.gpus: {target + 1}"
                    if gpus
                    else "compute.device is cpu; write cpu or disk"
                ),
            )
        if entry.get("quantization") and target in {"disk", *(["cpu"] if gpus else [])}:
            yield (
                f"{key}.device_map.{module}",
                f"{target} does not go with quantization; write "
                f"{'a number of a GPU' if gpus else 'cpu'}",
            )
    dtype = entry["dtype"]
    if entry.get("quantization") and dtype in ("float64", "mixed", "auto"):
        yield f"{key}.dtype", f"{dtype} cannot be had with quantization; write float16"
    elif dtype == "mixed" and device == "cuda":
        yield f"{key}.dtype", "mixed is for a CPU, but compute.device is cuda; write bfloat16"
    elif dtype in ("mixed", "auto") and device == "cpu" and mapped:
        yield f"{key}.dtype", f"{dtype} does not go with device_map on a CPU; write float32"
