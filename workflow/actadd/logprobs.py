"""Log-probabilities of given texts under steering, token by token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from actadd.cells import CellStore, cell_key, collect
from actadd.conditions import Condition
from actadd.experiment import Experiment
from actadd.files import digest, write_with


def token_logprobs(
    model,
    rows: Sequence[Sequence[int]],
    additions: Sequence | None = None,
    prompt_lengths: Sequence[int] | None = None,
):
    """For each text, (logprob, rank) of its tokens 1.. given those before, float32 and int32.

    rows: token ids with BOS. additions: one sequence of `Addition` for each row, aligned in its
    first prompt_lengths[row] tokens (default: in all of them). rank is the number of vocabulary
    entries that are strictly likelier than the token, as in LAMA's P@K.
    Returns a list of pairs of tensors [len(row) - 1] on the CPU.
    """
    import torch

    from actadd.batching import left_pad
    from actadd.steering import model_inputs, steer

    ids, mask = left_pad(rows)
    device = model.get_input_embeddings().weight.device
    placed = ids.to(device)
    additions = additions or [()] * len(rows)
    with torch.inference_mode(), steer(model, additions, mask, prompt_lengths=prompt_lengths):
        logits = model(**model_inputs(model, placed, mask.to(device)), use_cache=False).logits
        measured = []
        for row, text in enumerate(rows):
            scores = logits[row, -len(text) : -1].float()
            target = placed[row, -len(text) + 1 :, None]
            chosen = scores.gather(-1, target)
            rank = (scores > chosen).sum(-1, dtype=torch.int32)
            logprob = (chosen - scores.logsumexp(-1, keepdim=True)).squeeze(-1)
            measured.append((logprob.cpu(), rank.cpu()))
    return measured


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
    """Fills the cells of a log-probability experiment and writes one Parquet row for each token.

    Columns: the condition's coordinates, text_id, document, group, token_index (0 = BOS, never
    scored), token_id, logprob (natural), rank, modified (the prediction was made at a position
    that the condition changed directly, or in its prefix, so it is left out: the paper's mask),
    target (the token belongs to the text's target, or the text has none).
    """
    experiment = Experiment(spec, model_dir, vector_files, choice)
    texts = experiment.texts(texts_file)
    targets = texts["target"].fillna("").tolist()
    encoded = [
        experiment.encode(condition, texts["text"].tolist(), targets)
        for condition in experiment.conditions
    ]
    keys = [
        cell_key(
            **experiment.determinants("actadd.logprobs", condition),
            texts=digest(rows),
            prefix=experiment.prefix_length(condition),
            batch_rows=spec["batch_rows"],
        )
        for condition, rows in zip(experiment.conditions, encoded, strict=True)
    ]

    def compute(index: int) -> pa.Table:
        condition = experiment.conditions[index]
        return _cell(experiment, condition, encoded[index])

    labels = [condition.label for condition in experiment.conditions]
    tables = collect(CellStore(store), keys, labels, compute)
    table = experiment.assemble(keys, tables)
    place = table.pop("text").to_numpy()
    for name, column in (("text_id", "id"), ("document", "document"), ("group", "group")):
        before = table.columns.get_loc("token_index")
        table.insert(before, name, texts[column].to_numpy()[place])
    named = {token: experiment.tokens.token(token) for token in table["token_id"].unique()}
    table.insert(table.columns.get_loc("token_id") + 1, "token", table["token_id"].map(named))
    table = table.astype({"document": "string", "group": "string", "token": "category"})
    write_with(output, lambda path: table.to_parquet(path, index=False))
    return {"cells": len(keys), "weights": experiment.facts["weights"]}


def _cell(
    experiment: Experiment,
    condition: Condition,
    encoded: list[tuple[list[int], list[int]]],
) -> pa.Table:
    """One condition on all texts, in batches of texts of like length."""
    from actadd.batching import by_length

    model, additions = experiment.model(), experiment.additions(condition)
    # The whole vocabulary's logits of a batch are held at once, so its rows are kept few.
    rows = max(1, experiment.spec["batch_rows"] // 4)
    whole = [prompt + target for prompt, target in encoded]
    shift = experiment.prefix_length(condition)
    columns: dict[str, list] = {
        name: []
        for name in ("text", "token_index", "token_id", "logprob", "rank", "modified", "target")
    }
    measured: dict[int, tuple] = {}
    for batch in by_length([len(ids) for ids in whole], rows):
        # A vector is aligned in the prompt; the target that follows it is never part of that.
        results = token_logprobs(
            model,
            [whole[i] for i in batch],
            [additions] * len(batch),
            [len(encoded[i][0]) for i in batch],
        )
        measured.update(zip(batch, results, strict=True))
    for index, ids in enumerate(whole):
        prompt, target = encoded[index]
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
