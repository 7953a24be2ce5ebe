"""The engine for other programs, which verifies a model at its first use."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from actadd.engine import hooks, steering
from actadd.engine.additions import TraceEntry
from actadd.engine.decoding import generation
from actadd.engine.decoding.generation import GREEDY
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.steering import Additions
from actadd.models.arguments import check_additions, check_drawing, check_model, check_tokens
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
    check_model(model)
    mask = input_ids if attention_mask is None else attention_mask
    check_tokens("record_activations", input_ids, mask)
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
    check_model(model)
    check_additions(additions)
    if not isinstance(attention_mask, Tensor):
        kind = type(attention_mask).__name__
        raise TypeError(f"steer: attention_mask is a {kind}; write that of prompt_batch")
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
    Raises TypeError if the contexts are not tensors, such as texts, which `prompt_batch` encodes,
    or another argument is not of its type.

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
    check_model(model)
    check_tokens("generate", input_ids, attention_mask)
    check_additions([] if additions is None else additions)
    check_drawing(sampling, uniforms, stop_ids, max_new_tokens=max_new_tokens, samples=samples)
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
