"""A cell whose numbers are none fails alone: marked everywhere, averaged nowhere, tried again."""

import copy

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tiny
from actadd.base.errors import CellError, UserError
from actadd.data import datasets
from actadd.measure.choice import choose
from actadd.measure.measurement import measure, shard_of
from actadd.store import failed_cells
from actadd.store.cells import CellStore, fill
from actadd.vectors.derivation import write_vector

# Overflows in float16.
HUGE = 1e9


def huge(settings: dict, experiments=("sweep", "ratio", "moved")) -> dict:
    """The tiny config with a divergence experiment, and a coefficient that overflows in each."""
    settings["models"]["tiny"]["dtype"] = "float16"
    moved = copy.deepcopy(settings["experiments"]["ratio"])
    settings["experiments"]["moved"] = {**moved, "title": "moved", "measure": "divergence"}
    for name in experiments:
        [addition] = settings["experiments"][name]["conditions"]["actadd"]["additions"]
        settings["experiments"][name]["conditions"]["actadd"] = {
            "method": "actadd",
            "additions": [{**addition, "layer": 1, "coefficient": [1, HUGE]}],
        }
    return settings


@pytest.fixture(scope="module")
def failed(tmp_path_factory, tiny_model):
    """A workspace whose run had failed cells, and what it printed."""
    settings = huge(tiny.config())
    settings["experiments"]["sweep"]["scorers"] = ["distinct", "fluency"]
    folder = tmp_path_factory.mktemp("failed") / "space"
    space = tiny.Workspace.create(folder, tiny_model, settings)
    return space, space.run("--keep-going", fails=True)


@pytest.mark.workflow
def test_the_run_ends_with_an_error_that_names_the_cells(failed):
    space, printed = failed
    assert "3 cells failed; the next run tries them again" in printed
    for place in ("completions/tiny/sweep", "logprobs/tiny/ratio", "divergence/tiny/moved"):
        assert f"{place}: actadd (" in printed
        assert "cells: 2 computed, 0 reused, 1 failed" in space.log(place)
    assert "cells: " in printed and " reused, 3 failed\n" in printed
    assert "Traceback" not in printed
    # Everything else was made all the same.
    assert (space.folder / "results/figures/sweep.png").exists()
    assert (space.folder / "results/summaries/tiny/chosen.parquet").exists()


@pytest.mark.workflow
@pytest.mark.parametrize("experiment", ["sweep", "ratio", "moved"])
def test_summaries_mark_it_and_average_nothing(failed, experiment):
    table = pd.read_parquet(failed[0].folder / f"results/summaries/tiny/{experiment}.parquet")
    broken = table["coefficient"] == HUGE
    others = table[(table["coefficient"] == 1) & (table["layer"] == 1)]
    assert broken.any() and table.loc[broken, "mean"].isna().all()
    assert (table.loc[broken, "n_prompts"] == 0).all()
    assert table.loc[broken, "failed"].str.contains("not numbers").all()
    assert table.loc[~broken, "failed"].isna().all() and others["mean"].notna().any()
    assert set(table[broken]["metric"]) == set(others["metric"])
    assert set(table[broken]["group"]) == set(others["group"])


@pytest.mark.workflow
def test_scores_skip_it(failed):
    for scorer in ("distinct", "fluency"):
        path = failed[0].folder / f"results/scores/tiny/sweep/{scorer}.parquet"
        scores = pd.read_parquet(path)
        broken = scores["failed"].notna()
        assert broken.sum() == 4
        metrics = scores.columns.drop(["condition", "cell", "prompt_id", "sample", "failed"])
        assert scores.loc[broken, metrics].isna().all(axis=None)


@pytest.mark.workflow
def test_the_next_run_tries_it_again_and_the_run_after_success_has_nothing_to_do(failed, tmp_path):
    space = failed[0].copy(tmp_path / "space")
    planned = space.planned()
    assert {"completions", "logprobs", "divergence"} <= planned.keys()
    assert "model" not in planned and "activations_tiny" not in planned
    space.run("--keep-going", "--", "results/logprobs/tiny/ratio.parquet", fails=True)
    assert "cells: 0 computed, 2 reused, 1 failed" in space.log("logprobs/tiny/ratio")
    assert space.planned("--", "results/logprobs/tiny/ratio.parquet") == {"logprobs": 1}

    # What passes by itself, as a fault of a device does: the third attempt succeeds.
    assert failed_cells.noted(space.folder / "results/failures/logprobs/tiny/ratio.json")
    settings = huge(tiny.config(), experiments=("sweep", "moved"))
    space.configure(settings)
    space.run("--", "results/logprobs/tiny/ratio.parquet")
    assert space.planned("--", "results/logprobs/tiny/ratio.parquet") == {}


