"""Steered completions of one experiment on one model, cell by cell.

Cells share batches: sixteen samples of one setting would leave most of a processor idle. For a
cell's bytes not to depend on which others are computed with it, every batch of a kind has one shape
(contexts, samples, width), each part of it set by the row itself or by the config: arithmetic on a
row may round differently in a batch of another shape, but not beside other rows.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from actadd.base.errors import CellError
from actadd.base.files import canonical_json, digest
from actadd.base.kinds import option
from actadd.base.progress import begin, count_tokens
from actadd.engine.decoding.sampling import Sampling, draws
from actadd.measure.conditions import Condition
from actadd.measure.measures import TOO_LARGE, measure
from actadd.measure.work import of_completions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from actadd.measure.experiment import Experiment
    from actadd.store.cells import CellResult


@dataclass(frozen=True, kw_only=True)
class Options:
    samples: int = option("Completions of each prompt.", 1, minimum=1, maximum=100_000)
    max_new_tokens: int = option(
        "Tokens that a completion may have.", 40, minimum=1, maximum=100_000
    )
    sampling: Sampling = option("How the tokens of completions are drawn.", Sampling())


@measure(Options, draws=True, token_bytes=9.0, work=of_completions)
def completions(experiment: "Experiment", texts: "pd.DataFrame") -> "_Completions":
    """Completions of prompts, which are drawn and scored."""
    return _Completions(experiment, texts)


class _Completions:
    """An experiment's completions: a row for each prompt and sample of a condition.

    Columns: prompt_id, what the method put before the user's prompt (prefix), the prompt, its
    group, sample, token_ids, completion, and whether it ended by itself (ended).
    The experiment's spec holds the options, seed and batch_rows.
    """

    def __init__(self, experiment: "Experiment", texts: "pd.DataFrame"):
        import pyarrow as pa

        self.types = {"token_ids": pa.list_(pa.int32()), "completion": pa.large_string()}
        self.experiment, self.prompts = experiment, texts
        self.cells = [_Cell(experiment, condition, texts) for condition in experiment.conditions]
        self.keys = [cell.key() for cell in self.cells]

    def compute(self, indices: list[int]) -> "Iterator[CellResult]":
        return _compute(self.experiment, self.cells, indices)

    def failed(self, index: int) -> "pa.Table":
        return self.cells[index].failed()

    def placed(self, index: int, table: "pd.DataFrame") -> "pd.DataFrame":
        prompts, condition = self.prompts, self.experiment.conditions[index]
        rows = table.pop("prompt").to_numpy()
        before = list(table.columns).index("sample")
        table.insert(before, "prompt_id", prompts["id"].to_numpy()[rows])
        table.insert(before + 1, "prefix", condition.prefix)
        table.insert(before + 2, "prompt", prompts["text"].to_numpy()[rows])
        table.insert(before + 3, "group", prompts["group"].astype("string").to_numpy()[rows])
        return table.astype({"group": "string"})


class _Cell:
    """One condition on all its prompts and samples."""

    def __init__(
        self, experiment: "Experiment", condition: Condition, prompts: "pd.DataFrame"
    ) -> None:
        self.experiment, self.condition = experiment, condition
        self.numbers = experiment.rows(condition, prompts)
        self.texts: list[str] = prompts["text"].iloc[self.numbers].tolist()
        self.encoded = [ids for ids, _ in experiment.encode(condition, self.texts)]
        self.contrast = experiment.contrast(condition, self.texts)

    def key(self) -> str:
        return self.experiment.cell_key(
            __name__,
            self.condition,
            prompts=digest([self.texts, self.encoded, self.numbers]),
            contrast=digest(self.contrast),
            stop=self.experiment.tokens.stop_ids,
        )

    def contexts(self, prompt: int) -> list[list[int]]:
        """Token ids of a prompt and, under PREADD, of its contrasted context."""
        return [self.encoded[prompt], *([self.contrast[prompt]] if self.contrast else [])]

    def batch_kind(self, prompt: int, batch_rows: int) -> "_BatchKind":
        """The kind of batch that a prompt is drawn in; it depends on nothing outside the cell."""
        from actadd.engine.batching import padded_width

        contexts = self.contexts(prompt)
        rows = max(1, batch_rows // len(contexts))
        samples = self.experiment.spec["samples"]
        together = -(-samples // -(-samples // rows))
        # Quantized, a row is rounded with the others of its batch: these must be the cell's own.
        quantized = "quantization" in self.experiment.spec["compute"]
        coordinates = {**self.condition.coordinates(), "draw": self.condition.draw}
        alone = canonical_json(coordinates) if quantized else None
        return _BatchKind(
            padded_width(max(map(len, contexts))),
            together,
            max(1, rows // together),
            self.condition.contexts.strength,
            canonical_json(self.condition.sampling),
            alone,
        )

    def table(self, written: dict[tuple[int, int], list[int]], batch_rows: int) -> "pa.Table":
        """written: token ids of each (prompt, sample). batch_rows: of the batches it was drawn in,
        which are smaller than the config's where memory ran out."""
        import pyarrow as pa

        rows = sorted(written)
        tokens = self.experiment.tokens
        stops = set(tokens.stop_ids)
        table = pa.table(
            {
                "prompt": pa.array([self.numbers[prompt] for prompt, _ in rows], pa.int32()),
                "sample": pa.array([sample for _, sample in rows], pa.int32()),
                "token_ids": pa.array([written[row] for row in rows], pa.list_(pa.int32())),
                "completion": [
                    tokens.continuation(self.encoded[prompt], written[prompt, sample])
                    for prompt, sample in rows
                ],
                "ended": [bool(written[row]) and written[row][-1] in stops for row in rows],
            }
        )
        return table.replace_schema_metadata({"batch_rows": str(batch_rows)})

    def failed(self) -> "pa.Table":
        """Rows without a completion for every prompt and sample."""
        import pyarrow as pa

        samples = range(self.experiment.spec["samples"])
        rows = [(number, sample) for number in self.numbers for sample in samples]
        return pa.table(
            {
                "prompt": pa.array([number for number, _ in rows], pa.int32()),
                "sample": pa.array([sample for _, sample in rows], pa.int32()),
                "token_ids": pa.array([[] for _ in rows], pa.list_(pa.int32())),
                "completion": pa.array([None for _ in rows], pa.string()),
                "ended": [False for _ in rows],
            }
        )


