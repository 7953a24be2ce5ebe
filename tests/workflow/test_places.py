"""Wherever the workflow, its results and the user's files lie, what is outdated is the same."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from builders import tiny

pytestmark = pytest.mark.workflow


# --- one checkout for many ------------------------------------------------------------------------


class Study(tiny.Workspace):
    """A folder that runs the workflow of a read-only checkout, by a command typed elsewhere."""

    def __init__(self, folder: Path, checkout: Path):
        super().__init__(folder)
        self.checkout = checkout

    def command(self, *arguments: str) -> list[str]:
        snakemake = super().command("-s", "checkout/Snakefile", "--directory", str(self.folder))
        mounted = shlex.quote(str(self.checkout))
        # Root may write whatever the permissions say, so the checkout is mounted again.
        script = (
            f"mount --bind {mounted} {mounted} && mount -o remount,bind,ro {mounted} && "
            f'cd {shlex.quote(str(self.checkout.parent))} && exec {shlex.join(snakemake)} "$@"'
        )
        return ["unshare", "--mount", "bash", "-c", script, "bash", *arguments]


@pytest.fixture
def study(space, tmp_path) -> Study:
    """A finished workspace without the workflow, which lies elsewhere."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Snakefile", "workflow", "profiles", "environment.yml"):
        (space.folder / name).rename(checkout / name)
    for name in ("config.yaml", "config"):
        copy = shutil.copytree if (tiny.ROOT / name).is_dir() else shutil.copy2
        copy(tiny.ROOT / name, checkout / name)
    for cache in list(checkout.rglob("__pycache__")):
        shutil.rmtree(cache)
    return Study(space.folder, checkout)


def files(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_a_read_only_checkout_runs_in_another_folder(study):
    before, checkout = study.outputs(), files(study.checkout)
    assert study.planned() == {}
    for name in ("figures", "summaries/tiny", "logprobs"):
        shutil.rmtree(study.folder / "results" / name)
    study.run()
    assert study.outputs() == before and study.planned() == {}
    assert files(study.checkout) == checkout


def test_what_is_shipped_is_read_from_the_checkout(study):
    """The paper's config, and the data that it names."""
    shutil.rmtree(study.folder / "results")
    terms = ["opt-6-7b", "llama-3-8b", "llama-13b"]
    study.configure({"builds_on": "config/paper.yaml", "licences_accepted": terms})
    targets = [f"results/datasets/{name}.parquet" for name in ("statements", "partial-prompts")]
    study.run(*targets)
    assert study.planned(*targets) == {}
    # What lies in the folder itself comes first.
    own = study.folder / "workflow/data/statements.csv"
    own.parent.mkdir(parents=True)
    own.write_text("text\nMine\n")
    assert study.planned(*targets) == {"dataset": 1}


# --- results and data elsewhere -------------------------------------------------------------------


def test_a_walk_of_moves(space, tmp_path):
    """After each there is nothing to do, or a run makes the bytes of the first one."""
    before = space.outputs()
    moved = tiny.Workspace(tmp_path / "moved")
    space.folder.rename(moved.folder)
    assert moved.planned() == {}

    # Copied without times and without what Snakemake remembers.
    copied = tiny.Workspace(tmp_path / "copied")
    shutil.copytree(moved.folder, copied.folder, symlinks=True, copy_function=shutil.copyfile)
    shutil.rmtree(copied.folder / ".snakemake")
    assert copied.planned() == {}

    # Copied with times, all of them of long ago.
    for path in moved.folder.rglob("*"):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    old = tiny.Workspace(tmp_path / "old")
    subprocess.run(["cp", "-a", moved.folder, old.folder], check=True)
    shutil.rmtree(moved.folder)
    assert old.planned() == {}

    # On another disk, with a link in their place: only links to the user's own files lead nowhere.
    (old.folder / "results").rename(tmp_path / "disk")
    (old.folder / "results").symlink_to(tmp_path / "disk")
    assert old.planned() == {"fetch": 1, "model": 1}
    old.run()
    assert old.outputs() == before and old.planned() == {}

    # Another dataset in the old one's place, older than that, and back again.
    texts = old.folder / "texts.csv"
    changed = {"dataset": 1, "logprobs": 1, "summary": 1, "figure": 1}
    for content in (tiny.TEXTS.replace("wedding", "funeral"), tiny.TEXTS):
        texts.write_text(content)
        os.utime(texts, (1, 1))
        assert old.planned() == changed
        old.run()
        assert old.planned() == {}
    assert old.outputs() == before
