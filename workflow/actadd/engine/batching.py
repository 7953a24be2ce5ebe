"""Token id lists as one batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from actadd.base.errors import UserError
from actadd.engine.tokens import Prompt, Tokens, is_prompt

Result = TypeVar("Result")
STEP = 4
# What torch and the libraries under it say in errors that have no class of their own.
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


def left_pad(
    rows: Sequence[Sequence[int]], pad_id: int = 0, width: int | None = None
) -> tuple[Tensor, Tensor]:
    """Token id lists, left-padded: input_ids and attention_mask, int64 [rows, width].

    width: the default is that of the longest row.
    """
    width = width or max(len(row) for row in rows)
    ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def prompt_batch(
    tokenizer: Any, prompts: Prompt | Sequence[Prompt], bos: str | None = None
) -> tuple[Tensor, Tensor]:
    """Prompts as a left-padded batch, each with exactly one BOS in front.

    tokenizer: as `transformers.AutoTokenizer` loads it. prompts: one or several; each a text, or
    the messages of a chat (dicts of role and content, as `apply_chat_template` takes them; the
    prompt for an answer is put at their end), or token ids. bos: the text of the token to put in
    front, if it is not the tokenizer's own. Returns input_ids and attention_mask, int64 [prompts,
    tokens], on the CPU. Raises UserError if there is no BOS, or the text of a prompt or message
    holds a special token's text, or a chat template refuses the messages.

    Tokenizers differ in whether they put a BOS in front by themselves, and a vector's first row
    belongs to it, so a prompt without it would get every row one position too early.

    >>> ids, mask = prompt_batch(tokenizer, ["I hate you because", "The weather was"])
    >>> ids.shape == mask.shape
    True
    >>> mask.sum(dim=1).tolist() == [1 + len(tokenizer.tokenize(text)) for text in
    ...     ["I hate you because", "The weather was"]]
    True
    >>> ids, mask = prompt_batch(tokenizer, [[0, 40, 41]])
    >>> ids.tolist()
    [[0, 40, 41]]
    """
    tokens = Tokens.of(tokenizer, bos)
    several: Any = [prompts] if is_prompt(prompts) else prompts
    rows = [tokens.prompt(prompt) for prompt in several]
    if not rows:
        raise UserError("prompts: there is none; write at least one")
    return left_pad(rows, tokens.bos_id)


def by_length(lengths: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Numbers of texts in batches of at most `rows`, longest first, with little padding.

    A batch ends before a text that is shorter than 9/10 of its first: what is padded is computed
    too, and a processor is busy enough with a few texts' tokens.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) == rows or 10 * lengths[index] < 9 * lengths[batch[0]]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def padded_width(length: int) -> int:
    """Columns that a row of `length` tokens gets in a batch: the next larger multiple of 4.

    It depends on the row alone, so that a row meets the same shapes in every batch; and it leaves
    every row some padding, since a batch without any is computed by other kernels.
    """
    return (length // STEP + 1) * STEP


# Called where memory ran out: functions of modules that keep memory for later batches.
RELEASES: list[Callable[[], None]] = []


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python could not get the memory that it asked for."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)


def halving(
    rows: int,
    indices: Sequence[int],
    compute: Callable[[int, list[int]], Iterator[tuple[int, Result]]],
) -> Iterator[tuple[int, Result]]:
    """Yields (index, result) for all indices, in smaller batches if memory runs out.

    compute(rows, indices) yields them from batches of so many rows; where memory runs out it is
    called again with half the rows, for what it has not yielded. Raises UserError if one row alone
    is too much.
    """
    left = list(indices)
    while True:
        try:
            for index, result in compute(rows, list(left)):
                left.remove(index)
                yield index, result
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if rows == 1:
                raise UserError(
                    "out of memory with a batch of one row: take a smaller model or dtype, or a "
                    "machine with more memory"
                ) from error
        rows //= 2
        print(f"out of memory: batches have {rows} rows from here on", flush=True)
        for release in RELEASES:
            release()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
