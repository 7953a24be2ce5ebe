"""Activation addition (Turner et al., arXiv 2308.10248) on any Hugging Face causal language model.

Vocabulary, used throughout:

resid_pre    the residual stream at the *input* of a block; "layer l" always means block l's input,
             0-indexed, so layer 0 is the sum of the embeddings.
prefill      the forward pass that reads the prompt.
decode       every later forward pass, one new token each.
vector       a steering vector: one row of d_model numbers for each of one or more positions.
addition     a vector and what it does to resid_pre: by which operation, at which layers and
             positions, how strongly.
operation    how a vector changes the stream: add, rotate, ablate and others.
strength     the number of an operation: a coefficient, a dose, degrees or a share.
gate         a condition on a prompt under which an addition acts.
condition    a method with its additions; a *cell* is one condition on all prompts and samples.

The names in `__all__` are for use from other programs: `from actadd import steer`. Each is imported
when it is first asked for, since most of what reads this package needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For type checkers and editors, which do not run `__getattr__`.
    from actadd.base.errors import UserError as UserError
    from actadd.engine.additions import Addition as Addition
    from actadd.engine.additions import Gate as Gate
    from actadd.engine.additions import TraceEntry as TraceEntry
    from actadd.engine.batching import prompt_batch as prompt_batch
    from actadd.engine.decoding.sampling import Sampling as Sampling
    from actadd.models.verified import generate as generate
    from actadd.models.verified import record_activations as record_activations
    from actadd.models.verified import steer as steer
    from actadd.vectors.derivation import steering_vector as steering_vector
    from actadd.vectors.file_formats import load_vectors as load_vectors
    from actadd.vectors.file_formats import save_vectors as save_vectors
    from actadd.vectors.steering_vectors import SteeringVectors as SteeringVectors

__version__ = "0.1.0"

# Name -> the module that holds it.
_PUBLIC = {
    "Addition": "engine.additions",
    "Gate": "engine.additions",
    "Sampling": "engine.decoding.sampling",
    "SteeringVectors": "vectors.steering_vectors",
    "TraceEntry": "engine.additions",
    "UserError": "base.errors",
    "generate": "models.verified",
    "load_vectors": "vectors.file_formats",
    "prompt_batch": "engine.batching",
    "record_activations": "models.verified",
    "save_vectors": "vectors.file_formats",
    "steer": "models.verified",
    "steering_vector": "vectors.derivation",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'actadd' has no attribute {name!r}")
    return getattr(import_module(f"actadd.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
