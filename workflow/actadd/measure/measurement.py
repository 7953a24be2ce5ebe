"""What is measured of an experiment's conditions, cell by cell, and gathered in one table.

The work may be scattered: shards fill the store, on whatever nodes, and one job gathers it. The
table's bytes are the same however it was made.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from actadd.base.errors import UserError
from actadd.base.files import write_frames
from actadd.measure import work
from actadd.measure.experiment import Experiment
from actadd.measure.measures import MEASURES, Cells
from actadd.store.cells import CellStore, check_complete, compute_missing


def cells_of(
    spec: dict[str, Any],
    *,
    model_dir: Path,
    texts_file: Path,
    vector_files: Mapping[str, Path],
    choice: Path | None,
    norms: Path | None = None,
    thresholds: Path | None = None,
) -> tuple[Experiment, pd.DataFrame, Cells]:
    """An experiment, its texts and its cells with their keys; the weights are not read.

    Raises UserError, naming the prompt, where one does not fit, before a model is loaded.
    """
    experiment = Experiment(spec, model_dir, vector_files, choice, norms, thresholds)
    texts = experiment.texts(texts_file)
    return experiment, texts, MEASURES[spec["measure"]](experiment, texts)


def measure(
    spec: dict[str, Any],
    *,
    model_dir: Path,
    texts_file: Path,
    vector_files: Mapping[str, Path],
    choice: Path | None,
    store: Path,
    output: Path | None,
    norms: Path | None = None,
    thresholds: Path | None = None,
    shard: tuple[int, int] | None = (0, 1),
    shards: Sequence[Path] = (),
    note: str | None = None,
) -> dict[str, Any]:
    """Fills the cells of an experiment and writes them all as one Parquet table.

    spec: measure, name, model, conditions, prompts, dtype, compute, and what the measure needs.
    shard: (i, n) computes every n-th cell only, from the i-th on; None computes nothing, every cell
    is in the store. shards: the records of those that filled it, in order. output: None writes
    nothing but the store. note: where to write what was computed, see `Fill.note`.
    Rows: every coordinate of the condition, what the measure's `Cells` says, and `failed`: why the
    cell could not be computed, else null. Returns facts, `failed` among them: label -> reason.
    """
    experiment, texts, cells = cells_of(
        spec,
        model_dir=model_dir,
        texts_file=texts_file,
        vector_files=vector_files,
        choice=choice,
        norms=norms,
        thresholds=thresholds,
    )
    cell_store = CellStore(store)
    labels = _labels(experiment, cells.keys)
    if shard is not None:
        first, count = shard
        indices = range(first, len(cells.keys), count)
        fill = compute_missing(cell_store, cells.keys, labels, cells.compute, indices)
        fill.note(note, asdict(work.of_cells(experiment, cells, texts, fill.tried)))
        failed = fill.failed
    else:
        check_complete(cell_store, cells.keys, shards)
        failed = {i: why for i, key in enumerate(cells.keys) if (why := cell_store.failure(key))}
    if output is not None:
        rows = _frames(experiment, cells, cell_store)
        write_frames(output, rows, {**cells.types, "failed": pa.string()})
    return {
        "cells": len(cells.keys),
        **({"left_out": experiment.left_out} if experiment.left_out else {}),
        "weights": experiment.facts["weights"],
        "failed": {labels[index]: reason for index, reason in failed.items()},
    }


def _labels(experiment: Experiment, keys: Sequence[str]) -> list[str]:
    """The conditions' labels; those that several go by, as of a sweep of seeds, with the cell."""
    labels = [condition.label for condition in experiment.conditions]
    times = Counter(labels)
    return [
        label if times[label] == 1 else f"{label} {key[:16]}"
        for label, key in zip(labels, keys, strict=True)
    ]


def _frames(experiment: Experiment, cells: Cells, store: CellStore) -> Iterator[pd.DataFrame]:
    written = set()
    for index, key in enumerate(cells.keys):
        condition = experiment.conditions[index]
        # Draws that came out alike are one: readers tell a condition's cells apart by their keys.
        if condition.draw is not None and (condition.name, key) in written:
            continue
        written.add((condition.name, key))
        reason = store.failure(key)
        table = (cells.failed(index) if reason else store.require(key)).to_pandas()
        placed = cells.placed(index, experiment.spelled_out(index, key, table))
        yield placed.assign(failed=pd.Series(reason, placed.index, dtype="string"))


def shard_of(text: str | None) -> tuple[int, int] | None:
    """The shard that a program was asked for: "2/5", "none" to gather, or nothing for all."""
    if text == "none":
        return None
    first, shards = (int(part) for part in (text or "0/1").split("/"))
    if not 0 <= first < shards:
        raise UserError(f"--shard {text}: write I/N with I from 0 to N - 1, or none")
    return first, shards
