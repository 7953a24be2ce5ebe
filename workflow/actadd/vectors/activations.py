"""The residual stream of contrast prompts, cached at every layer (paper, Algorithm 1, step 2)."""

from pathlib import Path
from typing import Any

from actadd.base.errors import UserError, named, shown
from actadd.engine.tokens import Prompt, Tokens

# An ordinary sentence, whose residual stream tells how large norms usually are at a layer: a
# contrast prompt cannot, since one of its own tokens may be the outlier.
REFERENCE = "I went up to my friend and said that the weather was nice today."


def as_prompt(entry: str | dict[str, Any] | Prompt) -> Prompt:
    """A prompt as `Tokens.prompt` takes it, from what a config says: {chat: ...}, {token_ids: ...}.

    chat: what a user says, or messages. Anything else is a prompt as it stands.
    """
    if not isinstance(entry, dict):
        return entry
    if "token_ids" in entry:
        return entry["token_ids"]
    content = entry["chat"]
    return [{"role": "user", "content": content}] if isinstance(content, str) else content


def contrast_ids(spec: dict, tokens: Tokens) -> dict[str, list[int]]:
    """Token ids, BOS included, of each prompt of a contrast, by tensor name.

    spec: the vector's config entry. A pair's two prompts are padded on the right, in token space,
    with the pad token, to the same length: 0.positive and 0.negative. mean_difference has many
    pairs, n.positive and n.negative, and no padding, since only last tokens are compared. A file
    brings its vector itself and has no prompts.
    Raises UserError if the prompts of a pair are the same tokens, or begin with another BOS.
    """
    place = f"vectors.{spec['name']}: " if "name" in spec else ""
    pad_id = tokens.bos_id if spec.get("pad_with_bos") else tokens.pad_id
    if spec.get("pad") is not None:
        with named(f"vectors.{spec['name']}.pad"):
            pieces = tokens.pieces(spec["pad"])
        if len(pieces) != 1:
            raise UserError(f"vectors.{spec['name']}.pad: {spec['pad']!r} is not one token")
        pad_id = pieces[0]

    def encode(entry: str | dict[str, Any] | Prompt) -> list[int]:
        # A text is raw, also for a chat model: it steers the stream and is not a user's
        # message. The config can write a message as such.
        with named(f"{place}prompt {shown(entry)}"):
            ids = tokens.prompt(as_prompt(entry))
            tokens.check_length(len(ids))
        return ids

    if spec["kind"] == "file":
        return {}
    if spec["kind"] == "single":
        return {"0.positive": encode(spec["prompt"])}
    if spec["kind"] == "pair":
        positive, negative = encode(spec["positive"]), encode(spec["negative"])
        length = max(len(positive), len(negative))
        sides = [ids + [pad_id] * (length - len(ids)) for ids in (positive, negative)]
        if sides[0] == sides[1]:
            raise UserError(
                f"{place}{shown(spec['positive'])} and {shown(spec['negative'])} are the same "
                f"tokens to {tokens.model}, {shown(sides[0])}; make them differ"
            )
        if positive[0] != negative[0]:
            first, other = tokens.token(positive[0]), tokens.token(negative[0])
            raise UserError(
                f"{place}the positive prompt begins with {first!r}, the negative with {other!r}; "
                "write both as texts, both as chats, or both as token ids"
            )
        return {"0.positive": sides[0], "0.negative": sides[1]}
    pairs = list(zip(spec["positive"], spec["negative"], strict=True))
    return {
        f"{index}.{side}": encode(text)
        for index, pair in enumerate(pairs)
        for side, text in zip(("positive", "negative"), pair, strict=True)
    }


def late(prompts: dict[str, list[int]], tokens: list[str]) -> list[str]:
    """One sentence if both prompts of a pair go on with the same tokens after BOS.

    prompts: as `contrast_ids` returns them. tokens: those of the positive prompt as text. The
    vector's rows are zero there, so that the difference acts later than a reader of the texts
    thinks. " weddings" and " things" are an example: LLaMA's tokens of both begin with a space.
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


def contrast_streams(
    model: Any, prompts: dict[str, list[int]], *, verify: bool = True
) -> dict[str, Any]:
    """The residual stream of each prompt: float [layers, tokens, d_model] on the CPU, by name.

    verify: as of `steering.steer`.
    """
    import torch

    from actadd.engine.steering import input_device, record_activations

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

    from actadd.base.files import canonical_json, whole_file
    from actadd.models.loading import load

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
