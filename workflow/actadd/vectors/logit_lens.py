"""Reading vectors: which tokens a steering vector speaks for, and which vectors are alike.

The logit lens reads a residual stream as if the model ended there. A steering vector is a
difference of two streams, not a stream: where the stream is normalised, the difference is too (so
its logits tell a direction, not a size), and every bias on the way to the logits is left out, since
it would have cancelled.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.base.files import read_json, write_with
from actadd.engine.tokens import Tokens
from actadd.vectors.vector_files import read_vector

if TYPE_CHECKING:
    import torch

Vectors = dict[str, dict[int, np.ndarray]]


def read_vectors(
    spec: dict[str, Any],
    *,
    model_dir: Path,
    vector_files: Mapping[str, Path],
    table: Path,
    cosines: Path,
) -> dict[str, Any]:
    """Tabulates the tokens that each vector raises and lowers most, and cosines between vectors.

    spec: name, model, vectors (names), top (tokens of each direction), dtype, compute.
    vector_files: by vector; only those of the named vectors are read.

    table: Parquet, one row for each model, vector, layer, position, direction ("up" or "down") and
    rank (0 is the strongest), with token_id, token, logit, and norm, the length of the vector's row
    at that position. Rows that are exactly zero, as a pair's BOS, say nothing and are left out;
    equal logits go to the smaller token id.

    cosines: Parquet of model, kind, vector, other, layer, other_layer, compared, cosine. kind
    "layers" has one vector at every two layers, kind "vectors" every two vectors at one layer;
    both are symmetric, with the diagonal. compared says what was: "rows", all positions after BOS
    in one long vector, or "mean", their mean, for two vectors of different lengths. The cosine with
    a vector that is zero is NaN.
    Raises UserError if a vector has no file or the model cannot be read in this way.
    """
    import torch

    from actadd.models.loading import load

    facts = read_json(model_dir / "model.json")
    vectors = _by_layer(spec, vector_files)
    tokens = Tokens(model_dir)
    model = load(model_dir, dtype=spec["dtype"], **spec["compute"])
    width = model.config.get_text_config().hidden_size
    read_out = readout(model)
    rows = []
    for name, layers in vectors.items():
        for layer, vector in layers.items():
            if vector.shape[1] != width:
                raise UserError(
                    f"lenses.{spec['name']}.vectors: {name} has width {vector.shape[1]}, the model "
                    f"{facts['model']} {width}; read a vector with the model it was made with"
                )
            norms = np.linalg.norm(vector, axis=1)
            positions = np.flatnonzero(norms)
            if not len(positions):
                continue
            logits = read_out(torch.from_numpy(vector[positions])).numpy()
            for position, row in zip(positions.tolist(), logits, strict=True):
                at = (name, layer, position, float(norms[position]))
                for direction, sign in (("up", -1), ("down", 1)):
                    best = np.argsort(sign * row, kind="stable")[: spec["top"]]
                    for rank, token_id in enumerate(best.tolist()):
                        token = (token_id, tokens.token(token_id), float(row[token_id]))
                        rows.append((*at, direction, rank, *token))
    columns = ["vector", "layer", "position", "norm", "direction", "rank"]
    read = pd.DataFrame(rows, columns=[*columns, "token_id", "token", "logit"])
    alike = cosine_table(vectors)
    for frame, path in ((read, table), (alike, cosines)):
        frame.insert(0, "model", facts["model"])
        write_with(path, partial(frame.to_parquet, index=False))
    return {"readings": len(read), "cosines": len(alike)}


def _by_layer(spec: dict[str, Any], files: Mapping[str, Path]) -> Vectors:
    """The named vectors in the config's order, float32 [positions, d_model] by layer."""
    missing = [name for name in spec["vectors"] if name not in files]
    if missing:
        raise UserError(
            f"lenses.{spec['name']}.vectors: no vector {missing[0]!r} was made; there are "
            f"{', '.join(sorted(files)) or 'none'}"
        )
    return {name: read_vector(files[name]) for name in spec["vectors"]}


def readout(model: Any) -> "Callable[[torch.Tensor], torch.Tensor]":
    """A function from rows of a vector to logits, float32 [rows, vocabulary] on the CPU.

    The modules between the last block and the logits (a norm, in some models a projection, the
    unembedding) are recorded in a forward pass over one token, so that no architecture's names are
    needed. All of it but the norm is affine, and the norm of -v is that of v with the sign of
    all but its bias turned; so half the difference of the outputs for v and -v is the norm's
    scale, the projection and the unembedding without any bias.
    Raises UserError if the unembedding is not the last module.
    """
    import torch

    from actadd.engine.structure import blocks, device_of, input_device

    head = model.get_output_embeddings()
    inside = {module for block in blocks(model) for module in block.modules()}
    after: list[Any] = []
    handles = [blocks(model)[-1].register_forward_hook(lambda *_: after.clear())]
    for module in model.modules():
        if module not in inside and not list(module.children()):
            handles.append(module.register_forward_hook(lambda called, *_: after.append(called)))
    try:
        with torch.inference_mode():
            start = torch.zeros((1, 1), dtype=torch.long, device=input_device(model))
            model(start, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    if head is None or not after or after[-1] is not head:
        raise UserError(
            f"{type(model).__name__} does not end in an unembedding; this architecture is not "
            "supported"
        )

    def logits(hidden: torch.Tensor) -> torch.Tensor:
        for module in after:
            hidden = module(hidden)
        return hidden.float()

    @torch.inference_mode()
    def read_out(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.to(device_of(head), head.weight.dtype)
        return ((logits(rows) - logits(-rows)) / 2).cpu()

    return read_out


def cosine_table(vectors: Vectors) -> pd.DataFrame:
    """Cosines of each vector between all layers, and of all vectors at each layer.

    vectors: float [positions, d_model] by name and layer. See `read_vectors` for the columns.
    """
    rows = []
    for name, layers in vectors.items():
        for layer, one in layers.items():
            for other_layer, two in layers.items():
                rows.append(("layers", name, name, layer, other_layer, *_cosine(one, two)))
    for layer, name, other in _together(vectors):
        pair = _cosine(vectors[name][layer], vectors[other][layer])
        rows.append(("vectors", name, other, layer, layer, *pair))
    columns = ["kind", "vector", "other", "layer", "other_layer", "compared", "cosine"]
    return pd.DataFrame(rows, columns=columns)


def _together(vectors: Vectors) -> Iterator[tuple[int, str, str]]:
    """(layer, vector, other) wherever both vectors have the layer."""
    for layer in sorted({layer for layers in vectors.values() for layer in layers}):
        names = [name for name, layers in vectors.items() if layer in layers]
        yield from ((layer, name, other) for name in names for other in names)


def _cosine(one: np.ndarray, two: np.ndarray) -> tuple[str, float]:
    """What was compared, and the cosine. BOS is left out unless there is nothing else.

    A pair's BOS row is zero anyway; a single prompt's is so large that nothing else would count.
    """
    one, two = (
        (vector[1:] if len(vector) > 1 else vector).astype(np.float64) for vector in (one, two)
    )
    compared = "rows"
    if len(one) != len(two):
        compared, one, two = "mean", one.mean(axis=0), two.mean(axis=0)
    lengths = float(np.linalg.norm(one) * np.linalg.norm(two))
    return compared, float(np.vdot(one, two)) / lengths if lengths else float("nan")
