"""Arguments that several commands share, and the checks of their values."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

Configs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[CONFIG]...",
        show_default=False,
        help="Config files on top of config.yaml, as --configfile.",
    ),
]
Results = Annotated[Path, typer.Option(help="The folder of results.")]
# The prompts of a trial to which an option applies.
Which = Literal["prompt", "contrast", "both"]


def finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not finite; write a number")
    return value


def checked_text(value: str) -> str:
    if not value.isascii() and value.encode(errors="replace").decode() != value:
        raise typer.BadParameter(f"{value!a} is not UTF-8; write it in UTF-8")
    return value


def optional_text(value: str | None) -> str | None:
    return None if value is None else checked_text(value)


# Of commands that run a model.
Model = Annotated[str, typer.Option(help="A prepared model's name, or a Hugging Face folder.")]
Bos = Annotated[
    str | None,
    typer.Option(callback=optional_text, help="BOS of a folder that names none."),
]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where it runs.")]
Dtype = Annotated[
    Literal["float32", "bfloat16", "float16", "mixed", "auto"] | None,
    typer.Option(help="What it runs in; if not given, what the model was made ready in."),
]
Threads = Annotated[
    int,
    typer.Option(min=1, max=1024, help="More are faster for a large model on idle cores."),
]
