"""The engine for other programs, which verifies a model at its first use."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError
from actadd.engine import hooks, steering
from actadd.engine.additions import Addition, TraceEntry
from actadd.engine.decoding import generation
from actadd.engine.decoding.generation import GREEDY
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.steering import Additions
from actadd.models.verification.verify import ensure


@torch.inference_mode()
def record_activations(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    verify: bool = True,
) -> Tensor:
    """The residual stream at the input of every block, from one forward pass (Algorithm 1, step 2).

    input_ids, attention_mask: int [batch, tokens], on the model's device; padding may be left or
    right. verify: as for `steer`. Returns float [layers, batch, tokens, d_model] in the model's
    dtype, on its device; columns of padding hold the model's numbers for them. Raises UserError if
    the model's blocks cannot be identified, or if it does not pass its verification.

    >>> ids, mask = prompt_batch(tokenizer, ["I went up to my friend and said"])
    >>> stream = record_activations(model, ids, mask)
    >>> stream.shape == (model.config.num_hidden_layers, *ids.shape, model.config.hidden_size)
    True
    """
    _check_tensors("record_activations", input_ids, attention_mask)
    if verify:
        ensure(model)
    return hooks.record_activations(model, input_ids, attention_mask)


@contextmanager
def steer(
    model: nn.Module,
    additions: Additions,
    attention_mask: Tensor,
    trace: list[TraceEntry] | None = None,
    prompt_lengths: Sequence[int] | None = None,
    *,
    verify: bool = True,
) -> Iterator[None]:
    """Change the residual stream while the context lasts (Algorithm 1, steps 3 and 4).

    additions: a list of additions for every row; or one such list for each row of the batch
        (empty: the row is unsteered). A batch with a multiple of these rows holds each of them
        several times in succession, like the samples of one prompt, or `num_return_sequences` of
        the model's own `generate`.
    attention_mask: int [batch, tokens] of the padded prompts; padding may be left or right and is
        never changed.
    trace: a list to which a `TraceEntry` is appended for every change.
    prompt_lengths: tokens of each row, from its BOS on, in which vectors are aligned; the default
        is the whole row. Shorter if a text to be scored follows the prompt in the same row.
    verify: whether to verify the model at its first use, and again after its wrapping, dtype or
        device changed, see `verification.verify`; that runs a few short prompts.

    The hooks are removed when the context ends, however it ends. Works around the model's own
    `generate` as well as `generation.generate`, with any cache and without one. Compiled modules
    run uncompiled inside it.
    Raises UserError if a vector is longer than its prompt, a layer does not exist, an operation has
    no direction at any position, two operations contradict each other, the model does not pass its
    verification or nothing was added in the end, and ValueError if the rows of additions do not fit
    the batch.

    >>> vector = steering_vector(model, tokenizer, "Love", "Hate", layer=1)
    >>> love = Addition(vector, layer=1, coefficient=5)
    >>> ids, mask = prompt_batch(tokenizer, ["I hate you because", "The weather was"])
    >>> with steer(model, [love], mask):
    ...     both = model.generate(ids, attention_mask=mask, max_new_tokens=4)
    >>> with steer(model, [[love], []], mask):
    ...     first_alone = model.generate(ids, attention_mask=mask, max_new_tokens=4)
    >>> both.shape == first_alone.shape
    True
    """
    _check(additions)
    if verify:
        ensure(model)
    with steering.steer(model, additions, attention_mask, trace, prompt_lengths):
        yield


@torch.inference_mode()
def generate(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    additions: Additions | None = None,
    contrast: float | None = None,
    sampling: Sampling = GREEDY,
    uniforms: Tensor | None = None,
    seed: int = 0,
    max_new_tokens: int = 40,
    stop_ids: Sequence[int] = (),
    samples: int = 1,
    use_cache: bool = True,
    trace: list[TraceEntry] | None = None,
    verify: bool = True,
) -> Tensor:
    """Continue each context of a left-padded batch, `samples` times.

    input_ids, attention_mask: int64 [contexts, width], BOS included. additions: for all contexts or
    for each of them, see `steer`. sampling: how tokens are drawn; the default takes the most likely
    one, `Sampling()` draws as in the paper (section 4). contrast: the batch's second half holds,
    for each context of the first, a contrasted one; tokens are drawn from l + contrast * (l' - l),
    where l' are the logits in that context (PREADD, Pei et al. 2023, with contrast as its alpha),
    and are appended to both. samples: completions of each context, which share one prefill.
    uniforms: float64 [drawn rows, max_new_tokens] in [0, 1), the samples of a context in
    succession; with contrast, of the first half's contexts. seed: without uniforms, the seed of
    noise that depends only on a context's tokens and the sample index. stop_ids: tokens that end a
    row. verify: as for `steer`, if there are additions.
    Raises TypeError if the contexts are not tensors, such as texts, which `prompt_batch` encodes.

    Returns int64 [drawn rows, <= max_new_tokens]; after a stop token a row holds `FINISHED`, and
    from the step where its logits are no longer finite, which very large additions can cause,
    `BROKEN`; both are negative. Raises the errors of `steer` too.

    >>> vector = steering_vector(model, tokenizer, "Love", "Hate", layer=1)
    >>> ids, mask = prompt_batch(tokenizer, ["I hate you because", "The weather was"])
    >>> tokens = generate(
    ...     model, ids, mask, additions=[Addition(vector, layer=1, coefficient=5)],
    ...     sampling=Sampling(), samples=3, max_new_tokens=4,
    ... )
    >>> texts = [tokenizer.decode([i for i in row if i >= 0]) for row in tokens.tolist()]
    >>> len(texts)
    6
    """
    _check_tensors("generate", input_ids, attention_mask)
    _check(additions or [])
    if verify and additions:
        ensure(model)
    return generation.generate(
        model,
        input_ids,
        attention_mask,
        additions=additions,
        contrast=contrast,
        sampling=sampling,
        uniforms=uniforms,
        seed=seed,
        max_new_tokens=max_new_tokens,
        stop_ids=stop_ids,
        samples=samples,
        use_cache=use_cache,
        trace=trace,
    )


def _check(additions: Additions) -> None:
    """Raises UserError for what a config would refuse in additions, before the model is run."""
    rows = [each for each in additions if not isinstance(each, Addition)]
    for row in rows or [[each for each in additions if isinstance(each, Addition)]]:
        for addition in row:
            if addition.coefficient is not None and not math.isfinite(addition.coefficient):
                raise UserError(f"coefficient: {addition.coefficient}; write a finite number")
            if addition.kind.reads_stream and not addition.rows().any():
                raise UserError(
                    f"operation: {addition.kind.name} needs a direction, and the vector for layer "
                    f"{addition.layer} is zero at every position; take another layer or vector"
                )
            if addition.gate and math.isnan(addition.gate.threshold):
                raise UserError("gate: its threshold is nan; write a number")
            if addition.gate and not addition.gate.vector.any():
                raise UserError("gate: its vector is zero; take another layer or vector")
        setting = [each for each in row if each.kind.sets_projection]
        for one, other in combinations(setting, 2):
            if _meet(one, other):
                names = " and ".join(dict.fromkeys((one.kind.name, other.kind.name)))
                raise UserError(
                    f"operation: {names} contradict each other: two additions set the projection "
                    f"on one vector at layer {one.layer} and the same tokens; remove one"
                )


def _meet(one: Addition, other: Addition) -> bool:
    """Whether two additions may act with one vector on the same token at one layer."""
    rows = [each.rows().cpu() for each in (one, other)]
    if one.layer != other.layer or not (
        rows[0].shape == rows[1].shape and torch.equal(rows[0], rows[1])
    ):
        return False
    phases = {one.phase, other.phase}
    if "prefill" not in phases:
        return True
    starts = {0 if each.position == "front" else each.position for each in (one, other)}
    # "all" is every position but BOS.
    return "decode" not in phases and (len(starts) == 1 or ("all" in starts and 0 not in starts))


def _check_tensors(function: str, input_ids: object, attention_mask: object) -> None:
    """Raises TypeError, with the call that is meant, for anything but tensors of tokens.

    attention_mask may be None.
    """
    for name, value in (("input_ids", input_ids), ("attention_mask", attention_mask)):
        if not isinstance(value, Tensor) and not (name == "attention_mask" and value is None):
            raise TypeError(
                f"{function}: {name} is of type {type(value).__name__}, not a tensor; encode texts "
                f'first: ids, mask = prompt_batch(tokenizer, ["..."]), then '
                f"{function}(model, ids, mask)"
            )
