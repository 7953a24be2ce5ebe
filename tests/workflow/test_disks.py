"""Disks that are full, read-only or limited: no half file is left."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders.jobs import arguments_of, hidden

# The program that computes the log-probabilities.
RATIO = ("cells", "logprobs/tiny/ratio.parquet")


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


def test_a_full_disk_in_the_middle_of_the_cells(run_program, space):
    """The cells that fit are kept; once there is space, only the others are computed."""
    store, log = space.folder / "results/store", space.folder / "results/logprobs/tiny"
    expected = (log / "ratio.parquet").read_bytes()
    shutil.rmtree(store)
    store.mkdir()
    with small_disk(store, 8):
        output = run_program(*RATIO)
        assert "results/store/" in output and "No space left on device; free some space" in output
        kept = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
        assert kept and not hidden(store)
        subprocess.run(["mount", "-o", "remount,size=1m", str(store)], check=True)
        assert run_program(*RATIO) == ""
        finished = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
        assert len(finished) == 3 and kept.items() <= finished.items()
    assert (log / "ratio.parquet").read_bytes() == expected


@pytest.mark.parametrize("program", ["vectors", "dataset", "summary"])
def test_a_full_disk_leaves_no_half_file(run_program, space, program):
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
        output = run_program(*reader)
        assert f"results/{where}/" in output and "No space left" in output
        assert set(folder.iterdir()) - {filler} == before


def test_a_read_only_disk(run_program, space):
    folder = space.folder / "results/vectors/tiny/calm"
    with small_disk(folder, 256):
        before = {path: path.read_bytes() for path in folder.iterdir()}
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        output = run_program("vectors", "/calm/")
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
