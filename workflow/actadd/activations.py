"""The residual stream of contrast prompts, cached at every layer (paper, Algorithm 1, step 2)."""

from pathlib import Path
from typing import Any

from actadd.errors import UserError, named, shown
from actadd.tokens import Tokens

# An ordinary sentence, whose residual stream tells how large norms usually are at a layer: a
# contrast prompt cannot, since one of its own tokens may be the outlier.
REFERENCE = "I went up to my friend and said that the weather was nice today."


def contrast_ids(spec: dict, tokens: Tokens) -> dict[str, list[int]]:
    """Token ids, BOS included, of each prompt of a contrast, by tensor name.

    spec: the vector's config entry. A pair's two prompts are padded on the right, in token space,
    with the pad token, to the same length: 0.positive and 0.negative. mean_difference has many
    pairs, n.positive and n.negative, and no padding, since only last tokens are compared. A file
    brings its vector itself and has no prompts.
    """
    place = f"vectors.{spec['name']}: " if "name" in spec else ""
    pad_id = tokens.bos_id if spec.get("pad_with_bos") else tokens.pad_id
    if spec.get("pad") is not None:
        with named(f"vectors.{spec['name']}.pad"):
            pieces = tokens.pieces(spec["pad"])
        if len(pieces) != 1:
            raise UserError(f"vectors.{spec['name']}.pad: {spec['pad']!r} is not one token")
        pad_id = pieces[0]

    def encode(text: str) -> list[int]:
        # Contrast prompts are raw text, also for a chat model: they steer the stream, they are
        # not something that a user says.
        with named(f"{place}prompt {shown(text)}"):
            ids = [tokens.bos_id, *(tokens.pieces(text) if text else [])]
            tokens.check_length(len(ids))
        return ids

    if spec["kind"] == "file":
        return {}
    if spec["kind"] == "single":
        return {"0.positive": encode(spec["prompt"])}
    if spec["kind"] == "pair":
        positive, negative = encode(spec["positive"]), encode(spec["negative"])
        length = max(len(positive), len(negative))
        return {
            "0.positive": positive + [pad_id] * (length - len(positive)),
            "0.negative": negative + [pad_id] * (length - len(negative)),
        }
    pairs = list(zip(spec["positive"], spec["negative"], strict=True))
    return {
        f"{index}.{side}": encode(text)
        for index, pair in enumerate(pairs)
        for side, text in zip(("positive", "negative"), pair, strict=True)
    }


def contrast_streams(
    model: Any, prompts: dict[str, list[int]], *, verify: bool = True
) -> dict[str, Any]:
    """The residual stream of each prompt: float [layers, tokens, d_model] on the CPU, by name.

    verify: as of `actadd.steering.steer`.
    """
    import torch

    from actadd.steering import input_device, record_activations

    device = input_device(model)
    return {
        name: record_activations(model, torch.tensor([ids], device=device), verify=verify)[
            :, 0
        ].cpu()
        for name, ids in prompts.items()
    }


def cache_activations(spec: dict, model_dir: Path, layer_files: list[Path]) -> dict[str, Any]:
    """Runs each contrast prompt once and writes the stream of every layer to that layer's file.

    spec: {contrast: the vector's entry, dtype, compute}. layer_files: one path for each layer, in
    order. Each file is safetensors: float32 [tokens, d_model] for each prompt by its name, and for
    the "reference" sentence, with the tokens in the metadata.
    Raises UserError, before any file is written, if a number is infinite or none at all.
    """
    tokens = Tokens(model_dir)
    prompts = contrast_ids(spec["contrast"], tokens)
    prompts["reference"] = [tokens.bos_id, *tokens.pieces(REFERENCE)]

    from safetensors.torch import save_file

    from actadd.files import canonical_json, whole_file
    from actadd.models import load

    model = load(model_dir, dtype=spec["dtype"], **spec["compute"])
    if len(layer_files) != model.config.get_text_config().num_hidden_layers:
        raise UserError(f"{len(layer_files)} layer files were asked for; check models.*.layers")
    streams = contrast_streams(model, prompts, verify=False)
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


def _check_finite(stream, prompt: str, spec: dict, model: str) -> None:
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
