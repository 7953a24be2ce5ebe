"""The work to compute some cells.

It changes no number: a wrong count only makes forecasts wrong.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from operator import add
from typing import TYPE_CHECKING, Any

from actadd.measure.measures import MEASURES, Measure
from actadd.models.batch_rows import ROWS_PER_TEXT

if TYPE_CHECKING:
    import pandas as pd

    from actadd.measure.experiment import Experiment


@dataclass(frozen=True)
class Work:
    """The most work of some cells; less if rows end early.

    passes: forward passes of a batch, None while the rows of a batch are unknown. drawn, read:
    tokens of completions, and of prompts and texts. computed: drawn tokens, including those that
    only fill batches. completions: number of those drawn, or scored.
    """

    passes: int | None = 0
    drawn: int = 0
    read: int = 0
    computed: int = 0
    completions: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(*map(add, astuple(self), astuple(other)))


def of_texts(
    measure: Measure,
    spec: Mapping[str, Any],
    *,
    texts: int,
    tokens: int,
    batches: int | None,
    contexts: int = 1,
) -> Work:
    """The work of texts under a condition.

    spec: batch_rows, and the options of a measure that draws. tokens: of all texts. batches: number
    of batches to read them once, None if unknown. contexts: number of contexts of each text.
    """
    read = measure.readings * contexts * tokens
    if not measure.draws:
        return Work(batches and measure.readings * batches, read=read)
    completions = texts * spec["samples"]
    new = measure.new_tokens(spec)
    rows, drawn = spec["batch_rows"], completions * new
    if rows == "auto":
        return Work(None, drawn, read, contexts * drawn, completions)
    # One more than are filled, as prompts of different lengths do not share a batch.
    batches = -(-contexts * completions // rows) + 1
    return Work(batches * new, drawn, read, batches * rows * new, completions)


def of_cells(
    experiment: "Experiment", cells: Any, texts: "pd.DataFrame", indices: Sequence[int]
) -> Work:
    """The work of the cells with these indices, by the measure's own count if it has one."""
    measure = MEASURES[experiment.spec["measure"]]
    if measure.work:
        work: Work = measure.work(experiment, cells, indices)
        return work
    total = Work()
    known: dict[Any, Work] = {}
    for index in indices:
        condition = experiment.conditions[index]
        # Additions do not change the work.
        kind = condition.contexts, condition.group
        if kind not in known:
            known[kind] = _of_condition(experiment, index, texts)
        total += known[kind]
    return total


def _of_condition(experiment: "Experiment", index: int, texts: "pd.DataFrame") -> Work:
    from actadd.engine.batching import by_length

    spec, condition = experiment.spec, experiment.conditions[index]
    measure = MEASURES[spec["measure"]]
    if measure.draws:
        texts = texts.iloc[experiment.rows(condition, texts)]
    targets = texts["target"].fillna("").tolist() if measure.targets else None
    encoded = experiment.encode(condition, texts["text"].tolist(), targets)
    lengths = [len(prompt) + len(target) for prompt, target in encoded]
    rows = max(1, spec["batch_rows"] // ROWS_PER_TEXT) if measure.batched else 1
    return of_texts(
        measure,
        spec,
        texts=len(lengths),
        tokens=sum(lengths),
        batches=sum(1 for _ in by_length(lengths, rows)),
        contexts=1 if condition.contexts.contrasted is None else 2,
    )


def of_completions(experiment: "Experiment", cells: Any, indices: Sequence[int]) -> Work:
    """The work of cells of completions, including rows that only fill batches."""
    spec = experiment.spec
    units: Counter[Any] = Counter()
    completions = 0
    for cell in (cells.cells[index] for index in indices):
        for prompt in range(len(cell.texts)):
            kind = cell.batch_kind(prompt, spec["batch_rows"])
            units[kind] += -(-spec["samples"] // kind.samples)
        completions += len(cell.texts) * spec["samples"]
    passes = read = computed = 0
    for kind, count in units.items():
        batches = -(-count // kind.contexts)
        contexts = kind.contexts * (1 if kind.strength is None else 2)
        passes += batches * spec["max_new_tokens"]
        read += batches * contexts * kind.width
        computed += batches * contexts * kind.samples * spec["max_new_tokens"]
    return Work(passes, completions * spec["max_new_tokens"], read, computed, completions)