class _BatchKind(NamedTuple):
    """What decides a batch's shape and how it is drawn; only units of one kind share batches."""

    width: int
    samples: int
    contexts: int
    strength: float | None
    sampling: str
    alone: str | None


class _Unit(NamedTuple):
    """What is read once: a prompt of a cell, and those of its samples that share a batch."""

    cell: int
    prompt: int
    samples: range


def _compute(
    experiment: "Experiment", cells: list[_Cell], indices: list[int]
) -> "Iterator[CellResult]":
    """The wanted cells, each as soon as its last completion is drawn."""
    from actadd.engine.batching import halving

    spent = {"generating": 0.0}

    def draw(batch_rows: int, left: list[int]) -> "Iterator[CellResult]":
        return _draw(experiment, {index: cells[index] for index in left}, batch_rows, spent)

    # Load it first, so that loading does not count as generating.
    experiment.model()
    begin()
    started = time.perf_counter()
    yield from halving(experiment.spec["batch_rows"], indices, draw)
    seconds = time.perf_counter() - started
    print(f"{seconds:.2f} s, of which {spent['generating']:.2f} s generating", flush=True)


def _draw(
    experiment: "Experiment", cells: dict[int, _Cell], batch_rows: int, spent: dict[str, float]
) -> "Iterator[CellResult]":
    """Takes the cells in order; what their batches have room for comes from the cells behind."""
    waiting: dict[_BatchKind, deque[_Unit]] = {}
    open_units: dict[int, Counter[_BatchKind]] = {}
    for index, cell in cells.items():
        kinds = [cell.batch_kind(prompt, batch_rows) for prompt in range(len(cell.texts))]
        open_units[index] = Counter()
        for prompt, kind in enumerate(kinds):
            for start in range(0, experiment.spec["samples"], kind.samples):
                some = range(start, min(experiment.spec["samples"], start + kind.samples))
                waiting.setdefault(kind, deque()).append(_Unit(index, prompt, some))
                open_units[index][kind] += 1
    written: dict[int, dict[tuple[int, int], list[int]]] = {index: {} for index in cells}
    broken: set[int] = set()
    for index in cells:
        while open_units[index]:
            kind = next(iter(open_units[index]))
            queue = waiting[kind]
            units = [queue.popleft() for _ in range(min(kind.contexts, len(queue)))]
            started = time.perf_counter()
            rows = _batch(experiment, cells, units, kind)
            spent["generating"] += time.perf_counter() - started
            count_tokens(sum(len(tokens or ()) for drawn in rows for tokens in drawn.values()))
            for unit, drawn in zip(units, rows, strict=True):
                open_units[unit.cell] -= Counter([kind])
                for sample, tokens in drawn.items():
                    written[unit.cell][unit.prompt, sample] = tokens or []
                    if tokens is None:
                        broken.add(unit.cell)
            for done in dict.fromkeys(unit.cell for unit in units if not open_units[unit.cell]):
                table = cells[done].table(written.pop(done), batch_rows)
                yield done, CellError(TOO_LARGE) if done in broken else table


def _batch(
    experiment: "Experiment", cells: dict[int, _Cell], units: list[_Unit], kind: _BatchKind
) -> list[dict[int, list[int] | None]]:
    """Token ids by sample of each unit; None where the logits were not numbers.

    Where fewer prompts or samples are left than the batch has, the last ones are drawn again and
    thrown away.
    """
    import numpy as np
    import torch

    from actadd.engine.batching import left_pad
    from actadd.engine.decoding.generation import generate
    from actadd.engine.decoding.sampling import BROKEN, FINISHED

    steps = experiment.spec["max_new_tokens"]
    filled = [*units, *[units[-1]] * (kind.contexts - len(units))]
    condition = cells[units[0].cell].condition
    texts = [cells[unit.cell].contexts(unit.prompt) for unit in filled]
    # PREADD's contrasted contexts are the batch's second half.
    ids, mask = left_pad(
        [row for half in zip(*texts, strict=True) for row in half], width=kind.width
    )
    additions = [experiment.additions(cells[unit.cell].condition) for unit in filled]
    noise = [
        draws(cells[u.cell].condition.seed, cells[u.cell].texts[u.prompt], sample, steps)
        for u in filled
        for sample in (*u.samples, *[u.samples[-1]] * (kind.samples - len(u.samples)))
    ]
    tokens = generate(
        experiment.model(),
        ids,
        mask,
        additions=additions * len(texts[0]),
        contrast=condition.contexts.strength,
        sampling=Sampling(**condition.sampling),
        uniforms=torch.from_numpy(np.stack(noise)),
        max_new_tokens=steps,
        stop_ids=experiment.tokens.stop_ids,
        samples=kind.samples,
    ).tolist()
    drawn: list[dict[int, list[int] | None]] = []
    for number, unit in enumerate(units):
        rows = tokens[number * kind.samples :][: len(unit.samples)]
        drawn.append(
            {
                sample: None if BROKEN in row else [token for token in row if token != FINISHED]
                for sample, row in zip(unit.samples, rows, strict=True)
            }
        )
    return drawn
