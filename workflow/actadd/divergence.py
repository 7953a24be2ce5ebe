"""How steering moves the next-token distribution, position by position (paper, random control)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from actadd.cells import CellStore, Made, cell_key, fill
from actadd.conditions import Condition
from actadd.experiment import Experiment
from actadd.files import digest, write_frames

# Tokens kept of the last position's distributions: likeliest, and most moved, of each side.
KEPT = 20


def measure(
    spec: dict,
    *,
    model_dir: Path,
    texts_file: Path,
    vector_files: list[Path],
    choice: Path | None,
    store: Path,
    output: Path,
) -> dict[str, Any]:
    """Fills the cells of a divergence experiment and writes one Parquet row for each position.

    spec: as for log-probabilities, and `watch`: texts of single tokens whose probability is kept.
    Columns: the condition's coordinates, text_id, group, position (0 = BOS), entropy (nats, of the
    unsteered next-token distribution), kl (nats, unsteered from steered), modified (changed
    directly, so it means nothing). At each text's last position also token_ids, tokens, before and
    after: probabilities without and with steering of the tokens that are likeliest on either side,
    that contribute most to kl, or that are watched; watched says which are.
    """
    experiment = Experiment(spec, model_dir, vector_files, choice)
    texts = experiment.texts(texts_file)
    watched = [_single(experiment, text) for text in spec.get("watch", [])]
    plain = [experiment.tokens.encode(text) for text in texts["text"]]
    encoded = [
        [ids for ids, _ in experiment.encode(condition, texts["text"].tolist())]
        for condition in experiment.conditions
    ]
    keys = [
        cell_key(
            **experiment.determinants("actadd.divergence", condition),
            texts=digest([plain, rows]),
            watched=watched,
        )
        for condition, rows in zip(experiment.conditions, encoded, strict=True)
    ]

    def compute(wanted: list[int]) -> Iterator[Made]:
        for index in wanted:
            condition = experiment.conditions[index]
            yield index, _cell(experiment, condition, plain, encoded[index], watched)

    cell_store = CellStore(store)
    fill(cell_store, keys, [condition.label for condition in experiment.conditions], compute)
    write_frames(output, _frames(experiment, texts, keys, cell_store))
    return {"cells": len(keys), "weights": experiment.facts["weights"]}


def _frames(
    experiment: Experiment, texts: pd.DataFrame, keys: list[str], store: CellStore
) -> Iterator[pd.DataFrame]:
    for _, table in experiment.frames(keys, store):
        place = table.pop("text").to_numpy()
        for name, column in (("text_id", "id"), ("group", "group")):
            before = table.columns.get_loc("position_index")
            table.insert(before, name, texts[column].to_numpy()[place])
        yield table.astype({"group": "string"})


def _single(experiment: Experiment, text: str) -> int:
    """The token that a watched text is, or begins with in this model's tokenizer."""
    return experiment.tokens.pieces(text)[0]


def _cell(
    experiment: Experiment,
    condition: Condition,
    plain: list[list[int]],
    encoded: list[list[int]],
    watched: list[int],
) -> pa.Table:
    """One condition on all texts. One text at a time: its whole vocabulary is held twice."""
    import torch

    from actadd.steering import model_inputs, steer

    model, additions = experiment.model(), experiment.additions(condition)
    device = model.get_input_embeddings().weight.device

    def log_probabilities(ids: list[int], added: list, count: int):
        row = torch.tensor([ids], device=device)
        with torch.inference_mode(), steer(model, [added], torch.ones_like(row)):
            logits = model(**model_inputs(model, row, None), use_cache=False).logits[0]
        return logits[-count:].double().log_softmax(-1).cpu()

    columns: dict[str, list] = {
        name: []
        for name in (
            *("text", "position_index", "entropy", "kl", "modified"),
            *("token_ids", "tokens", "before", "after", "watched"),
        )
    }
    for index, (own, ids) in enumerate(zip(plain, encoded, strict=True)):
        before = log_probabilities(own, [], len(own))
        after = log_probabilities(ids, additions, len(own))
        share = before.exp() * (before - after)
        # A prefix is no part of the text: its positions are compared from the text's end.
        shift = len(ids) - len(own)
        changed = experiment.changed(condition, len(ids))
        count = len(own)
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
        columns["modified"] += [place + shift in changed or place == 0 for place in range(count)]
        columns["token_ids"] += [*empty, last.tolist()]
        columns["tokens"] += [*empty, [experiment.tokens.token(i) for i in last.tolist()]]
        columns["before"] += [*empty, before[-1, last].exp().tolist()]
        columns["after"] += [*empty, after[-1, last].exp().tolist()]
        columns["watched"] += [*empty, [i in watched for i in last.tolist()]]
    types = {
        "entropy": pa.float64(),
        "kl": pa.float64(),
        "modified": pa.bool_(),
        "token_ids": pa.list_(pa.int32()),
        "tokens": pa.list_(pa.string()),
        "before": pa.list_(pa.float64()),
        "after": pa.list_(pa.float64()),
        "watched": pa.list_(pa.bool_()),
    }
    return pa.table(
        {name: pa.array(values, types.get(name, pa.int32())) for name, values in columns.items()}
    )
