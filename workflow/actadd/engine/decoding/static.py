"""What is known of a model's static decode steps: graphs, and what is in the way of them."""

import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from actadd.base.errors import one_line
from actadd.engine.batching import RELEASES
from actadd.engine.decoding import decoder as steps
from actadd.engine.decoding.decoder import Batch, Decoder
from actadd.engine.decoding.fixed_cache import is_by_columns
from actadd.engine.decoding.start import Prompts, Start

# Decoders kept for a model: each holds a cache.
DECODERS = 4
# Kinds of prompts whose pass is captured for a decoder.
STARTS = 4
# Kinds of device on which decoders are kept: where there are no graphs there is little to keep.
KEPT_ON = {"cuda"}


@dataclass
class _Known:
    """What is known of a model: graphs by what they hold as it is, and what is in the way."""

    decoders: OrderedDict[Any, Decoder] = field(default_factory=OrderedDict)
    obstacle: str | None = None
    checked: bool = False
    # Whether no pass over prompts was captured in vain.
    starts: bool = True


_models: "weakref.WeakKeyDictionary[nn.Module, _Known]" = weakref.WeakKeyDictionary()


def _known(model: nn.Module) -> _Known:
    return _models.setdefault(model, _Known())


def is_checked(model: nn.Module) -> bool:
    """Whether a model's static step was compared with the ordinary one."""
    return _known(model).checked


def is_open(model: nn.Module) -> bool:
    """Whether nothing is known that keeps a model, as it is just now, from static steps."""
    return _known(model).obstacle is None and not _has_hooks(model)


def takes_over(model: nn.Module, cache: Any) -> bool:
    """Whether a batch whose prompts are in this cache can go on in static steps; says why not."""
    known = _known(model)
    known.obstacle = _obstacle(model, cache)
    if known.obstacle:
        _report(model, known.obstacle)
    return known.obstacle is None


def _obstacle(model: nn.Module, cache: Any) -> str | None:
    if cache is None or not is_by_columns(cache):
        return "its cache is not one of columns"
    if len({part.device for part in model.parameters()}) > 1:
        return "it lies on several devices"
    return None


def _has_hooks(model: nn.Module) -> bool:
    """Whether something else acts in the passes, of which a captured graph would know nothing."""
    return any(
        part._forward_hooks or part._forward_pre_hooks or "_hf_hook" in vars(part)
        for part in model.modules()
    )


def _report(model: nn.Module, reason: str) -> None:
    print(f"{type(model).__name__}: ordinary decode steps, since {reason}", flush=True)


def prepared(model: nn.Module, batch: Batch) -> Decoder:
    """A decoder that holds a batch: one of an earlier batch of its kind, or a new one."""
    kept = _known(model).decoders
    key = batch.key(model)
    try:
        if key not in kept:
            while len(kept) >= DECODERS:
                kept.popitem(last=False)
            kept[key] = Decoder(model, batch)
        kept.move_to_end(key)
        kept[key].fill(batch)
        return kept[key]
    except torch.OutOfMemoryError:
        kept.clear()
        raise


def finished(model: nn.Module, decoder: Decoder, expected: Tensor | None = None) -> Tensor | None:
    """Draw all tokens from the second on; int64 [drawn, steps taken], the first included.

    expected: the ordinary pass's logits [rows, vocabulary] of the next step, to check a model at
    its first use. Returns None, and says why, if the model cannot go this way.
    """
    known = _known(model)
    try:
        if expected is not None:
            decoder.forward(model)
            if not decoder.agrees(expected):
                raise ValueError("a static step's logits are not those of an ordinary one")
            known.checked = True
        if steps.CAPTURES and decoder.column.is_cuda and not decoder.graphs:
            decoder.capture(model)
        return decoder.run(model)
    except torch.OutOfMemoryError:
        known.decoders.clear()
        raise
    except Exception as error:
        known.decoders.clear()
        known.obstacle = one_line(error)
        _report(model, known.obstacle)
        return None
    finally:
        if not decoder.graphs and decoder.column.device.type not in KEPT_ON:
            known.decoders.clear()


def started(model: nn.Module, prompts: Prompts) -> Tensor | None:
    """All tokens of a batch whose kind was met before, the pass over the prompts captured too.

    int64 [drawn, steps taken]; None if it has to begin with an ordinary pass.
    """
    known = _known(model)
    if not known.decoders or not known.starts or not prompts.are_plain:
        return None
    key = prompts.key(model)
    name, decoder = next(
        ((name, each) for name, each in known.decoders.items() if key in each.starts), (None, None)
    )
    if decoder is None:
        return None
    try:
        known.decoders.move_to_end(name)
        decoder.starts.move_to_end(key)
        if decoder.starts[key] is None:
            decoder.starts[key] = Start(decoder, prompts)
            decoder.starts[key].prepare(model)
        decoder.starts[key].run(model, prompts)
        return decoder.run(model)
    except torch.OutOfMemoryError:
        known.decoders.clear()
        raise
    except Exception as error:
        known.decoders.clear()
        known.starts = False
        name = type(model).__name__
        print(f"{name}: prompts are read uncaptured, since {one_line(error)}", flush=True)
        return None


def remember(model: nn.Module, decoder: Decoder, prompts: Prompts) -> None:
    """Capture the pass over prompts of this kind when it comes again."""
    if prompts.are_plain and decoder in _known(model).decoders.values():
        decoder.starts.setdefault(prompts.key(model), None)
        while len(decoder.starts) > STARTS:
            decoder.starts.popitem(last=False)


def forget(model: nn.Module) -> None:
    """Free a model's graphs with their caches, and what is known of it."""
    _models.pop(model, None)


def free() -> None:
    """Free the graphs of all models with their caches."""
    for known in _models.values():
        known.decoders.clear()


RELEASES.append(free)
