"""Faults on purpose: damage, full and read-only disks, kills. Nothing finished is lost, none lies.

Programs are run in this process with the arguments that the workflow gave them, which is as real
and much faster than another run; what Snakemake makes of it is tested with the real workflow.
"""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actadd.base.errors import UserError
from actadd.base.files import read_json, write_json
from actadd.store.cells import CellStore
from actadd.store.provenance import record_text
from builders import tiny


def flip(path: Path, position: float = 0.5) -> None:
    """One bit of a file, links followed, becomes another."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * position)] ^= 0x10
    path.write_bytes(bytes(content))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE = {"flipped": flip, "truncated": truncate, "emptied": empty}


PLACE = "results/summaries/tiny/ratio.parquet"
# The program that computes the log-probabilities.
RATIO = ("cells", "logprobs/tiny/ratio.parquet")
# What is damaged, and the program that reads it.
READ = {
    "activations/tiny/calm/layer_01.safetensors": ("vectors", "/calm/"),
    "vectors/tiny/calm/vector.safetensors": RATIO,
    "datasets/texts.parquet": RATIO,
    "choices/tiny/chosen.json": ("cells", "completions/tiny/chosen", "0/2"),
    "completions/tiny/sweep.parquet": ("scores", "/sweep/"),
    "scores/tiny/chosen/words.parquet": ("summary", "/chosen."),
    "summaries/tiny/sweep.parquet": ("figure", "/sweep."),
    "logprobs/tiny/ratio.parquet": ("summary", "/ratio."),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_by_its_reader_and_what_is_ours_is_removed(run_program, space, kind):
    for name, reader in READ.items():
        path = space.folder / "results" / name
        kept = {path: path.read_bytes(), **{p: p.read_bytes() for p in records_of(path)}}
        DAMAGE[kind](path)
        output = run_program(*reader)
        assert f"results/{name} is damaged (sha256 " in output and "run again" in output, name
        assert not any(gone.exists() for gone in kept), name
        for gone, content in kept.items():
            gone.write_bytes(content)


def own_links(space) -> None:
    """The links of a copied workspace lead into the copy, not into what it was copied from."""
    for path in (space.folder / "results").rglob("*"):
        if path.is_symlink():
            target = space.folder / "tiny-model" / path.name
            path.unlink()
            path.symlink_to(target)


def records_of(path: Path) -> list[Path]:
    beside = (path.with_name(f"{path.stem}.provenance.json"), path.parent / "provenance.json")
    return [record for record in beside if record.exists()]


@pytest.mark.workflow
def test_damage_in_a_folder_removes_all_of_it(run_program, space):
    space.run("results/validation/mood.json")
    folder = space.folder / "results/scorers/mood"
    truncate(folder / "vocabulary.json")
    output = run_program("validation")
    assert "scorers/mood/vocabulary.json is damaged" in output
    assert not folder.exists() and not folder.with_name("mood.provenance.json").exists()


@pytest.mark.parametrize(
    ("reader", "kind"), [(("model",), "flipped"), (RATIO, "truncated"), (RATIO, "gone")]
)
def test_a_users_own_file_is_named_and_never_removed(run_program, space, reader, kind):
    own_links(space)
    weights = space.folder / "tiny-model/model.safetensors"
    DAMAGE.get(kind, Path.unlink)(weights)
    left = weights.read_bytes() if weights.exists() else None
    output = run_program(*reader)
    assert f"{weights}, your own file" in output and "run again" in output
    assert (weights.read_bytes() if weights.exists() else None) == left
    assert (space.folder / "results/models/tiny/model.safetensors").is_symlink()
    assert (space.folder / "results/sources/tiny.provenance.json").exists()


def test_a_damaged_download_behind_a_model_is_removed_with_it(run_program, space):
    """As with a source from the hub: the model's folder links into the source's, which is ours."""
    source, model = (space.folder / "results" / name for name in ("sources/tiny", "models/tiny"))
    for folder, target in ((source, None), (model, source)):
        for path in [path for path in folder.iterdir() if path.is_symlink()]:
            content = path.read_bytes()
            path.unlink()
            if target:
                path.symlink_to(target / path.name)
            else:
                path.write_bytes(content)
    flip(source / "model.safetensors")
    assert "models/tiny/model.safetensors is damaged" in run_program(*RATIO)
    for folder in (source, model):
        assert not folder.exists()
        assert not folder.with_name(f"{folder.name}.provenance.json").exists()
    assert (space.folder / "tiny-model/model.safetensors").exists()


def test_a_record_that_is_damaged_is_named(run_program, space):
    record = space.folder / "results/summaries/tiny/sweep.provenance.json"
    truncate(record)
    assert "sweep.provenance.json is damaged" in run_program("figure", "/sweep.")
    assert not record.exists() and not record.with_name("sweep.parquet").exists()
    record = space.folder / "results/summaries/tiny/ratio.provenance.json"
    record.write_text(record_text({**read_json(record), "outputs": {}}))
    assert f"ratio.provenance.json does not list {PLACE}" in run_program("figure", "/ratio.")
    assert not record.exists() and not (space.folder / PLACE).exists()


@pytest.mark.parametrize("display", ["figure", "table"])
def test_figures_and_tables_refuse_what_another_job_made(run_program, space, display):
    record = space.folder / "results/summaries/tiny/sweep.provenance.json"
    content = read_json(record)
    record.write_text(record_text({**content, "job": "0" * 16}))
    if display == "table":
        # The tiny config has no table; what is refused, and when, is the same.
        swapped = {"--png": "--page", "--svg": "--latex"}
        for path in (space.folder / "imports").glob("*.json"):
            call = read_json(path)
            if call["program"] == "programs.figure":
                call["program"] = "programs.table"
                arguments = [swapped.get(each, each) for each in call["arguments"]]
                for format in ("--captioned", "--pdf"):
                    at = arguments.index(format)
                    arguments = arguments[:at] + arguments[at + 2 :]
                call["arguments"] = arguments
                write_json(path, call)
    output = run_program(display, "/sweep.")
    assert "made from another config or code (job 0000000000000000); delete it" in output


def test_any_bit_of_a_cell_that_is_another_is_noticed(tmp_path, capsys):
    """Also in Parquet's footer, which its own checksums leave out."""
    table = pa.Table.from_pandas(pd.DataFrame({"text": ["a", None, "c"], "value": [1.5, 2, None]}))
    store, key = CellStore(tmp_path), "ab" * 32
    store.put(key, table)
    content = store.path(key).read_bytes()
    assert store.get(key).equals(table, check_metadata=True)
    assert pq.read_table(store.path(key)).equals(table), "others read it as any Parquet file"
    for index in range(len(content)):
        damaged = bytearray(content)
        damaged[index] ^= 1 << index % 8
        store.path(key).write_bytes(bytes(damaged))
        assert store.get(key) is None and not store.path(key).exists(), index
    for length in range(0, len(content), 7):
        store.path(key).write_bytes(content[:length])
        assert store.get(key) is None, length
    assert "is damaged; it is computed again" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["flipped", "truncated", "gone"])
