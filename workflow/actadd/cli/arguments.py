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
Dtype = Literal["float32", "bfloat16", "float16", "mixed", "auto"]


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
