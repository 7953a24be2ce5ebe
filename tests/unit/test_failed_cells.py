"""Cells that fail: how they are counted and chosen from."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from actadd.base.errors import CellError, UserError
from actadd.data import datasets
from actadd.measure.choice import choose
from actadd.measure.measurement import measure, shard_of
from actadd.store import failed_cells
from actadd.store.cells import CellStore, compute_missing
from actadd.vectors.vector_files import write_vector


def test_a_note_remains_until_nothing_fails(tmp_path):
    note = tmp_path / "logprobs/r.json"
    failed_cells.write(note, {})
    assert failed_cells.read(note) == {} and not note.exists()
    failed_cells.write(note, {"a": "why"})
    assert failed_cells.read(note) == {"a": "why"}
    message = failed_cells.message(tmp_path)
    assert message == "1 cells failed; the next run tries them again\nlogprobs/r: a: why"
    assert failed_cells.message(tmp_path, ["logprobs/other"]) == ""
    assert failed_cells.message(tmp_path, since=note.stat().st_mtime + 1) == ""
    # Damaged, it is one of a cell that is not known, so that the job is tried again.
    for content in ('{"failed": ', "{}", "[]", '{"failed": 1}'):
        note.write_text(content)
        assert failed_cells.read(note)
    failed_cells.write(note, {})
    assert failed_cells.message(tmp_path) == "" and not note.exists()


def test_a_shard_is_a_part_of_a_whole():
    assert shard_of(None) == (0, 1) and shard_of("2/5") == (2, 5) and shard_of("none") is None
    with pytest.raises(UserError, match="--shard 5/5"):
        shard_of("5/5")


def test_a_note_that_a_kill_left_beside_a_finished_cell_counts_for_nothing(tmp_path, monkeypatch):
    store, key = CellStore(tmp_path), "ab" * 32
    table = pa.table({"a": [1]})
    fill = compute_missing(store, [key], ["a"], lambda _: [(0, CellError("why"))])
    assert fill.failed == {0: "why"} and (fill.computed, fill.reused, fill.errors) == (0, 0, 1)
    with monkeypatch.context() as killed:
        killed.setattr(CellStore, "_failure_path", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.put(key, table)
    assert store.path(key).with_suffix(".failed.json").exists()
    fill = compute_missing(store, [key], ["a"], lambda _: 1 / 0)
    assert fill.reused == 1 and not fill.failed and store.failure(key) is None


def test_each_of_several_cells_that_go_by_one_label_is_counted(prepared, tmp_path):
    texts = {"name": "t", "title": "t", "texts": ["The bride went home"]}
    datasets.prepare(texts, None, tmp_path / "t.parquet")
    write_vector(tmp_path / "v/vector.safetensors", {1: np.ones((1, 32), np.float32)})
    addition = {"vector": "v", "layer": 1, "coefficient": 1e38, "position": "back"}
    spec = {
        **{"name": "e", "measure": "completions", "model": "tiny", "prompts": {"split": "all"}},
        **{"dtype": "float32", "compute": {"device": "cpu", "threads": 1}, "batch_rows": 2},
        **{"samples": 1, "max_new_tokens": 2, "sampling": {"temperature": 1}, "seed": 0},
        "conditions": {"a": {"method": "actadd", "seed": [0, 1], "additions": [addition]}},
    }
    facts = measure(
        spec,
        model_dir=prepared,
        texts_file=tmp_path / "t.parquet",
        vector_files={"v": tmp_path / "v/vector.safetensors"},
        choice=None,
        store=tmp_path / "store",
        output=None,
    )
    assert len(facts["failed"]) == 2


RULE = {"experiment": "sweep", "condition": "a", "metric": "words.any", "direction": "max"}


def chosen(tmp_path, rows: list[tuple], **rule) -> dict:
    """rows: (condition, coefficient, group, mean); those without a mean failed."""
    table = pd.DataFrame(rows, columns=["condition", "coefficient", "group", "mean"])
    table = table.assign(metric="words.any", layer=1, source_layer=1)
    table["method"] = table["condition"].replace("a", "actadd")
    table["failed"] = table["mean"].isna().map({True: "the logits", False: None}).astype("string")
    table.to_parquet(tmp_path / "sweep.parquet")
    spec = {"name": "e", "choices": {"best": {**RULE, **rule}}}
    sources = {"sweep": tmp_path / "sweep.parquet"}
    return choose(spec, summaries=sources, output=tmp_path / "choice.json")


def test_a_choice_is_made_over_all_prompts_and_not_over_groups(tmp_path):
    rows = [("a", 1, "all", 0.5), ("a", 1, "few", 0.1), ("a", 2, "all", 0.4), ("a", 2, "few", 0.9)]
    assert chosen(tmp_path, rows) == {"best": [1, 1.0]}


def test_what_cannot_be_chosen_as_cells_failed_is_reported(tmp_path):
    lost = [("a", 1, "all", None), ("unsteered", None, "all", 0.1)]
    with pytest.raises(UserError, match=r"choices\.best: no setting .*cells failed: the logits"):
        chosen(tmp_path, lost)
    lost = [("a", 1, "all", 0.1), ("unsteered", None, "all", None)]
    cap = {"metric": "words.any", "factor": 2}
    with pytest.raises(UserError, match=r"best\.cap: the unsteered cell .*failed: the logits"):
        chosen(tmp_path, lost, cap=cap)
