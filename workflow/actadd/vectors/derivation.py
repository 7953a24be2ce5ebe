"""Steering vectors from cached activations (paper, Algorithm 1 and section 3)."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import load_file

from actadd.base.errors import UserError, error_context
from actadd.base.files import write_with
from actadd.base.kinds import build
from actadd.vectors.activations import late
from actadd.vectors.kinds import VECTOR_KINDS, parts_of
from actadd.vectors.pairs import ROWS, SIDES, check_tokens, subsets
from actadd.vectors.prompts import Reader
from actadd.vectors.separation import separation
from actadd.vectors.vector_files import read_vector, write_vector

if TYPE_CHECKING:
    from torch import Tensor

    from actadd.engine.tokens import Prompt
    from actadd.vectors.kinds import Streams, VectorKind

# Above this many times the usual norm of the residual stream, a position drowns out the text.
DWARFS = 3.0


def steering_vector(
    model: Any,
    tokenizer: Any,
    positive: "Prompt | Sequence[Prompt]",
    negative: "Prompt | Sequence[Prompt]",
    *,
    layer: int | None = None,
    bos: str | None = None,
    pad: str = " ",
    kind: str | None = None,
    **options: Any,
) -> "Tensor":
    """The steering vector of a contrast pair (paper, Algorithm 1, steps 1 and 2), or of many pairs.

    model: any Hugging Face causal language model. tokenizer: the model's, as `transformers.
    AutoTokenizer` loads it. positive, negative: one prompt each; "" is BOS alone. A prompt is a
    text, or the messages of a chat, or token ids, as for `prompt_batch`. BOS is put in
    front of both, and the shorter is filled on the right with the token `pad` until both have as
    many. Two equally long lists of prompts instead give one row, to be added with position "back"
    or "all".
    bos: the text of the token to put in front, if it is not the tokenizer's own BOS.
    kind: what is made of the activations: "pair", the default for one prompt each, is their
    difference at every position; "mean_difference", the default for lists, the mean over pairs at
    their last tokens; "pca", "lda", "logistic" and "shuffled" are other directions of pairs, with
    the norm of the mean difference. options: those of the kind, such as token="mean" or
    center=False; `docs/directions/` has a page for each kind.

    Returns float [layers, positions, d_model] on the CPU, or [positions, d_model] of one layer, in
    float32, or in float64 for a model in float64. Row 0 of a pair's vector is BOS and exactly zero.
    Raises UserError if the tokenizer has no BOS, `pad` is not one token, a prompt holds a special
    token's text, the lists differ in length, there are fewer pairs than the kind needs, both sides
    are the same, a token is none of the model's, or the kind, an option or the layer does not
    exist. Warns if both prompts go on alike after BOS.

    >>> vector = steering_vector(model, tokenizer, "Love", "Hate", layer=1)
    >>> vector.shape[1] == model.config.hidden_size, bool(vector[0].any())
    (True, False)
    >>> steering_vector(model, tokenizer, ["good", "happy"], ["bad", "sad"], layer=1).shape[0]
    1
    >>> direction = {"kind": "pca", "center": False, "layer": 1}
    >>> steering_vector(model, tokenizer, ["good", "happy"], ["bad", "sad"], **direction).shape[0]
    1
    """
    import torch

    from actadd.engine.tokens import Tokens, is_prompt
    from actadd.models.arguments import check_model, check_whole
    from actadd.models.verification.verify import ensure
    from actadd.vectors.activations import contrast_streams

    check_model(model)
    if layer is not None:
        layer = check_whole("layer", layer)
    one = is_prompt(positive)
    if one != is_prompt(negative) or (not one and len(positive) != len(negative)):
        raise UserError(
            "positive and negative: write one prompt for both, or two lists of one length"
        )
    if not positive and not negative:
        raise UserError("positive and negative are both empty; write the texts to be contrasted")
    chosen = kind or ("pair" if one else "mean_difference")
    derived, values = _chosen(chosen, one, positive, negative, options)
    tokens = Tokens.of(tokenizer, bos, pad)
    prompts = derived.prompts(values, Reader(tokens)) if derived.prompts else {}
    rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    beyond = [i for ids in prompts.values() for i in ids if rows and i >= rows]
    if beyond:
        raise UserError(
            f"{tokens.token(beyond[0])!r} is token {beyond[0]}, and the model has embeddings of "
            f"{rows} tokens; take the tokenizer that belongs to the model"
        )
    for line in late(prompts, [tokens.token(i) for i in prompts["0.positive"]]):
        warnings.warn(line, stacklevel=2)
    ensure(model)
    streams = contrast_streams(model, prompts)
    depth = len(next(iter(streams.values())))
    if layer is not None and not 0 <= layer < depth:
        raise UserError(f"layer {layer} does not exist: the model has 0 to {depth - 1}")
    single = {
        name: stream.to(torch.promote_types(stream.dtype, torch.float32)).numpy()
        for name, stream in streams.items()
    }
    vectors = [
        torch.from_numpy(derived({name: stream[at] for name, stream in single.items()}, values))
        for at in (range(depth) if layer is None else [layer])
    ]
    return torch.stack(vectors) if layer is None else vectors[0]


# Options of kinds that need a config: other vectors, datasets and draws.
OF_CONFIGS = {*SIDES, "pairs", "like", "count", "draws"}


def _chosen(
    name: str, one: bool, positive: Any, negative: Any, options: dict[str, Any]
) -> "tuple[VectorKind, Any]":
    """A kind with its options for prompts that a program gives. one: a prompt each, not lists."""
    of_pairs = [each for each, kind in VECTOR_KINDS.items() if each == "pair" or kind.least_pairs]
    if name not in of_pairs:
        raise UserError(
            f"kind: there is no {name!r} of prompts; write one of {', '.join(of_pairs)}"
        )
    kind = VECTOR_KINDS[name]
    if kind.least_pairs and one:
        positive, negative = [positive], [negative]
    elif not kind.least_pairs and not one:
        raise UserError(f"kind: {name} is of one prompt each; write kind='mean_difference'")
    allowed = [each.name for each in fields(kind.options) if each.name not in OF_CONFIGS]
    if unknown := sorted(options.keys() - set(allowed)):
        raise UserError(f"{unknown[0]}: {name} has no such option; it has {', '.join(allowed)}")
    token = options.get("token", "last")
    if token not in ROWS and (not isinstance(token, int) or isinstance(token, bool)):
        raise UserError(f"token: {token!r} is no place in a prompt; write last, mean, all or 3")
    if kind.least_pairs and len(positive) < kind.least_pairs:
        raise UserError(
            f"positive: {len(positive)} pair{'s' * (len(positive) > 1)}; a {name} vector needs at "
            f"least {kind.least_pairs}: write more pairs, or kind='mean_difference'"
        )
    if kind.least_pairs and sorted(map(repr, positive)) == sorted(map(repr, negative)):
        raise UserError(
            "positive and negative are the same prompts; write others on one side, since there is "
            "nothing to tell apart"
        )
    seed = {"seed": 0} if "seed" in allowed else {}
    built = kind.options(positive=positive, negative=negative, **{**seed, **options})
    for key, sentence in built.problems("prompts"):
        raise UserError(f"{key.removeprefix('prompts.')}: {sentence}")
    return kind, built


def derive_all_layers(
    spec: dict[str, Any],
    layer_files: list[Path],
    vector_file: Path,
    norms_file: Path,
    file: Path | None = None,
    vector_files: Sequence[Path] = (),
) -> dict[str, Any]:
    """Derive a vector at every layer and tabulate its norm beside the residual stream's.

    spec: {vector: the config entry}. layer_files: activations by layer. vector_file: see
    `vector_files`; of a vector that is read from a file, it has only the layers that are there.
    norms_file: CSV of layer, position, token, vector_norm, residual_norm and ratio; of a vector of
    pairs, also what `separation` returns; of several draws of pairs, the means over draws. file:
    what a kind with a file reads. vector_files: of the vectors that it is computed from, in the
    order of `parts_of`. Prints a warning for each
    position whose norm dwarfs the residual stream's, and for layers without a direction.
    Raises UserError if the vector of a file does not fit the model, a prompt has no token where the
    stream is read, or vectors do not fit each other.
    """
    entry = spec["vector"]
    kind = VECTOR_KINDS[entry["kind"]]
    options: Any = build(kind.options, entry)
    with safe_open(layer_files[0], "numpy") as opened:
        about = json.loads(opened.metadata()["actadd"])
    prompts = {name: ids for name, ids in about["token_ids"].items() if name != "reference"}
    if kind.least_pairs:
        lengths = {name: len(ids) for name, ids in prompts.items()}
        check_tokens(options, lengths, f"vectors.{entry['name']}")
    named_files = zip(parts_of(entry), vector_files, strict=True)
    parts = {name: read_vector(path) for name, path in named_files}
    rows: dict[int, np.ndarray] = {}
    if file is not None:
        rows = kind(file, options)
        _check_fit(entry, rows, layer_files)
    tables = []
    for layer, source in enumerate(layer_files):
        streams = load_file(source)
        reference = streams.pop("reference")
        if kind.least_pairs and options.count:
            with error_context(f"vectors.{entry['name']}"):
                rows[layer], table = _of_subsets(kind, streams, options, reference, layer)
            tables.append(table)
            continue
        if parts:
            with error_context(f"vectors.{entry['name']}"):
                rows[layer] = kind({name: each[layer] for name, each in parts.items()}, options)
        elif file is None:
            rows[layer] = kind(streams, options)
        if layer in rows:
            # All draws of a random vector have the same norms.
            vector = rows[layer] if rows[layer].ndim == 2 else rows[layer][0]
            table = norms_beside(vector, reference, layer)
            if kind.least_pairs:
                table = table.assign(**separation(kind, streams, options, vector))
            tables.append(table)
    rows = {layer: vector for layer, vector in rows.items() if layer < len(layer_files)}
    write_vector(vector_file, rows, vector=entry)
    norms = pd.concat(tables, ignore_index=True)
    one_row = kind.row(options) if kind.row else ""
    tokens = {name: about["tokens"][name] for name in prompts}
    sources = one_row or (kind.file and entry[kind.file]) or " + ".join(parts)
    norms.insert(2, "token", [sources or _token(tokens, at) for at in norms["position"]])
    write_with(norms_file, lambda path: norms.to_csv(path, index=False, float_format="%.6g"))
    messages = dwarfing(norms)
    if kind.least_pairs:
        messages += undefined(norms)
    if not sources:
        messages = [*late(prompts, tokens["0.positive"]), *messages]
    lines = [f"vectors.{entry['name']}: {line}" for line in messages]
    for line in lines:
        print(f"warning: {line}", flush=True)
    return {"warnings": lines, "positions": int(norms["position"].max()) + 1}


def _of_subsets(
    kind: "VectorKind", streams: "Streams", options: Any, reference: np.ndarray, layer: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """(Vector of each draw of pairs, the mean over draws of their norms and separation)."""
    one = replace(options, draws=None)
    rows, tables = [], []
    for subset in subsets(streams, options):
        rows.append(kind(subset, one))
        table = norms_beside(rows[-1], reference, layer)
        tables.append(table.assign(**separation(kind, subset, one, rows[-1])))
    means = pd.concat(tables).groupby(["layer", "position"], as_index=False).mean()
    return rows[0] if len(rows) == 1 else np.stack(rows), means


def _check_fit(entry: dict[str, Any], rows: dict[int, np.ndarray], layer_files: list[Path]) -> None:
    with safe_open(layer_files[0], "numpy") as opened:
        d_model = opened.get_slice("reference").get_shape()[1]
    width = next(iter(rows.values())).shape[1]
    if width != d_model:
        raise UserError(
            f"vectors.{entry['name']}.file: {entry['file']} has rows of {width} numbers, and the "
            f"model's residual stream {d_model}; take a file made on this model"
        )
    if not rows.keys() & set(range(len(layer_files))):
        raise UserError(
            f"vectors.{entry['name']}.file: {entry['file']} holds layers from {min(rows)} on, and "
            f"the model has 0 to {len(layer_files) - 1}; take a file made on this model"
        )


def _token(tokens: dict[str, list[str]], position: int) -> str:
    """What stands at a position of the contrast, "positive / negative"; of many, "all pairs"."""
    if len(tokens) > 2:
        return "all pairs"
    sides = [tokens[name] for name in ("0.positive", "0.negative") if name in tokens]
    return " / ".join(repr(side[position]) for side in sides)


def norms_beside(vector: np.ndarray, reference: np.ndarray, layer: int) -> pd.DataFrame:
    """A vector's norm at each position beside the residual stream's at its layer.

    vector: [positions, d_model]; reference: the stream of `activations.REFERENCE`,
    [tokens, d_model]. Columns: layer, position, vector_norm, residual_norm (the median over the
    reference's positions, BOS left out) and their ratio.
    """
    usual = float(np.median(np.linalg.norm(reference[1:], axis=1)))
    norms = np.linalg.norm(vector, axis=1).astype(np.float64)
    about = {"layer": layer, "position": range(len(norms))}
    return pd.DataFrame(
        {**about, "vector_norm": norms, "residual_norm": usual, "ratio": norms / usual}
    )


def undefined(norms: pd.DataFrame) -> list[str]:
    """One sentence if a vector of pairs is zero at all positions of some layers."""
    largest = norms.groupby("layer")["vector_norm"].max()
    layers = largest[largest == 0].index
    if not len(layers):
        return []
    return [
        f"the vector is zero at layer {', '.join(map(str, layers))}, where the pairs do not differ "
        "or all differ by the same; add it at another layer, or read another token"
    ]


def dwarfing(norms: pd.DataFrame) -> list[str]:
    """One sentence for each position whose norm dwarfs the residual stream's at some layers."""
    sentences = []
    for position, group in norms[norms["ratio"] > DWARFS].groupby("position"):
        worst = float(group["ratio"].max())
        low, high = group["layer"].min(), group["layer"].max()
        layers = f"layer {low}" if low == high else f"layers {low} to {high}"
        sentences.append(
            f"at position {position} the vector is up to {worst:.0f} times the residual "
            f"stream's norm ({layers}): a token there is an attention sink in this model, often a "
            "lone pad space; prefer a pair of equal token counts"
        )
    return sentences
