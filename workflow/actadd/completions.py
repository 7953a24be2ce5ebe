"""Steered completions of one experiment on one model, cell by cell."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from actadd import datasets
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

    spec: name, model, conditions, split, samples, max_new_tokens, sampling, seed, dtype, compute.
    shard: (i, n) computes every n-th cell only, from the i-th on, and writes nothing but the
    store; the table is then written by a call without it.
    Rows: one for each condition, prompt and sample, with all coordinates, the user's prompt, what
    the method put before it (prefix), the completion, its token ids and whether it ended by itself.
    Raises UserError if a prompt is shorter than a vector, before the weights are loaded.
    """
    experiment = Experiment(spec, model_dir, vector_files, choice)
    prompts = datasets.read(prompts_file, spec["split"], f"{experiment.key}.prompts.split")
    texts = prompts["text"].tolist()
    encoded = [experiment.encode(condition, texts) for condition in experiment.conditions]
    keys = [
        cell_key(
            **experiment.determinants("actadd.completions", condition),
            prompts=digest([texts, rows]),
            stop=experiment.tokens.stop_ids,
            **{
                name: spec[name]
                for name in ("samples", "max_new_tokens", "sampling", "seed", "batch_rows")
            },
        )
        for condition, rows in zip(experiment.conditions, encoded, strict=True)
    ]

    def compute(index: int) -> pa.Table:
        condition = experiment.conditions[index]
        return _cell(experiment, condition, texts, encoded[index])

    index, shards = shard
    tables = collect(
        CellStore(store),
        keys,
        [condition.label for condition in experiment.conditions],
        compute,
        range(index, len(keys), shards),
    )
    if output is not None:
        table = experiment.assemble(keys, tables)
        place = table.pop("prompt").to_numpy()
        before = table.columns.get_loc("sample")
        prefixes = table["condition"].map({c.name: c.prefix for c in experiment.conditions})
        table.insert(before, "prompt_id", prompts["id"].to_numpy()[place])
        table.insert(before + 1, "prefix", prefixes)
        table.insert(before + 2, "prompt", prompts["text"].to_numpy()[place])
        table.insert(before + 3, "seed", spec["seed"])
        write_with(output, lambda path: table.to_parquet(path, index=False))
    return {"cells": len(keys), "weights": experiment.facts["weights"]}


def _cell(
    experiment: Experiment,
    condition: Condition,
    texts: list[str],
    encoded: list[tuple[list[int], list[int]]],
) -> pa.Table:
    """One condition on all prompts and samples, in batches that no other cell has a part in."""
    import torch

    from actadd.batching import left_pad
    from actadd.generation import FINISHED, generate

    spec = experiment.spec
    model, additions = experiment.model(), experiment.additions(condition)
    steps = spec["max_new_tokens"]
    rows = [(prompt, sample) for prompt in range(len(texts)) for sample in range(spec["samples"])]
    written: list[list[int]] = []
    for start in range(0, len(rows), spec["batch_rows"]):
        batch = rows[start : start + spec["batch_rows"]]
        ids, mask = left_pad([encoded[prompt][0] for prompt, _ in batch])
        noise = [draws(spec["seed"], texts[prompt], sample, steps) for prompt, sample in batch]
        try:
            tokens = generate(
                model,
                ids,
                mask,
                additions=[additions] * len(batch),
                sampling=Sampling(**spec["sampling"]),
                uniforms=torch.from_numpy(np.stack(noise)),
                max_new_tokens=steps,
                stop_ids=experiment.tokens.stop_ids,
            )
        except UserError as error:
            raise UserError(f"{experiment.key}: {condition.label}: {error}") from error
        written += [[token for token in row if token != FINISHED] for row in tokens.tolist()]
    stops = set(experiment.tokens.stop_ids)
    ended = [bool(row) and row[-1] in stops for row in written]
    return pa.table(
        {
            "prompt": pa.array([prompt for prompt, _ in rows], pa.int32()),
            "sample": pa.array([sample for _, sample in rows], pa.int32()),
            "token_ids": pa.array(written, pa.list_(pa.int32())),
            "completion": [
                experiment.tokens.continuation(encoded[prompt][0], row)
                for (prompt, _), row in zip(rows, written, strict=True)
            ],
            "ended": ended,
        }
    )
