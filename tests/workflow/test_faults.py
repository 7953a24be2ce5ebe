"""Faults on purpose: damage, full and read-only disks, kills. Nothing finished is lost, none lies.

Programs are run in this process with the arguments that the workflow gave them, which is as real
and much faster than another run; what Snakemake makes of it is tested with the real workflow.
"""

import contextlib
import copy
import os
import random
import re
import resource
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actadd.base.errors import UserError
from actadd.base.files import ABANDONED_SECONDS, read_json, whole_file, whole_folder, write_json
from actadd.store.cells import CellStore
from actadd.store.provenance import sealed
from builders import tiny

HERE = socket.gethostname().replace(".", "-")
# Long enough to be killed in the middle: five cells of 80 completions each.
LONGER = {
    "figures": {},
    "experiments": {
        "sweep": {
            **tiny.CONFIG["experiments"]["sweep"],
            "samples": 40,
            "max_new_tokens": 90,
            "scorers": [],
        }
    },
}
CELLS = 5


def arguments_of(space, program: str, *parts: str) -> list[str]:
    """The arguments with which the workflow last ran a program; `parts` are in them."""
    result = [read_json(path) for path in (space.folder / "imports").glob("*.json")]
    (chosen,) = {
        tuple(record["arguments"])
        for record in result
        if record["program"] == f"programs.{program}"
        and all(any(part in given for given in record["arguments"]) for part in parts)
    }
    return list(chosen)


@pytest.fixture
def run(space, monkeypatch, capsys):
    """Runs a program again in this process; returns what it said, or "" if it ended well."""

    def again(program: str, *parts: str) -> str:
        arguments = arguments_of(space, program, *parts)
        monkeypatch.chdir(space.folder)
        monkeypatch.setattr(sys, "argv", [f"{program}.py", *arguments])
        try:
            runpy.run_module(f"programs.{program}", run_name="__main__")
        except SystemExit as ended:
            output = str(ended.code)
            assert output.startswith("error: ") and len(output.splitlines()) <= 5
            return output
        finally:
            capsys.readouterr()
        return ""

    return again


def flip(path: Path, place: float = 0.5) -> None:
    """One bit of a file, links followed, becomes another."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 0x10
    path.write_bytes(bytes(content))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE = {"flipped": flip, "truncated": truncate, "emptied": empty}


# --- damage ------------------------------------------------------------------------------------

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
    "validation/mood.json": ("scorer_card",),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_by_whoever_reads_it_and_what_is_ours_is_removed(run, space, kind):
    for name, reader in READ.items():
        path = space.folder / "results" / name
        kept = {path: path.read_bytes(), **{p: p.read_bytes() for p in records_of(path)}}
        DAMAGE[kind](path)
        output = run(*reader)
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


def test_damage_in_a_folder_removes_all_of_it(run, space):
    folder = space.folder / "results/scorers/mood"
    truncate(folder / "vocabulary.json")
    output = run("validation")
    assert "scorers/mood/vocabulary.json is damaged" in output
    assert not folder.exists() and not folder.with_name("mood.provenance.json").exists()


@pytest.mark.parametrize(
    ("reader", "kind"), [(("model",), "flipped"), (RATIO, "truncated"), (RATIO, "gone")]
)
def test_a_users_own_file_is_named_and_never_removed(run, space, reader, kind):
    own_links(space)
    weights = space.folder / "tiny-model/model.safetensors"
    DAMAGE.get(kind, Path.unlink)(weights)
    left = weights.read_bytes() if weights.exists() else None
    output = run(*reader)
    assert f"{weights}, your own file" in output and "touch" in output
    assert (weights.read_bytes() if weights.exists() else None) == left
    assert (space.folder / "results/models/tiny/model.safetensors").is_symlink()
    assert (space.folder / "results/sources/tiny.provenance.json").exists()


def test_a_damaged_download_behind_a_model_is_removed_with_it(run, space):
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
    assert "models/tiny/model.safetensors is damaged" in run(*RATIO)
    for folder in (source, model):
        assert not folder.exists()
        assert not folder.with_name(f"{folder.name}.provenance.json").exists()
    assert (space.folder / "tiny-model/model.safetensors").exists()


def test_a_record_that_is_damaged_is_named(run, space):
    record = space.folder / "results/summaries/tiny/sweep.provenance.json"
    truncate(record)
    assert "sweep.provenance.json is damaged" in run("figure", "/sweep.")
    assert not record.exists() and not record.with_name("sweep.parquet").exists()
    record = space.folder / "results/summaries/tiny/ratio.provenance.json"
    record.write_text(sealed({**read_json(record), "outputs": {}}))
    assert f"ratio.provenance.json says nothing of {PLACE}" in run("figure", "/ratio.")
    assert not record.exists() and not (space.folder / PLACE).exists()


@pytest.mark.parametrize("display", ["figure", "table"])
def test_figures_and_tables_refuse_what_another_job_made(run, space, display):
    record = space.folder / "results/summaries/tiny/sweep.provenance.json"
    content = read_json(record)
    record.write_text(sealed({**content, "job": "0" * 16}))
    if display == "table":
        # The tiny config has no table; what is refused, and when, is the same.
        given = {"--png": "--csv", "--svg": "--markdown", "--pdf": "--latex"}
        for path in (space.folder / "imports").glob("*.json"):
            call = read_json(path)
            if call["program"] == "programs.figure":
                call["program"] = "programs.table"
                call["arguments"] = [given.get(each, each) for each in call["arguments"]]
                call["arguments"] += ["--page", "p.html"]
                write_json(path, call)
    output = run(display, "/sweep.")
    assert "made from another config or code (job 0000000000000000); delete it and run" in output


def test_any_bit_of_a_cell_that_is_another_is_noticed(tmp_path, capsys):
    """Also in Parquet's footer, which its own checksums leave out."""
    table = pa.Table.from_pandas(pd.DataFrame({"text": ["a", None, "c"], "value": [1.5, 2, None]}))
    store, key = CellStore(tmp_path), "ab" * 32
    store.put(key, table)
    content = store.path(key).read_bytes()
    assert store.get(key).equals(table, check_metadata=True)
    assert pq.read_table(store.path(key)).equals(table), "others read it as any Parquet file"
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        store.path(key).write_bytes(bytes(damaged))
        assert store.get(key) is None and not store.path(key).exists(), place
    for length in range(0, len(content), 7):
        store.path(key).write_bytes(content[:length])
        assert store.get(key) is None, length
    assert "is damaged; it is computed again" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["flipped", "truncated", "gone"])
