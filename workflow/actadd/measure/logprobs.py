"""Log-probabilities of given texts under steering, token by token."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
import pyarrow as pa

from actadd.base.errors import CellError
from actadd.base.files import digest
from actadd.base.progress import begin, worked
from actadd.measure.conditions import Condition
from actadd.measure.experiment import TOO_LARGE, Experiment
from actadd.models.batch_rows import ROWS_PER_TEXT
from actadd.store.cells import Made

if TYPE_CHECKING:
    from torch import Tensor


# Conditions on the same texts that share a pass below their layers. A killed job loses the work on
# so many at most.
TOGETHER = 64
COLUMNS = ["text", "token_index", "token_id", "logprob", "rank", "modified", "target"]

# (logprob float32, rank int32), each [tokens - 1], on the CPU.
Measured = tuple["Tensor", "Tensor"]


def token_logprobs(
    model,
    rows: Sequence[Sequence[int]],
    additions: Sequence | None = None,
    prompt_lengths: Sequence[int] | None = None,
) -> list[Measured]:
    """For each text, (logprob, rank) of its tokens 1.. given those before, float32 and int32.

    rows: token ids with BOS. additions: one sequence of `Addition` for each row, aligned in its
    first prompt_lengths[row] tokens (default: in all of them). rank is the number of vocabulary
    entries that are strictly likelier than the token, as in LAMA's P@K.
    Returns a list of pairs of tensors [len(row) - 1] on the CPU.
    """
    return next(swept_logprobs(model, rows, [additions or [()] * len(rows)], prompt_lengths))


def swept_logprobs(
    model,
    rows: Sequence[Sequence[int]],
    conditions: Sequence[Sequence],
    prompt_lengths: Sequence[int] | None = None,
) -> Iterator[list[Measured]]:
    """`token_logprobs` of the same rows under several conditions, one after another.

    conditions: for each, one sequence of `Addition` for each row. The blocks below the lowest layer
    that a condition changes are computed once for all conditions; the numbers are the same bits as
    from passes of their own.
    """
    import torch

    from actadd.engine.batching import left_pad
    from actadd.engine.shared_layers import outputs_below, resumed_at
    from actadd.engine.steering import blocks, input_device, model_inputs, steer

    ids, mask = left_pad(rows)
    device = input_device(model)
    placed = ids.to(device)
    inputs = model_inputs(model, placed, mask.to(device))
    depth = len(blocks(model))
    lowest = [
        min((addition.layer for row in additions for addition in row), default=depth)
        for additions in conditions
    ]
    shared = outputs_below(model, inputs, lowest) if len(conditions) > 1 else {}
    for additions, layer in zip(conditions, lowest, strict=True):
        steering = steer(model, additions, mask, prompt_lengths=prompt_lengths, verify=False)
        with torch.inference_mode(), resumed_at(model, layer, shared), steering:
            logits = model(**inputs, use_cache=False).logits
            found = [
                _measured(logits[row], placed[row], len(text)) for row, text in enumerate(rows)
            ]
        yield found


def _measured(logits: "Tensor", ids: "Tensor", length: int) -> Measured:
    """One row's numbers; a row at a time stays within a processor's cache."""
    import torch

    scores = logits[-length:-1].float()
    chosen = scores.gather(-1, ids[-length + 1 :, None])
    rank = (scores > chosen).sum(-1, dtype=torch.int32)
    logprob = (chosen - scores.logsumexp(-1, keepdim=True)).squeeze(-1)
    return logprob.cpu(), rank.cpu()


# (prompt ids, target ids) of each text.
Encoded = list[tuple[list[int], list[int]]]


class Cells:
    """Log-probabilities of an experiment's texts: a row for each token under a condition.

    Columns: text_id, document, group, token_index (0 = BOS, never scored), token_id, token, logprob
    (natural), rank, modified (the prediction was made at a position that the condition changed
    directly, or in its prefix, so it is left out: the paper's mask), target (the token belongs to
    the text's target, or the text has none). The experiment's spec holds batch_rows.
    """

    TYPES: ClassVar = {}

    def __init__(self, experiment: Experiment, texts: pd.DataFrame):
        self.experiment, self.texts = experiment, texts
        targets = texts["target"].fillna("").tolist()
        self.encoded: list[Encoded] = [
            experiment.encode(condition, texts["text"].tolist(), targets)
            for condition in experiment.conditions
        ]
        self.keys = [
            experiment.cell_key(
                __name__,
                condition,
                rows=digest(rows),
                prefix=experiment.prefix_length(condition),
            )
            for condition, rows in zip(experiment.conditions, self.encoded, strict=True)
        ]
        self._names: dict[int, str] = {}

    def compute(self, wanted: list[int]) -> Iterator[Made]:
        return _compute(self.experiment, self.encoded, wanted)

    def failed(self, index: int) -> pa.Table:
        """One row for each text, of a token that is none."""
        count = len(self.texts)
        integers = ("token_index", "token_id", "rank")
        return pa.table(
            {
                "text": pa.array(range(count), pa.int32()),
                **{name: pa.array([-1] * count, pa.int32()) for name in integers},
                "logprob": pa.array([float("nan")] * count, pa.float32()),
                "modified": [True] * count,
                "target": [True] * count,
            }
        ).select(COLUMNS)

    def placed(self, index: int, table: pd.DataFrame) -> pd.DataFrame:
        place = table.pop("text").to_numpy()
        for name, column in (("text_id", "id"), ("document", "document"), ("group", "group")):
            before = table.columns.get_loc("token_index")
            table.insert(before, name, self.texts[column].to_numpy()[place])
        for token in set(table["token_id"]) - self._names.keys():
            self._names[token] = self.experiment.tokens.token(token) if token >= 0 else ""
        tokens = table["token_id"].map(self._names)
        table.insert(table.columns.get_loc("token_id") + 1, "token", tokens)
        return table.astype(dict.fromkeys(("document", "group", "token"), "string"))


def _compute(experiment: Experiment, encoded: list[Encoded], wanted: list[int]) -> Iterator[Made]:
    """The wanted cells, those on the same texts together."""
    from actadd.engine.batching import halving

    experiment.model()
    begin()

    def measured(rows: int, left: list[int]) -> Iterator[Made]:
        groups: dict[str, list[int]] = {}
        for index in left:
            groups.setdefault(digest(encoded[index]), []).append(index)
        for group in groups.values():
            for start in range(0, len(group), TOGETHER):
                some = group[start : start + TOGETHER]
                yield from _cells(experiment, encoded[some[0]], some, rows)

    # The whole vocabulary's logits of a batch are held at once, so its texts are few.
    rows = max(1, experiment.spec["batch_rows"] // ROWS_PER_TEXT)
    yield from halving(rows, wanted, measured)


def _cells(
    experiment: Experiment, encoded: Encoded, indices: list[int], rows: int
) -> Iterator[Made]:
    """Some conditions on the same texts, in batches of texts of like length."""
    from actadd.engine.batching import by_length

    model = experiment.model()
    conditions = [experiment.conditions[index] for index in indices]
    additions = [experiment.additions(condition) for condition in conditions]
    whole = [prompt + target for prompt, target in encoded]
    measured: list[dict[int, Measured]] = [{} for _ in indices]
    for batch in by_length([len(ids) for ids in whole], rows):
        # A vector is aligned in the prompt; the target that follows it is never part of that.
        results = swept_logprobs(
            model,
            [whole[i] for i in batch],
            [[own] * len(batch) for own in additions],
            [len(encoded[i][0]) for i in batch],
        )
        for found, result in zip(measured, results, strict=True):
            found.update(zip(batch, result, strict=True))
            worked(sum(len(whole[i]) for i in batch))
    for index, condition, found in zip(indices, conditions, measured, strict=True):
        if not all(bool(logprob.isfinite().all()) for logprob, _ in found.values()):
            yield index, CellError(TOO_LARGE)
            continue
        table = _table(experiment, condition, encoded, found)
        yield index, table.replace_schema_metadata({"batch_rows": str(rows * ROWS_PER_TEXT)})


def _table(
    experiment: Experiment, condition: Condition, encoded: Encoded, measured: dict[int, Measured]
) -> pa.Table:
    shift = experiment.prefix_length(condition)
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for index, (prompt, target) in enumerate(encoded):
        ids = prompt + target
        changed = experiment.changed(condition, len(prompt), len(ids))
        logprob, rank = measured[index]
        # A prefix is not part of the text: left out, and the text's own tokens keep their index.
        positions = range(1 + shift, len(ids))
        columns["text"] += [index] * len(positions)
        columns["token_index"] += [place - shift for place in positions]
        columns["token_id"] += ids[1 + shift :]
        columns["logprob"] += logprob[shift:].tolist()
        columns["rank"] += rank[shift:].tolist()
        masked = changed | (set(range(1 + shift)) if shift else set())
        columns["modified"] += [place - 1 in masked for place in positions]
        first = len(prompt) if target else 1
        columns["target"] += [place >= first for place in positions]
    types = {"logprob": pa.float32(), "modified": pa.bool_(), "target": pa.bool_()}
    return pa.table(
        {name: pa.array(values, types.get(name, pa.int32())) for name, values in columns.items()}
    )