@pytest.mark.workflow
def test_shards_give_the_bytes_of_one_job(finished, tmp_path, tiny_model):
    """Completions, log-probabilities, divergence and a model's scores, with a cell that fails."""

    def outputs(shards: int) -> dict[str, bytes]:
        settings = huge(tiny.config(), experiments=("ratio", "moved"))
        for name in ("sweep", "ratio", "moved"):
            settings["experiments"][name]["shards"] = shards
        settings["experiments"]["sweep"]["scorers"] = ["distinct", "fluency"]
        del settings["experiments"]["chosen"]
        space = tiny.Workspace.create(tmp_path / f"in-{shards}", tiny_model, settings)
        printed = space.run("--keep-going", fails=True)
        assert "2 cells failed" in printed
        if shards > 1:
            assert "cells: 2 computed, 0 reused" in space.log("completions/tiny/sweep_0_of_3")
            log = space.log("scores/tiny/sweep/fluency_0_of_3")
            assert "cells: 2 computed, 0 reused" in log
        return {
            name: content
            for name, content in space.outputs().items()
            if "_of_" not in name and "failures" not in name
        }

    together, apart = outputs(1), outputs(3)
    # What only figures' records would say of each other is left out: these name the same digests.
    assert together.keys() == apart.keys()
    assert [name for name in together if together[name] != apart[name]] == []


def test_a_note_stands_as_long_as_something_fails(tmp_path):
    note = tmp_path / "logprobs/r.json"
    failed_cells.note(note, {})
    assert failed_cells.noted(note) == {} and not note.exists()
    failed_cells.note(note, {"a": "why"})
    assert failed_cells.noted(note) == {"a": "why"}
    said = failed_cells.message(tmp_path)
    assert said == "1 cells failed; the next run tries them again\nlogprobs/r: a: why"
    assert failed_cells.message(tmp_path, ["logprobs/other"]) == ""
    assert failed_cells.message(tmp_path, since=note.stat().st_mtime + 1) == ""
    # Damaged, it is one of a cell that is not known, so that the job is tried again.
    for content in ('{"failed": ', "{}", "[]", '{"failed": 1}'):
        note.write_text(content)
        assert failed_cells.noted(note)
    failed_cells.note(note, {})
    assert failed_cells.message(tmp_path) == "" and not note.exists()


def test_a_shard_is_a_part_of_a_whole():
    assert shard_of(None) == (0, 1) and shard_of("2/5") == (2, 5) and shard_of("none") is None
    with pytest.raises(UserError, match="--shard 5/5"):
        shard_of("5/5")


def test_a_note_that_a_kill_left_beside_a_finished_cell_counts_for_nothing(tmp_path, monkeypatch):
    store, key = CellStore(tmp_path), "ab" * 32
    table = pa.table({"a": [1]})
    assert fill(store, [key], ["a"], lambda _: [(0, CellError("why"))]) == {0: "why"}
    with monkeypatch.context() as killed:
        killed.setattr(CellStore, "_failure_path", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.put(key, table)
    assert store.path(key).with_suffix(".failed.json").exists()
    assert fill(store, [key], ["a"], lambda _: 1 / 0) == {} and store.failure(key) is None


def test_each_of_several_cells_that_go_by_one_label_is_counted(prepared, tmp_path):
    texts = {"name": "t", "title": "t", "texts": ["The bride went home"]}
    datasets.prepare(texts, None, tmp_path / "t.parquet")
    write_vector(tmp_path / "v/layer_01.safetensors", np.ones((1, 32), np.float32), layer=1)
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
        vector_files=[tmp_path / "v/layer_01.safetensors"],
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


def test_what_cannot_be_chosen_as_cells_failed_is_said(tmp_path):
    lost = [("a", 1, "all", None), ("unsteered", None, "all", 0.1)]
    with pytest.raises(UserError, match=r"choices\.best: no setting .*cells failed: the logits"):
        chosen(tmp_path, lost)
    lost = [("a", 1, "all", 0.1), ("unsteered", None, "all", None)]
    cap = {"metric": "words.any", "factor": 2}
    with pytest.raises(UserError, match=r"best\.cap: the unsteered cell .*failed: the logits"):
        chosen(tmp_path, lost, cap=cap)
