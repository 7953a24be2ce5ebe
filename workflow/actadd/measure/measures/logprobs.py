"""Log-probabilities of given texts under steering, token by token."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from actadd.base.errors import CellError
from actadd.base.files import digest
from actadd.base.progress import begin, count_tokens
from actadd.measure.conditions import Condition
from actadd.measure.measures import TOO_LARGE, measure
from actadd.models.batch_rows import ROWS_PER_TEXT

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from actadd.engine.logprobs import Measured
    from actadd.measure.experiment import Experiment
    from actadd.store.cells import CellResult


@measure(targets=True, baseline=True, token_bytes=20.0)
def logprobs(experiment: "Experiment", texts: "pd.DataFrame") -> "_Logprobs":
    """Log-probabilities and ranks of the tokens of given texts."""
    return _Logprobs(experiment, texts)


# Conditions on the same texts that share a pass below their layers. A killed job loses the work on
# so many at most.
TOGETHER = 64
COLUMNS = ["text", "token_index", "token_id", "logprob", "rank", "modified", "target"]

# (prompt ids, target ids) of each text.
Encoded = list[tuple[list[int], list[int]]]


class _Logprobs:
    """Log-probabilities of an experiment's texts: a row for each token under a condition.

    Columns: text_id, document, group, token_index (0 = BOS, never scored), token_id, token, logprob
    (natural), rank, modified (the prediction was made at a position that the condition changed
    directly, or in its prefix, so it is left out: the paper's mask), target (the token belongs to
    the text's target, or the text has none). The experiment's spec holds batch_rows.
    """

    def __init__(self, experiment: "Experiment", texts: "pd.DataFrame"):
        self.types: Mapping[str, pa.DataType] = {}
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

    def compute(self, indices: list[int]) -> "Iterator[CellResult]":
        return _compute(self.experiment, self.encoded, indices)

    def failed(self, index: int) -> "pa.Table":
        """One row for each text, with no token."""
        import pyarrow as pa

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

    def placed(self, index: int, table: "pd.DataFrame") -> "pd.DataFrame":
        rows = table.pop("text").to_numpy()
        for name, column in (("text_id", "id"), ("document", "document"), ("group", "group")):
            before = list(table.columns).index("token_index")
            table.insert(before, name, self.texts[column].to_numpy()[rows])
        for token in set(table["token_id"]) - self._names.keys():
            self._names[token] = self.experiment.tokens.token(token) if token >= 0 else ""
        tokens = table["token_id"].map(self._names)
        table.insert(list(table.columns).index("token_id") + 1, "token", tokens)
        return table.astype(dict.fromkeys(("document", "group", "token"), "string"))


def _compute(
    experiment: "Experiment", encoded: list[Encoded], indices: list[int]
) -> "Iterator[CellResult]":
    """The wanted cells, those on the same texts together."""
    from actadd.engine.batching import halving

    experiment.model()
    begin()

    def measured(rows: int, left: list[int]) -> "Iterator[CellResult]":
        groups: dict[str, list[int]] = {}
        for index in left:
            groups.setdefault(digest(encoded[index]), []).append(index)
        for group in groups.values():
            for start in range(0, len(group), TOGETHER):
                some = group[start : start + TOGETHER]
                yield from _cells(experiment, encoded[some[0]], some, rows)

    # The whole vocabulary's logits of a batch are held at once, so its texts are few.
    rows = max(1, experiment.spec["batch_rows"] // ROWS_PER_TEXT)
    yield from halving(rows, indices, measured)


def _cells(
    experiment: "Experiment", encoded: Encoded, indices: list[int], rows: int
) -> "Iterator[CellResult]":
    """Some conditions on the same texts, in batches of texts of like length."""
    from actadd.engine.batching import by_length
    from actadd.engine.logprobs import swept_logprobs

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
            [[each] * len(batch) for each in additions],
            [len(encoded[i][0]) for i in batch],
        )
        for texts, result in zip(measured, results, strict=True):
            texts.update(zip(batch, result, strict=True))
            count_tokens(sum(len(whole[i]) for i in batch))
    for index, condition, texts in zip(indices, conditions, measured, strict=True):
        if not all(bool(logprob.isfinite().all()) for logprob, _ in texts.values()):
            yield index, CellError(TOO_LARGE)
            continue
        table = _table(experiment, condition, encoded, texts)
        yield index, table.replace_schema_metadata({"batch_rows": str(rows * ROWS_PER_TEXT)})


def _table(
    experiment: "Experiment",
    condition: Condition,
    encoded: Encoded,
    measured: "dict[int, Measured]",
) -> "pa.Table":
    import pyarrow as pa

    shift = experiment.prefix_length(condition)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for index, (prompt, target) in enumerate(encoded):
        ids = prompt + target
        changed = experiment.changed(condition, len(prompt), len(ids))
        logprob, rank = measured[index]
        # A prefix is not part of the text: left out, and the text's own tokens keep their index.
        positions = range(1 + shift, len(ids))
        columns["text"] += [index] * len(positions)
        columns["token_index"] += [position - shift for position in positions]
        columns["token_id"] += ids[1 + shift :]
        columns["logprob"] += logprob[shift:].tolist()
        columns["rank"] += rank[shift:].tolist()
        masked = changed | (set(range(1 + shift)) if shift else set())
        columns["modified"] += [position - 1 in masked for position in positions]
        first = len(prompt) if target else 1
        columns["target"] += [position >= first for position in positions]
    types = {"logprob": pa.float32(), "modified": pa.bool_(), "target": pa.bool_()}
    return pa.table(
        {name: pa.array(values, types.get(name, pa.int32())) for name, values in columns.items()}
    )