def test_cells_that_are_gone_are_filled_again_by_their_shard(run, space, kind):
    """What gathers computes nothing: it names them, and removes the record of the shard."""
    table = space.folder / "results/completions/tiny/chosen.parquet"
    expected, records = table.read_bytes(), table.with_suffix("")
    keys = pd.read_parquet(table)["cell"].unique()
    for number in range(2):
        (cell,) = (space.folder / "results/store").glob(f"*/{keys[number]}*.parquet")
        DAMAGE.get(kind, Path.unlink)(cell)
        output = run("cells", "completions/tiny/chosen", "none")
        assert "1 of 3 cells are gone from results/store" in output and "run again" in output
        left = {path.name for path in records.iterdir()}
        assert left == {f"shard_{1 - number}_of_2.provenance.json"}
        assert run("cells", "completions/tiny/chosen", f"{number}/2") == ""
        assert run("cells", "completions/tiny/chosen", "none") == ""
        assert table.read_bytes() == expected


def test_a_file_beside_somebody_elses_record_is_the_users_own(tmp_path):
    from actadd.store.provenance import check_fresh

    (tmp_path / "texts.csv").write_text("text")
    for foreign in ({"made by": "me"}, ["a list"]):
        write_json(tmp_path / "provenance.json", foreign)
        check_fresh(tmp_path / "texts.csv", set())


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
        and not {"logs", "store"} & set(path.parts)
        and not path.name.endswith(("provenance.json", ".snakemake_timestamp"))
    }
    assert set(summed) == files
    assert all(sha256_file(path) == expected for path, expected in summed.items())


@pytest.mark.workflow
def test_a_run_that_ends_with_an_error_says_what_it_did(space):
    flip(space.folder / "results/vectors/tiny/calm/vector.safetensors")
    targets = ("results/logprobs/tiny/ratio.parquet", "results/tables/scorer_card.csv")
    forced = ("--forcerun", "logprobs", "scorer_card", "--")
    printed = space.run("--keep-going", *forced, *targets, fails=True)
    assert re.search(r"^time of jobs, added up by stage: scorer_card", printed, re.MULTILINE)
    assert "tables: 1 in results/tables/" in printed


