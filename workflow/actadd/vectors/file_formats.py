"""Files of steering vectors, this library's and other programs'.

Layers. Here a layer is a block's input (`resid_pre`, 0-indexed). The other programs name the block
whose *output* is changed, which is the next block's input: their N is our N + 1. So what is added
to the embeddings, our layer 0, cannot be said there and is refused; and what they add behind the
last block has no place here: it is read, but no model has a layer of that number.

Positions. A vector here has one row for each of its positions, added where the prompt is read.

    format        holds                           what its programs do with it
    safetensors   everything                      this library: as `position` says, in the prefill
    gguf          one row for each layer          llama.cpp, repeng: every token, at every step
    vllm-lens     one row, or a row for each of   one row: every token, at every step; several:
                  the first positions             their positions, so in the prefill, as the paper
    steering-     one row for each layer          every token, at every step
    vectors       (an object, no file)

Nothing here reads a pickle. A file that was changed or cut off is refused, as far as it carries a
digest; files of other programs carry none.
"""

from pathlib import Path

from actadd.base.errors import UserError
from actadd.vectors.formats import gguf, safetensors, vllm_lens
from actadd.vectors.steering_vectors import SteeringVectors
from actadd.vectors.vector_files import FILE_NAME

# Endings of files that run code when they are read, or that have no names for layers.
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npy", ".npz")
UNREAD = (
    "; a pickle runs what stands in it and an array says no layer, so neither is read: where you "
    'trust the file, write its tensors with safetensors.torch.save_file({"layer.6": tensor}, '
    '"vector.safetensors"), 6 being the block whose input is changed'
)
# Format -> how its files' names end.
FORMATS = {"safetensors": ".safetensors", "gguf": ".gguf", "vllm-lens": ".json"}
MODULES = {"safetensors": safetensors, "gguf": gguf, "vllm-lens": vllm_lens}


def save_vectors(path: Path | str, vectors: SteeringVectors, format: str | None = None) -> None:
    """Write a vector's file, whole or not at all.

    format: safetensors, gguf or vllm-lens; the default is what the path's ending says.
    Raises UserError if the format cannot hold the vector, with what to do instead, and TypeError
    for a bare array or tensor.

    >>> import numpy as np, pathlib, tempfile
    >>> mean = SteeringVectors({6: np.ones((1, 8))}, position="all", model="llama")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "mean.gguf"
    ...     save_vectors(path, mean)
    ...     load_vectors(path).layers
    [6]
    """
    path = Path(path)
    if not isinstance(vectors, SteeringVectors):
        raise TypeError(
            f"vectors is a {type(vectors).__name__}; write SteeringVectors({{layer: array}}), "
            "which says at which layer its rows are added"
        )
    MODULES[_format(path, format)].write(path, vectors)


def load_vectors(path: Path | str, format: str | None = None) -> SteeringVectors:
    """Read a vector file, or a folder results/vectors/MODEL/VECTOR of the workflow.

    format: as in `save_vectors`. Raises UserError, which names the file and the remedy, if it does
    not exist, is not of the format, is truncated or changed, or holds something unsupported.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
        if not path.is_file():
            raise UserError(f"{path.parent} holds no {FILE_NAME}; run the workflow for it first")
    if not path.is_file():
        raise UserError(f"{path} does not exist; write the path of a file of vectors")
    format = _format(path, format)
    try:
        return MODULES[format].read(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as {format} ({type(error).__name__}: {error}); get the file "
            "anew, or name its format"
        ) from error


def _format(path: Path, format: str | None) -> str:
    if format is None:
        by_ending = {ending: name for name, ending in FORMATS.items()}
        format = by_ending.get(path.suffix)
        if format is None:
            raise UserError(
                f"{path}: what ends in {path.suffix!r} is not a known format; name one of "
                f"{', '.join(FORMATS)}, or let it end in {', '.join(by_ending)}"
                + (UNREAD if path.suffix in PICKLES else "")
            )
    if format not in FORMATS:
        raise UserError(f"format {format!r} is unknown; write one of {', '.join(FORMATS)}")
    return format
