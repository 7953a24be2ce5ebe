"""Runs that are killed or interrupted, and what dead processes leave."""

import contextlib
import copy
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actadd.base.errors import UserError
from actadd.base.files import ABANDONED_SECONDS, whole_file, whole_folder
from builders import tiny
from builders.jobs import hidden

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
def test_an_interrupted_run_and_a_second_run_at_the_same_time(before_cells, undisturbed):
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