@pytest.mark.workflow
def test_what_was_damaged_is_made_again_with_the_same_bytes(space):
    """By the real workflow: the run that notices ends with a message, the next one mends it."""
    results, before = space.folder / "results", space.outputs()
    flip(results / "vectors/tiny/calm/vector.safetensors")
    truncate(results / "summaries/tiny/sweep.parquet")
    printed = space.run("--keep-going", "--forcerun", "logprobs", "choice", fails=True)
    assert "is damaged" in space.log("logprobs/tiny/ratio")
    assert "is damaged" in space.log("choice/tiny/chosen")
    assert "Traceback" not in printed
    # The chosen setting comes from the summary, so what follows from it is made again too.
    assert space.planned() == {
        "vectors_tiny": 1,
        "logprobs": 1,
        "summary": 3,
        "figure": 2,
        "choice": 1,
        "completions_shard": 2,
        "completions_gather": 1,
        "scores": 1,
    }
    space.run()
    assert space.outputs() == before
    assert "cells: 0 computed" in space.log("logprobs/tiny/ratio")
    assert "cells: 0 computed" in space.log("completions/tiny/chosen_0_of_2")


# --- disks -------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int):
    """A disk of a few kilobytes at `folder`, which then holds what it held before."""
    content = {path.name: path for path in folder.iterdir()}
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        if done.returncode:
            pytest.skip(f"mounting a disk needs root: {done.stderr.strip()}")
        for name in content:
            source = aside / name
            if source.is_dir():
                shutil.copytree(source, folder / name, symlinks=True)
            else:
                shutil.copy2(source, folder / name)
        yield
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True)
        shutil.rmtree(folder)
        aside.rename(folder)


def hidden(folder: Path) -> list[Path]:
    """Temporary files that are left somewhere in a folder."""
    return [path for path in folder.rglob(".*") if path.name != ".snakemake_timestamp"]


def test_a_full_disk_in_the_middle_of_the_cells(run, space):
    """The cells that fit are kept; once there is space, only the others are computed."""
    store, log = space.folder / "results/store", space.folder / "results/logprobs/tiny"
    expected = (log / "ratio.parquet").read_bytes()
    shutil.rmtree(store)
    store.mkdir()
    with small_disk(store, 8):
        output = run(*RATIO)
        assert "results/store/" in output and "No space left on device; free some space" in output
        kept = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
        assert kept and not hidden(store)
        subprocess.run(["mount", "-o", "remount,size=1m", str(store)], check=True)
        assert run(*RATIO) == ""
        finished = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
        assert len(finished) == 3 and kept.items() <= finished.items()
    assert (log / "ratio.parquet").read_bytes() == expected


@pytest.mark.parametrize("program", ["vectors", "dataset", "summary"])
def test_a_full_disk_leaves_no_half_file(run, space, program):
    """safetensors, Parquet and CSV."""
    reader, where = {
        "vectors": (("vectors", "/calm/"), "vectors/tiny/calm"),
        "dataset": (("dataset", "/texts."), "datasets"),
        "summary": (("summary", "/ratio."), "summaries/tiny"),
    }[program]
    folder = space.folder / "results" / where
    for path in folder.iterdir():
        path.unlink()
    before = set(folder.iterdir())
    with small_disk(folder, 4):
        filler = folder / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(b"x" * 8192)
        output = run(*reader)
        assert f"results/{where}/" in output and "No space left" in output
        assert set(folder.iterdir()) - {filler} == before


