"""Scores of an experiment's completions, and how well each scorer agrees with people."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from actadd.base.errors import CellError
from actadd.base.files import (
    digest,
    read_cells,
    read_json,
    write_frames,
    write_json,
)
from actadd.base.kinds import build
from actadd.data import datasets
from actadd.scorers.kinds import SCORERS, Validation, metrics
from actadd.store.cells import CellResult, CellStore, cell_key, check_complete, compute_missing
from actadd.store.sums import sha256


def _inputs_digest(inputs: Path | None) -> str | None:
    """Digest of the files that a scorer reads, for the keys of its cells."""
    if inputs is None:
        return None
    record = inputs / "model.json"
    if record.exists():
        return str(read_json(record)["identity"])
    files = sorted(path for path in inputs.rglob("*") if path.is_file())
    return digest({path.relative_to(inputs).as_posix(): sha256(path) for path in files})


# Columns of a table of completions that are scored.
TEXTS = ("prompt", "completion", "failed")


def keyed(
    entry: dict[str, Any], completions: Path, inputs: Path | None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each cell of completions, with the key under which a scorer's scores of it are stored.

    entry: the scorer's config entry. inputs: what it reads besides.
    """
    kind = SCORERS[entry["kind"]]
    read = _inputs_digest(inputs)
    # The name of a model or source is left out too: its content is in the key.
    labels = {"name", "answers", kind.reads, *kind.options.LABELS}
    determinant = {name: value for name, value in entry.items() if name not in labels}
    for group in read_cells(completions, ["condition", "cell", *TEXTS]):
        texts = group[["prompt", "completion"]].fillna("").to_numpy().tolist()
        key = cell_key(
            (kind.module,),
            (),
            entry.get("compute"),
            scorer=determinant,
            inputs=read,
            texts=digest(texts),
        )
        yield key, group


def with_answers(spec: dict[str, Any], folder: str | None) -> dict[str, Any]:
    """A job's spec whose scorer keeps a server's answers in a folder."""
    return {**spec, "scorer": {**spec["scorer"], "answers": folder}} if folder else spec


def score_completions(
    spec: dict[str, Any],
    *,
    completions: Path,
    inputs: Path | None,
    store: Path,
    output: Path | None,
    shard: tuple[int, int] | None = (0, 1),
    shards: Sequence[Path] = (),
    note: str | None = None,
) -> dict[str, Any]:
    """Score every completion with one scorer, cell by cell, and write one Parquet table.

    spec: {scorer: its config entry}. shard, shards, output, note: as for `measurement.measure`.
    Rows are those of `completions`, in order: condition, cell, prompt_id, sample, the scorer's
    metrics, and `failed`: why there are none, be it the completions' fault or the scorer's.
    Returns facts; `failed` among them holds the cells that this scorer failed on, and `gaps` says
    of others how many texts have no score, and why.
    """
    rows = ["condition", "cell", "prompt_id", "sample"]
    columns = [*rows, *TEXTS]
    entry = spec["scorer"]
    keys, names, sizes, failures = [], [], [], {}
    for index, (key, group) in enumerate(keyed(entry, completions, inputs)):
        keys.append(key)
        sizes.append(len(group))
        names.append(f"{group['condition'].iloc[0]} {group['cell'].iloc[0]}")
        if pd.notna(group["failed"].iloc[0]):
            failures[index] = str(group["failed"].iloc[0])

    def compute(indexes: list[int]) -> Iterator[CellResult]:
        chosen = set(indexes)
        for index, group in enumerate(read_cells(completions, columns)):
            if index in chosen:
                try:
                    scored = SCORERS[entry["kind"]].score(group, entry, inputs)
                    yield index, pa.Table.from_pandas(scored, preserve_index=False)
                except CellError as error:
                    yield index, error

    cell_store = CellStore(store)
    complete = [index for index in range(len(keys)) if index not in failures]
    if shard is not None:
        first, count = shard
        fill = compute_missing(cell_store, keys, names, compute, complete[first::count])
        fill.note(note, {"completions": sum(sizes[index] for index in fill.tried)})
        failed = fill.failed
    else:
        check_complete(cell_store, [keys[index] for index in complete], shards)
        failed = {i: why for i in complete if (why := cell_store.failure(keys[i]))}

    gaps: dict[str, dict[str, int]] = {}

    def frames() -> Iterator[pd.DataFrame]:
        for index, group in enumerate(read_cells(completions, rows)):
            reason = failures.get(index) or cell_store.failure(keys[index])
            if reason:
                scored = pd.DataFrame(np.nan, group.index, list(metrics(entry)))
            else:
                scored = cell_store.require(keys[index]).to_pandas()
                if missing := scored.attrs.pop("gaps", None):
                    gaps[names[index]] = missing
            yield pd.concat([group, scored], axis=1).assign(
                failed=pd.Series(reason, group.index, dtype="string")
            )

    facts: dict[str, Any] = {"failed": {names[index]: reason for index, reason in failed.items()}}
    if output is not None:
        facts["rows"] = write_frames(output, frames(), {"failed": pa.string()})
        facts |= {"gaps": gaps} if gaps else {}
    return facts


def validate(
    spec: dict[str, Any], *, texts_file: Path, inputs: Path | None, output: Path
) -> dict[str, Any]:
    """Compare a scorer with human labels on a held-out split and write the figures as JSON.

    spec: {scorer}, whose `validate` names dataset, split, metric and the label's threshold.
    accuracy cuts the metric at its own middle (`cut`), auc and spearman need no cut; all three are
    given over all texts and for each group of them.
    """
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    entry = spec["scorer"]
    check = build(Validation, entry["validate"])
    texts = datasets.read(texts_file, check.split, f"scorers.{entry['name']}.validate.split")
    if check.limit:
        texts = texts.head(check.limit)
    table = pd.DataFrame({"prompt": "", "completion": texts["text"]})
    metric = SCORERS[entry["kind"]].score(table, entry, inputs)[check.metric]

    def figures(rows: np.ndarray) -> dict[str, Any]:
        label, value = texts["label"].to_numpy()[rows], metric.to_numpy()[rows]
        positive = label > check.threshold
        both = positive.any() and not positive.all()
        varied = len(set(label)) > 1 and len(set(value)) > 1
        return {
            "n": int(rows.sum()),
            "accuracy": float(((value > check.cut) == positive).mean()),
            "auc": float(roc_auc_score(positive, value)) if both else None,
            "spearman": float(spearmanr(label, value).statistic) if varied else None,
        }

    # A judge may have no answer for a text.
    scored = metric.notna().to_numpy()
    results = {"all": figures(scored)}
    for group in sorted(texts["group"].dropna().unique()):
        results[str(group)] = figures((texts["group"] == group).to_numpy() & scored)
    write_json(output, results)
    return {"rows": len(texts)}
