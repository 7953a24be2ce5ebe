"""The residual stream of contrast prompts, cached at every layer (paper, Algorithm 1, step 2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.base.kinds import build
from actadd.engine.tokens import Tokens
from actadd.vectors.kinds import VECTOR_KINDS
from actadd.vectors.prompts import Reader

if TYPE_CHECKING:
    from torch import Tensor, nn

# An ordinary sentence, whose residual stream tells how large norms usually are at a layer: a
# contrast prompt cannot, since one of its own tokens may be the outlier.
REFERENCE = "I went up to my friend and said that the weather was nice today."


def contrast_ids(spec: Mapping[str, Any], tokens: Tokens) -> dict[str, list[int]]:
    """Token ids, BOS included, of each prompt of a contrast, by tensor name.

    spec: the vector's config entry; without a name, messages do not say where it stands. A kind of
    vector without prompts has none. Raises what the kind's `prompts` raises.
    """
    kind = VECTOR_KINDS[spec["kind"]]
    if kind.prompts is None:
        return {}
    key = f"vectors.{spec['name']}" if "name" in spec else ""
    return kind.prompts(build(kind.options, spec), Reader(tokens, key))


def late(prompts: dict[str, list[int]], tokens: list[str]) -> list[str]:
    """One sentence if both prompts of a pair continue with the same tokens after BOS.

    prompts: as `contrast_ids` returns them. tokens: those of the positive prompt as text. The
    vector's rows are zero at these tokens, so that the difference acts later than the texts
    suggest. For example, LLaMA's tokens of " weddings" and " things" both begin with a space.
    """
    if prompts.keys() != {"0.positive", "0.negative"}:
        return []
    sides = zip(prompts["0.positive"], prompts["0.negative"], strict=True)
    same = next(position for position, (one, other) in enumerate(sides) if one != other)
    if same == 1:
        return []
    first = ", ".join(map(repr, tokens[1:same][:5])) + (", ..." if same > 6 else "")
    rows = "position 1 is" if same == 2 else f"positions 1 to {same - 1} are"
    return [
        f"both prompts begin with {first}, so {rows} exactly zero and what differs acts from "
        f"position {same} on; leave out what they share if it shall act earlier"
    ]


def contrast_streams(model: "nn.Module", prompts: dict[str, list[int]]) -> "dict[str, Tensor]":
    """The residual stream of each prompt: float [layers, tokens, d_model] on the CPU, by name."""
    import torch

    from actadd.engine.hooks import record_activations
    from actadd.engine.structure import input_device

    device = input_device(model)
    return {
        name: record_activations(model, torch.tensor([ids], device=device))[:, 0].cpu()
        for name, ids in prompts.items()
    }


def with_rows(entry: Mapping[str, Any], table: Path) -> dict[str, Any]:
    """A vector's entry with the prompts of its pairs, which are rows of a prepared dataset.

    Raises UserError if there is no such split, or a row lacks the prompt that is subtracted.
    """
    from actadd.data.datasets import read

    key, rows = f"vectors.{entry['name']}.pairs", entry["pairs"]
    pairs = read(table, rows.get("split"), f"{key}.split")
    if (missing := pairs["target"].isna()).any():
        raise UserError(
            f"{key}.dataset: {pairs['origin'][missing].iloc[0]} has no target, the prompt that is "
            f"subtracted; name its column in datasets.{rows['dataset']}.columns.target"
        )
    sides = {"positive": pairs["text"].tolist(), "negative": pairs["target"].tolist()}
    return {key: value for key, value in entry.items() if key != "pairs"} | sides


def cache_activations(
    spec: dict[str, Any], model_dir: Path, layer_files: list[Path], table: Path | None = None
) -> dict[str, Any]:
    """Run each contrast prompt once and write the stream of every layer to that layer's file.

    spec: {contrast: the vector's entry, dtype, compute}. layer_files: one path for each layer, in
    order. table: the dataset of the pairs, if the entry names one. Each file is safetensors:
    float32 [tokens, d_model] for each prompt by its name, and for the "reference" sentence, with
    the tokens in the metadata.
    Raises UserError, before any file is written, if a number is infinite or none at all.
    """
    tokens = Tokens(model_dir)
    contrast = spec["contrast"] if table is None else with_rows(spec["contrast"], table)
    prompts = contrast_ids(contrast, tokens)
    prompts["reference"] = [tokens.bos_id, *tokens.pieces(REFERENCE)]

    from safetensors.torch import save_file

    from actadd.base.files import canonical_json, whole_file
    from actadd.models.loading import load

    model = load(model_dir, dtype=spec["dtype"], **spec["compute"])
    if len(layer_files) != model.config.get_text_config().num_hidden_layers:
        raise UserError(f"{len(layer_files)} layer files were asked for; check models.*.layers")
    streams = contrast_streams(model, prompts)
    for name, stream in streams.items():
        _check_finite(stream, tokens.decode(prompts[name]), spec, tokens.model)
    texts = {name: [tokens.token(i) for i in ids] for name, ids in prompts.items()}
    for layer, path in enumerate(layer_files):
        tensors = {name: stream[layer].float().contiguous() for name, stream in streams.items()}
        about = {"token_ids": prompts, "tokens": texts, "layer": layer}
        with whole_file(path) as temporary:
            # One entry only: safetensors writes several in an order that changes from run to run.
            save_file(tensors, temporary, {"actadd": canonical_json(about)})
    return {"token_ids": prompts, "tokens": texts}


def _check_finite(stream: "Tensor", prompt: str, spec: dict[str, Any], model: str) -> None:
    """Raises UserError unless all of a prompt's stream, float [layers, tokens, d_model], is."""
    bad = (~stream.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
    if bad:
        remedy = (
            f"write models.{model}.dtype: bfloat16 or float32, which hold larger numbers"
            if spec["dtype"] == "float16"
            else f"check the weights of models.{model}"
        )
        raise UserError(
            f"vectors.{spec['contrast']['name']}: on {model} in {spec['dtype']}, the prompt "
            f"{prompt!r} gives numbers that are infinite or none at all, from layer {bad[0]} on; "
            f"{remedy}"
        )