def test_a_read_only_disk(run, space):
    folder = space.folder / "results/vectors/tiny/calm"
    with small_disk(folder, 256):
        before = {path: path.read_bytes() for path in folder.iterdir()}
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        output = run("vectors", "/calm/")
        assert "results/vectors/tiny/calm/" in output
        assert "Read-only file system; make it writable" in output
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_limit_on_the_size_of_files(space):
    """The full disk of those who are not root; in a process of its own, which has the limit."""
    folder = space.folder / "results/vectors/tiny/calm"
    for path in folder.iterdir():
        path.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "programs.vectors", *arguments_of(space, "vectors", "/calm/")],
        cwd=space.folder,
        env={**os.environ, "PYTHONPATH": "workflow"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "results/vectors/tiny/calm/vector.safetensors: File too large" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 5
    assert list(folder.iterdir()) == []


@pytest.mark.workflow
def test_read_only_results_end_the_run_before_any_job(space):
    shutil.rmtree(space.folder / "results/tables")
    with small_disk(space.folder / "results/figures", 1024):
        folder = str(space.folder / "results/figures")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        printed = space.run(fails=True)
    assert "results/figures cannot be written; make it writable" in printed
    assert "Traceback" not in printed
    assert not (space.folder / "results/tables/scorer_card.csv").exists()


# --- what killed processes leave ---------------------------------------------------------------


def test_what_dead_processes_left_is_removed_and_what_live_ones_write_is_not(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    old, young = time.time() - ABANDONED_SECONDS - 60, time.time() - 3600

    def left(host: str, process: int, changed: float | None = None) -> Path:
        path = tmp_path / f".table.{host}.{process}.csv"
        path.write_text("half")
        if changed:
            os.utime(path, (changed, changed))
        return path

    gone = [left(HERE, dead.pid), left("elsewhere", 1, old)]
    kept = [left(HERE, os.getppid()), left("elsewhere", 2, young)]
    others = [tmp_path / name for name in (f".table.b.{HERE}.{dead.pid}.csv", ".table.csv")]
    for path in others:
        path.write_text("not a temporary file of table.csv")
    with whole_file(tmp_path / "table.csv") as temporary:
        temporary.write_text("whole")
    assert set(tmp_path.iterdir()) == {tmp_path / "table.csv", *kept, *others}
    assert not any(path.exists() for path in gone)

    folder = tmp_path / f".model.{HERE}.{dead.pid}"
    folder.mkdir()
    (folder / "half.safetensors").write_text("half")
    with whole_folder(tmp_path / "model") as temporary:
        (temporary / "model.json").write_text("{}")
    assert not folder.exists() and (tmp_path / "model/model.json").exists()


def test_a_folder_is_not_unlocked_as_long_as_its_run_is_alive(tmp_path):
    from actadd.pipeline import run_lock

    (tmp_path / "results").mkdir()
    code = (
        "import sys, time; from pathlib import Path; from actadd.pipeline import run_lock; "
        "run_lock.begin(Path('running'), Path('results')); "
        "print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tiny.ROOT / "workflow")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="a run is going on"):
        run_lock.refuse_if_running(tmp_path / "running")
    process.kill()
    process.wait()
    run_lock.refuse_if_running(tmp_path / "running")


# --- kills -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(finished, tmp_path_factory) -> tiny.Workspace:
    """A finished workspace of longer cells. Copy it; never change it."""
    space = finished.copy(tmp_path_factory.mktemp("undisturbed") / "space")
    for folder in (space.folder / "results").iterdir():
        # What does not depend on the experiments stays.
        if folder.name not in ("sources", "models", "datasets", "activations", "vectors"):
            shutil.rmtree(folder)
    space.configure(tiny.config(**LONGER))
    space.run()
    return space


@pytest.fixture
def before_cells(undisturbed, tmp_path) -> Iterator[tiny.Workspace]:
    """The same before its first cell."""
    space = undisturbed.copy(tmp_path / "space")
    for name in ("store", "completions", "summaries", "logs"):
        shutil.rmtree(space.folder / "results" / name)
    yield space
    stop_all(space)


def stop_all(space) -> None:
    """Kills what a test has left running in its workspace."""
    for process in workers(space):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def workers(space) -> list[psutil.Process]:
    """Processes that run a program of ours in a workspace, orphans too."""
    result = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(space.folder) and "-m programs." in " ".join(process.cmdline()):
                result.append(process)
    return result


def start(space, *arguments: str) -> subprocess.Popen:
    """Snakemake in a process group of its own."""
    return subprocess.Popen(
        space.command("--rerun-incomplete", *arguments),
        cwd=space.folder,
        env=space.environment(),
        start_new_session=True,
        stdout=(space.folder / "printed").open("w"),
        stderr=subprocess.STDOUT,
    )


def cells(space) -> dict[Path, tuple[int, int]]:
    """The finished cells; a cell that is computed again gets another inode and another time."""
    stats = {path: path.stat() for path in (space.folder / "results/store").glob("*/*.parquet")}
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}


def kill(kind: str, space, process: subprocess.Popen) -> int:
    """Kills Snakemake, the programs or both with signal 9; returns how many orphans live on."""
    programs = workers(space)
    if kind == "both":
        os.killpg(process.pid, signal.SIGKILL)
    if kind == "snakemake":
        process.kill()
    if kind == "workers":
        for program in programs:
            with contextlib.suppress(psutil.NoSuchProcess):
                program.kill()
    process.wait()
    return len(workers(space)) if kind == "snakemake" else 0


def unlock(space) -> subprocess.CompletedProcess:
    """As people type it, and `make resume`: without a number of cores."""
    command = [sys.executable, "-m", "snakemake", "--unlock"]
    done = {"cwd": space.folder, "env": space.environment(), "capture_output": True, "text": True}
    return subprocess.run(command, **done)


def killed_until_done(space, kinds: list[str], moment) -> tuple[int, int]:
    """Runs, kills at `moment(space, process)`, goes on, for each of `kinds`; then to the end.

    Asserts that no finished cell is ever computed again. Returns how many kills came before the
    end, and how many of them left orphans at work.
    """
    kills, orphaned, finished = 0, 0, {}
    for kind in kinds:
        process = start(space)
        moment(space, process)
        if process.poll() is not None:
            break
        finished |= cells(space)
        orphaned += kill(kind, space, process) > 0
        kills += 1
        printed = (space.folder / "printed").read_text()
        assert "Traceback" not in printed, printed
        assert finished.items() <= cells(space).items(), "a finished cell was computed again"
        # What `make resume` does; at once, with orphans still at work.
        assert unlock(space).returncode == 0
    space.run("--rerun-incomplete")
    for program in workers(space):
        with contextlib.suppress(psutil.NoSuchProcess):
            program.wait(300)
    assert finished.items() <= cells(space).items(), "a finished cell was computed again"
    return kills, orphaned


def one_cell_more(space, process: subprocess.Popen) -> None:
    """Waits until another cell is finished: the moment is in the middle of the next one."""
    before, deadline = len(cells(space)), time.monotonic() + 300
    while len(cells(space)) == before and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def same_bytes(space, undisturbed) -> None:
    result, expected = space.outputs(), undisturbed.outputs()
    assert [name for name in expected if result.get(name) != expected[name]] == []
    assert result.keys() == expected.keys(), "a file that is left over"


@pytest.mark.workflow
def test_killed_four_times_it_loses_no_finished_cell_and_gives_the_same_bytes(
    before_cells, undisturbed
):
    """The last kill leaves an orphan that goes on computing beside the next run."""
    kinds = ["workers", "both", "workers", "snakemake"]
    assert killed_until_done(before_cells, kinds, one_cell_more) == (4, 1)
    assert len(cells(before_cells)) == CELLS
    same_bytes(before_cells, undisturbed)
    assert not hidden(before_cells.folder / "results")


@pytest.mark.nightly
@pytest.mark.workflow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_twenty_times_at_random_moments(tmp_path, tiny_model, seed):
    """From the first job on, so that kills fall into every stage."""
    settings = tiny.config(**copy.deepcopy(LONGER))
    addition = settings["experiments"]["sweep"]["conditions"]["actadd"]["additions"][0]
    addition.update(layer=[0, 1, 2], coefficient=list(range(1, 17)))
    undisturbed = tiny.Workspace.create(tmp_path / "undisturbed", tiny_model, settings)
    undisturbed.run()
    space = tiny.Workspace.create(tmp_path / "killed", tiny_model, settings)
    chance = random.Random(seed)

    def moment(_space, process: subprocess.Popen) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(2, 10))

    kinds = chance.choices(["snakemake", "workers", "both"], k=20)
    try:
        kills, orphaned = killed_until_done(space, kinds, moment)
    finally:
        stop_all(space)
    print(f"seed {seed}: {kills} kills, {orphaned} of them left orphans")
    # All of them came before the end.
    assert kills == 20 and len(cells(space)) == 49
    same_bytes(space, undisturbed)


@pytest.mark.workflow
def test_interrupted_and_a_second_run_beside_it(before_cells, undisturbed):
    """A second run and an unlocking are refused; Ctrl-C ends soon; the next run goes on."""
    space = before_cells
    process = start(space)
    one_cell_more(space, process)
    # Not at its end yet, however fast the machine is.
    held = workers(space)
    for program in held:
        program.suspend()
    refused = space.run("--rerun-incomplete", fails=True)
    assert "Directory cannot be locked" in refused and "no other Snakemake process" in refused
    refused_unlock = unlock(space)
    assert refused_unlock.returncode == 1
    assert "a run is going on in" in refused_unlock.stderr
    assert "Traceback" not in refused + refused_unlock.stderr
    for program in held:
        program.resume()
    finished = cells(space)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(120)
    psutil.wait_procs(held, timeout=120)
    print(f"Ctrl-C: ended after {time.monotonic() - began:.1f} s")
    assert process.returncode != 0 and not workers(space)
    assert "Traceback" not in (space.folder / "printed").read_text()
    log = space.log("completions/tiny/sweep")
    assert "error: interrupted; what is finished is kept" in log and "Traceback" not in log
    assert not hidden(space.folder / "results")
    # Snakemake has unlocked the folder itself, so this is all.
    space.run("--rerun-incomplete")
    assert finished.items() <= cells(space).items()
    same_bytes(space, undisturbed)
