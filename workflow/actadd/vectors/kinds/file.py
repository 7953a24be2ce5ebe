"""A vector that another program has made."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from actadd.base.kinds import FILE, option
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Options:
    file: Annotated[str, FILE] = option("File that holds the vector.")
    format: Literal["safetensors", "gguf", "vllm-lens"] | None = option(
        "What the file is, where its name does not end in .safetensors, .gguf or .json.", None
    )


@vector_kind(Options, file="file")
def file(path: Path, options: Options) -> "dict[int, np.ndarray]":
    """Rows that are read from a file of another program."""
    from actadd.vectors.file_formats import load_vectors

    vectors = load_vectors(path, options.format)
    if vectors.rounded:
        print(f"{path}: numbers of more digits than float32 keeps were rounded to it", flush=True)
    return vectors.rows
