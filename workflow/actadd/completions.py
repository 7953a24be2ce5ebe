"""Steered completions of one experiment on one model, cell by cell."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from actadd.cells import CellStore, cell_key, collect
from actadd.conditions import Condition
from actadd.errors import UserError
from actadd.experiment import Experiment
from actadd.files import digest, write_with
from actadd.sampling import Sampling, draws


def complete(
    spec: dict,
    *,
    model_dir: Path,
    prompts_file: Path,
    vector_files: list[Path],
    choice: Path | None,
    store: Path,
    output: Path | None,
    shard: tuple[int, int] = (0, 1),
) -> dict[str, Any]:
    """Fills the cells of an experiment and writes all its completions as one Parquet table.

    spec: name, model, conditions, prompts, samples, max_new_tokens, sampling, seed, dtype, compute.
    shard: (i, n) computes every n-th cell only, from the i-th on, and writes nothing but the
    store; the table is then written by a call without it.
    Rows: one for each condition, prompt and sample, with all coordinates, the user's prompt, what
    the method put before it (prefix), the completion, its token ids and whether it ended by itself.
    Raises UserError if a prompt is shorter than a vector, before the weights are loaded.
    """
    experiment = Experiment(spec, model_dir, vector_files, choice)
    prompts = experiment.texts(prompts_file)
    cells = [_Cell(experiment, condition, prompts) for condition in experiment.conditions]
    keys = [cell.key() for cell in cells]

    index, shards = shard
    tables = collect(
        CellStore(store),
        keys,
        [condition.label for condition in experiment.conditions],
        lambda index: cells[index].compute(),
        range(index, len(keys), shards),
    )
    if output is not None:
        table = experiment.assemble(keys, tables)
        place = table.pop("prompt").to_numpy()
        before = table.columns.get_loc("sample")
        table.insert(before, "group", prompts["group"].astype("string").to_numpy()[place])
        prefixes = table["condition"].map({c.name: c.prefix for c in experiment.conditions})
        table.insert(before, "prompt_id", prompts["id"].to_numpy()[place])
        table.insert(before + 1, "prefix", prefixes)
        table.insert(before + 2, "prompt", prompts["text"].to_numpy()[place])
        write_with(output, lambda path: table.to_parquet(path, index=False))
    return {"cells": len(keys), "weights": experiment.facts["weights"]}


class _Cell:
    """One condition on all its prompts and samples, in batches that no other cell has a part in."""

    def __init__(self, experiment: Experiment, condition: Condition, prompts: pd.DataFrame):
        self.experiment, self.condition = experiment, condition
        self.numbers = experiment.rows(condition, prompts)
        self.texts = [prompts["text"].iloc[number] for number in self.numbers]
        self.encoded = [ids for ids, _ in experiment.encode(condition, self.texts)]
        self.contrast = experiment.contrast(condition, self.texts)

    def key(self) -> str:
        spec, condition = self.experiment.spec, self.condition
        return cell_key(
            **self.experiment.determinants("actadd.completions", condition),
            prompts=digest([self.texts, self.encoded, self.numbers]),
            contrast=digest([self.contrast, condition.strength]),
            stop=self.experiment.tokens.stop_ids,
            sampling=condition.sampling,
            seed=condition.seed,
            **{name: spec[name] for name in ("samples", "max_new_tokens", "batch_rows")},
        )

    def compute(self) -> pa.Table:
        import torch

        from actadd.batching import left_pad
        from actadd.generation import FINISHED, generate

        spec, condition = self.experiment.spec, self.condition
        model, additions = self.experiment.model(), self.experiment.additions(condition)
        steps = spec["max_new_tokens"]
        places = range(len(self.texts))
        rows = [(place, sample) for place in places for sample in range(spec["samples"])]
        written: list[list[int]] = []
        for start in range(0, len(rows), spec["batch_rows"]):
            batch = rows[start : start + spec["batch_rows"]]
            contexts = [self.encoded[place] for place, _ in batch]
            if self.contrast:
                contexts += [self.contrast[place] for place, _ in batch]
            ids, mask = left_pad(contexts)
            noise = [
                draws(condition.seed, self.texts[place], sample, steps) for place, sample in batch
            ]
            try:
                tokens = generate(
                    model,
                    ids,
                    mask,
                    additions=[additions] * len(contexts),
                    contrast=condition.strength if self.contrast else None,
                    sampling=Sampling(**condition.sampling),
                    uniforms=torch.from_numpy(np.stack(noise)),
                    max_new_tokens=steps,
                    stop_ids=self.experiment.tokens.stop_ids,
                )
            except UserError as error:
                where = f"{self.experiment.key}: {condition.label}"
                raise UserError(f"{where}: {error}") from error
            written += [[token for token in row if token != FINISHED] for row in tokens.tolist()]
        stops = set(self.experiment.tokens.stop_ids)
        return pa.table(
            {
                "prompt": pa.array([self.numbers[place] for place, _ in rows], pa.int32()),
                "sample": pa.array([sample for _, sample in rows], pa.int32()),
                "token_ids": pa.array(written, pa.list_(pa.int32())),
                "completion": [
                    self.experiment.tokens.continuation(self.encoded[place], row)
                    for (place, _), row in zip(rows, written, strict=True)
                ],
                "ended": [bool(row) and row[-1] in stops for row in written],
            }
        )