def test_cells_that_are_gone_are_filled_again_by_their_shard(run_program, space, kind):
    """What gathers computes nothing: it names them, and removes the record of the shard."""
    table = space.folder / "results/completions/tiny/chosen.parquet"
    expected, records = table.read_bytes(), table.with_suffix("")
    keys = pd.read_parquet(table)["cell"].unique()
    for number in range(2):
        (cell,) = (space.folder / "results/store").glob(f"*/{keys[number]}*.parquet")
        DAMAGE.get(kind, Path.unlink)(cell)
        output = run_program("cells", "completions/tiny/chosen", "none")
        assert "1 of 3 cells are gone from results/store" in output and "run again" in output
        left = {path.name for path in records.iterdir()}
        assert left == {f"shard_{1 - number}_of_2.provenance.json"}
        assert run_program("cells", "completions/tiny/chosen", f"{number}/2") == ""
        assert run_program("cells", "completions/tiny/chosen", "none") == ""
        assert table.read_bytes() == expected


def test_a_result_without_a_record_is_not_read(tmp_path, monkeypatch):
    """But the record of a shard is one itself."""
    from actadd.store.provenance import check_fresh

    monkeypatch.chdir(tmp_path)
    table, shard = (
        Path("results/datasets/x.parquet"),
        Path("results/x/shard_0_of_2.provenance.json"),
    )
    for path in (table, shard):
        path.parent.mkdir(parents=True)
        path.write_text("?")
    for foreign in (None, {"made by": "me"}, ["a list"]):
        if foreign:
            write_json(Path("results/datasets/provenance.json"), foreign)
        with pytest.raises(UserError, match=r"results/datasets/x\.parquet: no record.*delete it"):
            check_fresh(table, set())
    check_fresh(shard, set())


def test_records_name_weights_device_and_dtype_wherever_a_model_computes(finished):
    results = finished.folder / "results"
    weights = read_json(results / "models/tiny/model.json")["weights"]
    for name in (
        "activations/tiny/calm/provenance",
        "completions/tiny/sweep.provenance",
        "completions/tiny/chosen/shard_0_of_2.provenance",
        "logprobs/tiny/ratio.provenance",
    ):
        record = read_json(results / f"{name}.json")
        assert record["facts"]["weights"] == weights
        assert record["spec"]["compute"]["device"] == "cpu" and record["spec"]["dtype"]


def test_records_hold_the_sum_of_every_file_of_the_results(finished):
    from actadd.base.files import sha256_file

    results = finished.folder / "results"
    summed = {
        record.parent / name: expected
        for record in results.rglob("*provenance.json")
        for name, expected in read_json(record)["outputs"].items()
    }
    files = {
        path
        for path in results.rglob("*")
        if path.is_file()
        and not tiny.BESIDE & set(path.parts)
        and not path.name.endswith(("provenance.json", ".snakemake_timestamp"))
    }
    assert set(summed) == files
    assert all(sha256_file(path) == expected for path, expected in summed.items())


@pytest.mark.workflow
def test_a_run_that_ends_with_an_error_says_what_it_did(space):
    (space.folder / "texts.csv").write_text("no such column\n")
    targets = ("results/datasets/texts.parquet", "results/tables/scorer_card.csv")
    printed = space.run("--keep-going", "--forcerun", "scorer_card", "--", *targets, fails=True)
    assert re.search(r"^time of jobs, added up by stage: scorer_card", printed, re.MULTILINE)
    assert "tables: 1 in results/tables/" in printed


@pytest.mark.workflow
def test_what_was_damaged_is_made_again_with_the_same_bytes(space):
    """By the real workflow, which compares each output with what its record says of it."""
    results, before = space.folder / "results", space.outputs()
    cells = {path: path.stat().st_mtime_ns for path in (results / "store").rglob("*.parquet")}
    flip(results / "vectors/tiny/calm/vector.safetensors")
    truncate(results / "summaries/tiny/sweep.parquet")
    printed = space.run()
    assert "vectors/tiny/calm is outdated" in printed
    assert "summary/tiny/sweep is outdated" in printed
    assert space.outputs() == before
    stored = (results / "store").rglob("*.parquet")
    assert {path: path.stat().st_mtime_ns for path in stored} == cells, "no cell is computed"
    assert space.planned() == {}
