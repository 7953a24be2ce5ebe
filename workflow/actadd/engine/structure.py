"""Parts of a causal language model, found without names of architectures, and its inputs."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from actadd.base.errors import UserError

# What configs call the number of decoder blocks.
DEPTHS = ("num_hidden_layers", "decoder_layers", "num_decoder_layers")
# What models call their cache, as an argument and as a field of their output.
CACHES = ("past_key_values", "cache_params", "state", "past_buckets_states", "mems", "cache")


def language_model(model: nn.Module) -> nn.Module:
    """The causal language model in `model`, however it is wrapped.

    A wrapper (PEFT, `torch.compile`, data parallelism, a user's own module) holds one; it is the
    outermost `PreTrainedModel`, or `model` itself if that brings a config of its own.
    Raises UserError if there is none, or more than one side by side.
    """
    if isinstance(model, PreTrainedModel):
        return model
    outermost: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module not in inside:
            outermost.append(module)
            inside.update(module.modules())
    if not outermost and hasattr(model, "config"):
        return model
    if len(outermost) != 1:
        names = ", ".join(type(each).__name__ for each in outermost) or "none"
        raise UserError(
            f"{type(model).__name__} holds {len(outermost)} transformers models ({names}) where "
            "one was expected; pass the causal language model itself"
        )
    return outermost[0]


def text_config(model: nn.Module) -> Any:
    """The part of a causal language model's config that is of its text decoder."""
    config: Any = language_model(model).config
    return config.get_text_config()


def blocks(model: nn.Module) -> nn.ModuleList:
    """The decoder blocks of a causal language model, in order.

    They are the one ModuleList as long as the config's number of layers; of several, as vision and
    text towers of one depth are, the one in the text decoder.
    Raises UserError if there is no such list, or more than one.
    """
    model = language_model(model)
    config = text_config(model)
    depths = {getattr(config, name, None) for name in DEPTHS}
    candidates = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList)
        and len(module) in depths
        and all(_is_block(child) for child in module)
    ]
    if len(candidates) > 1 and isinstance(model, PreTrainedModel):
        whole: Any = model
        inside = set(whole.get_decoder().modules())
        candidates = [module for module in candidates if module in inside]
    if len(candidates) != 1:
        raise UserError(
            f"{type(model).__name__} has {len(candidates)} lists of {config.num_hidden_layers} "
            "blocks where one was expected; this architecture is not supported"
        )
    return candidates[0]


def _is_block(module: nn.Module) -> bool:
    """Whether a module has several parts, or wraps one that has, as `torch.compile` does."""
    parts = list(module.children())
    if len(parts) == 1:
        return _is_block(parts[0])
    return len(parts) > 1 and hasattr(module, "forward")


def reader(model: nn.Module, modules: nn.ModuleList) -> nn.Module:
    """The innermost module around the blocks that is called with token ids: once in each pass."""
    model = language_model(model)
    name = next(name for name, module in model.named_modules() if module is modules)
    parts = name.split(".")
    around = [model.get_submodule(".".join(parts[:depth])) for depth in range(len(parts))]
    readers = [module for module in around if "input_ids" in forward_parameters(type(module))]
    return readers[-1] if readers else model


def forward_parameters(kind: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a class's forward, by name."""
    return _parameters(kind)


@cache
def _parameters(kind: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind.forward).parameters


def takes(model: nn.Module, name: str) -> bool:
    """Whether a keyword argument of this name reaches the language model's own forward."""
    parameters = inspect.signature(model.forward).parameters
    passed_on = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    # A subclass may name what it changes and pass on the rest.
    kinds = [kind for kind in type(language_model(model)).__mro__ if "forward" in vars(kind)]
    return (name in parameters or passed_on) and any(
        name in forward_parameters(kind) for kind in kinds
    )


def cache_name(model: nn.Module) -> str | None:
    """The argument, and the output's field, in which a model's cache goes; None without one."""
    return next((name for name in CACHES if takes(model, name)), None)


def device_of(module: nn.Module) -> torch.device:
    """Where a module computes and takes its inputs.

    A module whose weights lie elsewhere between its passes (on the CPU or a disk) says so in the
    hook that brings them; its weights themselves are on no device then.
    """
    hook = getattr(module, "_hf_hook", None)
    for each in getattr(hook, "hooks", [hook]):
        device = getattr(each, "execution_device", None)
        if device is not None:
            return torch.device(device)
    return next(module.parameters()).device


def input_device(model: nn.Module) -> torch.device:
    """Where a causal language model takes its token ids, however it is spread over devices."""
    base: Any = language_model(model)
    return device_of(base.get_input_embeddings())


def model_inputs(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None, seen: int = 0
) -> dict[str, Tensor]:
    """Keyword arguments for a forward pass over columns seen.. of a padded batch.

    Position ids count real tokens only: most architectures do not derive them from the mask.
    """
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if takes(model, "position_ids"):
        inputs["position_ids"] = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, seen:]
    return inputs


def columns_before(inputs: Mapping[str, Any], read: int, counted: dict[int, int]) -> int:
    """Columns of the padded batch that were read before a pass, by what says so for its cache.

    counted: columns read so far with each cache, by its id, for caches that do not count.
    """
    positions = inputs.get("cache_position")
    if positions is not None:
        return int(positions[0])
    held = next((inputs[name] for name in CACHES if inputs.get(name) is not None), None)
    if held is None or inputs.get("use_cache") is False:
        return 0
    try:
        # Read as a number now: a static cache's own counter goes on while the pass runs.
        return int(held.get_seq_length())
    except (AttributeError, TypeError, ValueError):
        mask = inputs.get("attention_mask")
        if isinstance(mask, Tensor) and mask.ndim == 2 and mask.shape[1] > read:
            return mask.shape[1] - read
        return counted.get(id(held), 0)
