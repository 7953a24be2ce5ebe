"""How steering moves the next-token distribution, position by position (paper, random control)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from actadd.base.errors import CellError
from actadd.base.files import digest
from actadd.base.kinds import Rule, option
from actadd.base.progress import begin, count_tokens
from actadd.measure.conditions import Condition
from actadd.measure.measures import TOO_LARGE, measure

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from actadd.measure.experiment import Experiment
    from actadd.store.cells import CellResult

# Tokens kept of the last position's distributions: likeliest, and most moved, of each side.
KEPT = 20
# Bytes of unsteered distributions that are kept for the next condition.
REMEMBERED = 500_000_000
COLUMNS = (
    *("text", "position_index", "entropy", "kl", "modified"),
    *("token_ids", "tokens", "before", "after", "watched"),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    watch: list[Annotated[str, Rule(min_length=1)]] | None = option(
        "Texts of single tokens whose probability is followed.", None
    )
    changed_positions: bool | None = option(
        "Compare also at positions that are changed directly, as all drawn tokens are under "
        "every_step; back and all then act too.",
        None,
    )


@measure(Options, batched=False, readings=2)
def divergence(experiment: "Experiment", texts: "pd.DataFrame") -> "_Divergence":
    """How far steering moves next-token distributions in given texts."""
    return _Divergence(experiment, texts)


class _Divergence:
    """How far a condition moves next-token distributions: a row for each position of a text.

    Columns: text_id, group, position_index (0 = BOS), entropy (nats, of the unsteered next-token
    distribution), kl (nats, unsteered from steered), modified (left out of means: BOS, and what was
    changed directly, unless the spec says `changed_positions`). At each text's last position also
    token_ids, tokens, before and after: probabilities without and with steering of the tokens that
    are likeliest on either side, that contribute most to kl, or that are watched; watched says
    which are. The experiment's spec holds `watch`: texts of single tokens whose probability is
    kept.
    """

    def __init__(self, experiment: "Experiment", texts: "pd.DataFrame"):
        self.types = _list_types()
        self.experiment, self.texts = experiment, texts
        self.watched = [_single(experiment, text) for text in experiment.spec.get("watch", [])]
        self.plain = [
            ids for ids, _ in experiment.encode(Condition("", "unsteered"), texts["text"].tolist())
        ]
        self.encoded = [
            [ids for ids, _ in experiment.encode(condition, texts["text"].tolist())]
            for condition in experiment.conditions
        ]
        self.keys = [
            experiment.cell_key(
                __name__,
                condition,
                # Texts are read one at a time.
                unkeyed=("batch_rows",),
                rows=digest([self.plain, rows]),
                watched=self.watched,
            )
            for condition, rows in zip(experiment.conditions, self.encoded, strict=True)
        ]

    def compute(self, indices: list[int]) -> "Iterator[CellResult]":
        import numpy as np

        self.experiment.model()
        before: dict[int, Any] = {}
        begin()
        for index in indices:
            condition, encoded = self.experiment.conditions[index], self.encoded[index]
            table = _cell(self.experiment, condition, self.plain, encoded, self.watched, before)
            finite = np.isfinite(table["kl"].to_numpy()).all()
            yield index, table if finite else CellError(TOO_LARGE)

    def failed(self, index: int) -> "pa.Table":
        """One row for each text, with no position."""
        columns: dict[str, list[Any]] = {name: [None] * len(self.texts) for name in COLUMNS}
        columns["text"] = list(range(len(self.texts)))
        columns["position_index"] = [-1] * len(self.texts)
        columns["modified"] = [True] * len(self.texts)
        return _typed(columns)

    def placed(self, index: int, table: "pd.DataFrame") -> "pd.DataFrame":
        rows = table.pop("text").to_numpy()
        for name, column in (("text_id", "id"), ("group", "group")):
            before = list(table.columns).index("position_index")
            table.insert(before, name, self.texts[column].to_numpy()[rows])
        return table.astype({"group": "string"})


def _single(experiment: "Experiment", text: str) -> int:
    """The token that a watched text is, or begins with in this model's tokenizer."""
    pieces = experiment.tokens.pieces(text)
    # LLaMA's tokenizers write the space before a word as a token of its own.
    return next((piece for piece in pieces if experiment.tokens.token(piece).strip()), pieces[0])


def _cell(
    experiment: "Experiment",
    condition: Condition,
    plain: list[list[int]],
    encoded: list[list[int]],
    watched: list[int],
    unsteered: dict[int, Any],
) -> "pa.Table":
    """One condition on all texts. One text at a time: its whole vocabulary is held twice.

    unsteered: log-probabilities of texts without steering, by number, which other conditions read.
    """
    import torch

    from actadd.engine.steering import steer
    from actadd.engine.structure import input_device, model_inputs

    model, additions = experiment.model(), experiment.additions(condition)
    device = input_device(model)

    def log_probabilities(ids: list[int], added: list[Any], count: int) -> torch.Tensor:
        row = torch.tensor([ids], device=device)
        with torch.inference_mode(), steer(model, [added], torch.ones_like(row)):
            logits = model(**model_inputs(model, row, None), use_cache=False).logits[0]
        return logits[-count:].double().log_softmax(-1).cpu()

    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for index, (text, ids) in enumerate(zip(plain, encoded, strict=True)):
        count = len(text)
        before = unsteered.get(index)
        if before is None:
            before = log_probabilities(text, [], count)
            # The texts have nearly the same length, so that one tells how many fit.
            if (len(unsteered) + 1) * before.nbytes <= REMEMBERED:
                unsteered[index] = before
        after = log_probabilities(ids, additions, count)
        count_tokens(count + len(ids))
        share = before.exp() * (before - after)
        # A prefix is not part of the text, so positions are aligned at the text's end.
        shift = len(ids) - count
        changed_positions = experiment.spec.get("changed_positions")
        changed = set() if changed_positions else experiment.changed(condition, len(ids))
        last = torch.cat(
            [
                before[-1].topk(KEPT).indices,
                after[-1].topk(KEPT).indices,
                share[-1].abs().topk(KEPT).indices,
                torch.tensor(watched, dtype=torch.long),
            ]
        ).unique()
        empty = [None] * (count - 1)
        columns["text"] += [index] * count
        columns["position_index"] += range(count)
        columns["entropy"] += (-(before.exp() * before).sum(-1)).tolist()
        columns["kl"] += share.sum(-1).tolist()
        columns["modified"] += [at + shift in changed or at == 0 for at in range(count)]
        columns["token_ids"] += [*empty, last.tolist()]
        columns["tokens"] += [*empty, [experiment.tokens.token(i) for i in last.tolist()]]
        columns["before"] += [*empty, before[-1, last].exp().tolist()]
        columns["after"] += [*empty, after[-1, last].exp().tolist()]
        columns["watched"] += [*empty, [i in watched for i in last.tolist()]]
    return _typed(columns)


def _list_types() -> "dict[str, pa.DataType]":
    """Types of the columns that only the last position of a text fills."""
    import pyarrow as pa

    return {
        "token_ids": pa.list_(pa.int32()),
        "tokens": pa.list_(pa.string()),
        "before": pa.list_(pa.float64()),
        "after": pa.list_(pa.float64()),
        "watched": pa.list_(pa.bool_()),
    }


def _typed(columns: dict[str, list[Any]]) -> "pa.Table":
    import pyarrow as pa

    types = {
        "entropy": pa.float64(),
        "kl": pa.float64(),
        "modified": pa.bool_(),
        **_list_types(),
    }
    return pa.table(
        {name: pa.array(values, types.get(name, pa.int32())) for name, values in columns.items()}
    )
