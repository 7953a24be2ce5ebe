"""Log-probabilities of continuations, what texts have in common computed once.

Texts that begin alike are one row: a tree of their tokens, in which a token attends to those before
it in its own text alone, and stands at the position that it has there (tree attention, as in Miao
et al. 2023, arXiv 2305.09781, of drafts). The vocabulary's logits are computed where they are read.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from actadd.engine.batching import by_length, is_out_of_memory
from actadd.engine.logprobs import token_logprobs
from actadd.engine.packed_products import precision
from actadd.engine.structure import input_device, language_model, takes, text_config

# Token ids of a prompt with BOS, and of what follows it.
Pair = tuple[Sequence[int], Sequence[int]]
# The fewest tokens that a tree may have. Wider ones spend more on attention to other texts.
WIDTH = 192
# Rows of logits that are normalised at once, so that they stay within a processor's cache.
NORMALISED = 16
# How far a tree's log-probabilities may be from those of plain rows, as a share of their standard
# deviation: so many times the precision of products, and no more than the second number in any.
ROUNDING, FURTHEST = 1000, 0.05
# In the tree that is compared with plain rows: tokens before it branches, and of its short branch.
STEM, SHORT = 8, 8

_compared: WeakKeyDictionary[nn.Module, dict[int, bool]] = WeakKeyDictionary()


class TokenTree:
    """Texts as one row of tokens: each token once for all texts that are the same up to it."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.parents: list[int] = []
        self.positions: list[int] = []
        # Text -> the nodes of which the next token is read, and those tokens.
        self.reads: dict[int, tuple[list[int], list[int]]] = {}
        self._children: dict[tuple[int, int], int] = {}

    def lacks(self, text: Sequence[int]) -> int:
        """How many nodes `text` would add."""
        node = -1
        for depth, token in enumerate(text):
            child = self._children.get((node, token))
            if child is None:
                return len(text) - depth
            node = child
        return 0

    def add(self, number: int, prompt: Sequence[int], continuation: Sequence[int]) -> None:
        """Add a text under its number; its last token is predicted, but predicts nothing."""
        node, path = -1, []
        for position, token in enumerate([*prompt, *continuation][:-1]):
            child = self._children.setdefault((node, token), len(self.ids))
            if child == len(self.ids):
                self.ids.append(token)
                self.parents.append(node)
                self.positions.append(position)
            path.append(child)
            node = child
        self.reads[number] = (path[len(prompt) - 1 :], list(continuation))

    def attention(self, width: int) -> Tensor:
        """Whether a token attends to another, bool [width, width]; padding to itself alone."""
        allowed = torch.eye(width, dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                allowed[node] |= allowed[parent]
        return allowed


def continuation_logprobs(
    model: nn.Module, pairs: Sequence[Pair], rows: int
) -> Iterator[tuple[int, Tensor]]:
    """The log-probabilities of each continuation's tokens given all tokens before them.

    rows: texts that are read at once. Which pairs are read beside a pair changes its numbers by
    rounding alone. A model that takes no trees reads each text as a row of its own.
    Yields (number of the pair, float32 [continuation] on the CPU) for each pair that has a
    continuation.
    """
    read = [number for number, (_, continuation) in enumerate(pairs) if continuation]
    if not read:
        return
    longest = max(len(pairs[number][0]) + len(pairs[number][1]) for number in read)
    width = max(WIDTH, 1 << (2 * longest - 1).bit_length())
    context = getattr(text_config(model), "max_position_embeddings", None)
    width = min(width, context) if context else width
    fits = longest <= width - SHORT and takes_trees(model, width)
    measure = _of_trees if fits else _of_rows
    yield from measure(model, pairs, read, rows, width)


def takes_trees(model: nn.Module, width: int) -> bool:
    """Whether a tree of this many tokens gives a model's numbers of plain rows.

    It is tried, on a text nearly as long as the tree and a short one at its other end: a model may
    have windows, positions or masks that trees do not fit. The answer depends on the model and
    width alone, so that a cell's numbers depend on nothing beside it.
    """
    answers = _compared.setdefault(model, {})
    if width not in answers:
        answers[width] = _equals_rows(model, width)
        if not answers[width]:
            print("the judge reads each text on its own: it takes no trees of tokens", flush=True)
    return answers[width]


def _equals_rows(model: nn.Module, width: int) -> bool:
    if not takes(model, "position_ids") or width <= STEM + 2 * SHORT:
        return False
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(text_config(model).vocab_size, (width + 2,), generator=generator).tolist()
    # The last token of either is predicted alone, and so not in the tree.
    stem, long, short = ids[:STEM], ids[STEM : width - SHORT + 1], ids[width - SHORT + 1 :]
    pairs = [(stem, long), (stem, short)]
    try:
        trees = dict(_of_trees(model, pairs, (0, 1), 2, width))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return False
    plain = dict(_of_rows(model, pairs, (0, 1), 2, width))
    distance = max(float((trees[n] - plain[n]).abs().mean()) for n in (0, 1))
    return bool(distance <= min(ROUNDING * precision(model), FURTHEST) * float(plain[0].std()))


def _of_rows(
    model: nn.Module, pairs: Sequence[Pair], numbers: Sequence[int], rows: int, _width: int
) -> Iterator[tuple[int, Tensor]]:
    """(number, log-probabilities) of pairs, each text a row of its own."""
    texts = [[*pairs[number][0], *pairs[number][1]] for number in numbers]
    for batch in by_length([len(text) for text in texts], rows):
        results = token_logprobs(model, [texts[i] for i in batch])
        for i, (logprobs, _) in zip(batch, results, strict=True):
            yield numbers[i], logprobs[len(pairs[numbers[i]][0]) - 1 :]


def _of_trees(
    model: nn.Module, pairs: Sequence[Pair], numbers: Sequence[int], rows: int, width: int
) -> Iterator[tuple[int, Tensor]]:
    """The same, texts with the same prompt in trees of at most `width` tokens."""
    trees: list[TokenTree] = []
    latest: dict[tuple[int, ...], TokenTree] = {}
    for number in numbers:
        prompt, continuation = pairs[number]
        tree = latest.get(tuple(prompt))
        text = [*prompt, *continuation][:-1]
        if tree is None or len(tree.ids) + tree.lacks(text) > width:
            tree = latest[tuple(prompt)] = TokenTree()
            trees.append(tree)
        tree.add(number, prompt, continuation)
    texts = max((len(tree.reads) for tree in trees), default=1)
    for batch in by_length([len(tree.ids) for tree in trees], max(1, rows // texts)):
        yield from _of_batch(model, [trees[i] for i in batch])


@torch.inference_mode()
def _of_batch(model: nn.Module, trees: Sequence[TokenTree]) -> Iterator[tuple[int, Tensor]]:
    width = max(len(tree.ids) for tree in trees)
    ids, positions = (
        torch.tensor([row + [0] * (width - len(row)) for row in rows])
        for rows in ([tree.ids for tree in trees], [tree.positions for tree in trees])
    )
    whole: Any = language_model(model)
    allowed = torch.stack([tree.attention(width) for tree in trees])[:, None]
    mask = torch.zeros(allowed.shape, dtype=whole.dtype)
    mask.masked_fill_(~allowed, torch.finfo(whole.dtype).min)
    read = sorted(
        {
            row * width + node
            for row, tree in enumerate(trees)
            for nodes, _ in tree.reads.values()
            for node in nodes
        }
    )
    rows_of_logits = {column: number for number, column in enumerate(read)}
    head = whole.get_output_embeddings()

    def keep_read(_module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        states = args[0].flatten(0, 1)
        return (states[torch.tensor(read, device=states.device)][None],)

    device = input_device(model)
    handle = head.register_forward_pre_hook(keep_read)
    try:
        logits = model(
            input_ids=ids.to(device),
            position_ids=positions.to(device),
            attention_mask=mask.to(device),
            use_cache=False,
        ).logits[0]
    finally:
        handle.remove()
    parts = [part.float() for part in logits.split(NORMALISED)]
    normaliser = torch.cat([part.logsumexp(-1) for part in parts])
    for row, tree in enumerate(trees):
        for number, (nodes, tokens) in tree.reads.items():
            at = [rows_of_logits[row * width + node] for node in nodes]
            chosen = logits[at, tokens].float() - normaliser[at]
            yield number, chosen.cpu()
