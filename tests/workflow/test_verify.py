"""Records with a sum of their own, and `actadd verify`: what is not as it was made is noticed."""

import os
import random
import re
import shlex
from pathlib import Path

import pytest

from actadd.base.errors import DamagedFile, UserError
from actadd.base.files import read_json, write_json
from actadd.cli import verify
from actadd.store import provenance
from builders import tiny
from builders.tiny import actadd, typed

pytestmark = pytest.mark.workflow


def flip(path: Path, position: int, bit: int) -> None:
    """One bit becomes another; the file's time stays."""
    about = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(bytes(content))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


# --- records ---


@pytest.fixture(scope="module")
def record(finished) -> Path:
    return finished.folder / "results/summaries/tiny/sweep.provenance.json"


def test_any_other_bit_of_a_record_is_noticed(record, tmp_path):
    content, copy = record.read_bytes(), tmp_path / "provenance.json"
    for index in range(len(content)):
        damaged = bytearray(content)
        damaged[index] ^= 1 << index % 8
        copy.write_bytes(bytes(damaged))
        with pytest.raises(DamagedFile, match=r"provenance\.json is damaged"):
            provenance.read(copy)
    for length in range(0, len(content), 50):
        copy.write_bytes(content[:length])
        with pytest.raises(DamagedFile):
            provenance.read(copy)


def test_a_record_of_an_earlier_version_has_no_sum_and_is_read(record, tmp_path):
    content, copy = read_json(record), tmp_path / "provenance.json"
    del content["sum"]
    write_json(copy, content)
    assert provenance.read(copy) == content
    for key in content:
        write_json(copy, {name if name != key else "other": content[name] for name in content})
        with pytest.raises(DamagedFile):
            provenance.read(copy)


@pytest.mark.parametrize("foreign", [{"made by": "me"}, ["a list"], 7])
def test_a_file_of_somebody_else_is_not_a_record(tmp_path, foreign):
    write_json(tmp_path / "provenance.json", foreign)
    assert provenance.read(tmp_path / "provenance.json") is None


@pytest.mark.parametrize("other", ["not JSON", '{"made by": "me"}', "record"])
def test_a_record_beside_a_file_of_the_users_says_nothing_of_it(run_program, space, other):
    """Neither what somebody else wrote, nor the record of another study's results."""
    record = space.folder / "results/datasets/prompts.provenance.json"
    beside = space.folder / "texts.provenance.json"
    beside.write_text(record.read_text() if other == "record" else other)
    before = beside.read_bytes()
    assert run_program("dataset", "/texts.") == ""
    assert (space.folder / "texts.csv").read_text() == tiny.TEXTS
    assert beside.read_bytes() == before


def test_a_damaged_record_goes_with_its_output_and_nothing_else(space, monkeypatch):
    monkeypatch.chdir(space.folder)
    for path in map(Path, ("results/models/tiny", "results/vectors/tiny/calm/vector.safetensors")):
        record = provenance.record_beside(path)
        flip(record, 100, 3)
        beside = set(path.parent.iterdir()) - {path, record}
        with pytest.raises(UserError, match="run again"):
            provenance.check_fresh(path, set())
        assert set(path.parent.iterdir()) == beside
    assert (space.folder / "tiny-model/model.safetensors").exists(), "the user's own"


# --- actadd verify ---


def result_files(space) -> list[Path]:
    """Every file of the results that has a sum, in a record or in itself."""
    results = space.folder / "results"
    return sorted(
        path
        for path in results.rglob("*")
        if path.is_file()
        and not (tiny.BESIDE - {"store"}) & set(path.relative_to(results).parts)
        and path.name != ".snakemake_timestamp"
    )


def test_sound_results_are_sound(finished):
    checked = verify.check(finished.folder / "results")
    assert checked.faults == [] and checked.count == len(result_files(finished))


def test_every_bit_that_flips_with_kept_times_is_noticed(space):
    chance, files = random.Random(0), result_files(space)
    kinds = {path.relative_to(space.folder / "results").parts[0] for path in files}
    assert {"figures", "tables", "summaries", "store", "activations", "models"} <= kinds
    assert space.planned() == {}
    for path in chance.sample(files, 30):
        real, content = path.resolve(), path.read_bytes()
        flip(real, chance.randrange(len(content)), chance.randrange(8))
        named = {fault.path for fault in verify.check(space.folder / "results").faults}
        assert path in named, path
        real.write_bytes(content)


@pytest.mark.parametrize("name", ["figures/sweep.png", "tables/scorer_card.csv"])
def test_a_file_that_is_gone_and_one_without_a_record(space, name):
    path = space.folder / "results" / name
    content = path.read_bytes()
    path.unlink()
    [fault] = verify.check(space.folder / "results").faults
    assert (fault.path, fault.what) == (path, "is gone")
    path.write_bytes(content)
    provenance.record_beside(path).unlink()
    faults = verify.check(space.folder / "results").faults
    assert path in {fault.path for fault in faults}
    assert all("no record" in fault.what for fault in faults)


def test_what_it_names_is_made_anew_by_the_command_that_it_names(space):
    """With the same bytes; and a cell, by the run that needs it."""
    before = space.outputs()
    results = space.folder / "results"
    for name in (
        "figures/ratio.svg",
        "summaries/tiny/ratio.csv",
        "vectors/tiny/calm/norms.csv",
        "summaries/tiny/ratio.provenance.json",
        "completions/tiny/chosen/shard_0_of_2.provenance.json",
    ):
        flip(results / name, 40, 2)
    (results / "datasets/texts.parquet").unlink()
    flip(next((results / "store").rglob("*.parquet")), 50, 1)
    printed = actadd(space, "verify", code=1)
    assert "figures/ratio.svg: its sha256 is not that of its record" in printed
    assert "datasets/texts.parquet: is gone" in printed
    for command in re.findall(r"^  ((?:snakemake|rm) .*)$", printed, re.MULTILINE):
        typed(space, command.replace("--cores all", "--cores 2"))
    space.run()
    assert "0 with a fault" in actadd(space, "verify")
    assert space.outputs() == before


def test_a_folder_without_a_record_is_made_anew_as_a_whole(space):
    (space.folder / "results/sources/tiny.provenance.json").unlink()
    printed = actadd(space, "verify", code=1)
    [command] = re.findall(r"^  (snakemake .*)$", printed, re.MULTILINE)
    assert command.endswith("--force results/sources/tiny")
    typed(space, command.replace("--cores all", "--cores 2"))
    assert "0 with a fault" in actadd(space, "verify")


def test_no_command_is_offered_for_files_of_no_job(space):
    names = ("vectors/tiny/calm/n.md", "sources/tiny/n.md", "figures/sweep.a.png", "tables/n.csv")
    for name in names:
        (space.folder / "results" / name).write_text("the user's own")
    printed = actadd(space, "verify", code=1)
    assert "--force" not in printed and f"{len(names)} with a fault" in printed
    for command in re.findall(r"^  (rm .*)$", printed, re.MULTILINE):
        typed(space, command)
    assert "0 with a fault" in actadd(space, "verify")


def test_what_another_config_made_is_not_promised(space):
    settings = tiny.config()
    del settings["figures"]["ratio"]
    space.configure(settings)
    flip(space.folder / "results/figures/ratio.svg", 40, 2)
    printed = actadd(space, "verify", code=1)
    assert "--force" not in printed and "not of this config" in printed
    [command] = re.findall(r"^  (rm .*)$", printed, re.MULTILINE)
    assert all("figures/ratio." in path for path in shlex.split(command)[2:])
    typed(space, command)
    actadd(space, "verify")
