"""Scorers and dataset readers from outside the repository, one file each."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.base.kinds import Kinds, plugin_files
from actadd.config import checks
from actadd.config.models import forget_models
from actadd.data import datasets
from actadd.data.readers.kinds import READERS, possible_readers
from actadd.pipeline.graph import Graph
from actadd.scorers import scores
from actadd.scorers.kinds import SCORERS, metrics
from builders import tiny
from builders.plugins import LENGTH, PARAGRAPHS, loaded

MEASURE = '''
from dataclasses import dataclass

from actadd.base.kinds import option
from actadd.measure.measures import measure
from actadd.measure.methods import Contexts, method
from actadd.results.summaries.kinds import summary


@dataclass(frozen=True, kw_only=True)
class Options:
    window: int = option("Tokens that are looked at.", 3, minimum=1)


@dataclass(frozen=True, kw_only=True)
class Suffix:
    suffix: str = option("Text put behind.", min_length=1)


@measure(Options)
def surprise(experiment, texts):
    """How surprising texts are."""


@summary(name="surprise")
def summarise(spec, cells, scores, csv, parquet):
    """Its means."""


@method(Suffix, role="control")
def suffixing(options):
    """A text behind each prompt."""
    return Contexts()
'''
ENTRY = {"kind": "length", "name": "length", "enough": 3}
TEXTS = ["one two three", "one", ""]


@pytest.fixture
def write(tmp_path):
    def write(content: str, name: str = "length.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path

    return write


@pytest.fixture
def completions(tmp_path) -> Path:
    rows = {"condition": "c", "cell": "0", "prompt_id": range(3), "sample": 0, "prompt": "We"}
    table = tiny.none_failed(pd.DataFrame({**rows, "completion": TEXTS}))
    table.to_parquet(tmp_path / "completions.parquet", index=False)
    return tmp_path / "completions.parquet"


def test_a_scorer_of_a_users_own_scores_cells(write, completions, tmp_path):
    with loaded(write(LENGTH)):
        assert metrics(ENTRY) == {"words": False, "long": True}
        assert SCORERS["length"].has_labels and "length" in list(SCORERS)
        scores.score_completions(
            {"scorer": ENTRY},
            completions=completions,
            inputs=None,
            store=tmp_path / "store",
            output=tmp_path / "scores.parquet",
        )
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert table["words"].tolist() == [3, 1, 0] and table["long"].tolist() == [1, 0, 0]
    assert "length" not in SCORERS


def keys(path: Path, completions: Path, **options) -> list[str]:
    with loaded(path):
        return [key for key, _ in scores.keyed({**ENTRY, **options}, completions, None)]


def test_its_code_is_in_the_keys_of_its_cells(write, completions):
    before = keys(write(LENGTH), completions)
    assert keys(write(f"# A comment.\n{LENGTH}"), completions) == before
    assert keys(write(LENGTH, "elsewhere/length.py"), completions) == before
    assert keys(write(LENGTH), completions, note="short") == before
    assert keys(write(LENGTH), completions, enough=2) != before
    assert keys(write(LENGTH.replace(">=", ">")), completions) != before


def test_a_reader_of_a_users_own_reads_files_of_its_ending(write, tmp_path):
    source = write("a b\nc\n\nd", "texts.para")
    spec = {"name": "x", "title": "x", "file": "texts.para"}

    def texts(**more) -> list[str]:
        datasets.prepare({**spec, **more}, source, tmp_path / "x.parquet")
        return list(pd.read_parquet(tmp_path / "x.parquet")["text"])

    with loaded(write(PARAGRAPHS, "paragraphs.py")):
        assert possible_readers(spec) == ["paragraphs"]
        assert texts(readers=["paragraphs"]) == texts() == ["a b\nc", "d"]
        assert texts(format="paragraphs", between="b") == ["a ", "\nc\n\nd"]
    assert "paragraphs" not in READERS and possible_readers(spec) == ["csv"]


def test_a_job_names_the_plugins_that_it_uses(write, tmp_path, monkeypatch):
    with loaded(write(LENGTH), write(PARAGRAPHS, "paragraphs.py")):
        modules = [SCORERS[name].module for name in ("length", "words")]
        assert plugin_files(modules) == [str(tmp_path / "length.py")]
        monkeypatch.chdir(tmp_path)
        assert plugin_files(modules) == ["length.py"]


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("x = 1\n", "declares no kind"),
        ("from actadd.scorers.text.words import words\n", "declares no kind"),
        ("def (", "SyntaxError"),
        (LENGTH.replace("def length", "def words"), "'words'.*rename"),
        (LENGTH.replace("enough: int", "compute: int"), "'compute'.*rename"),
        (f"import helper\n{LENGTH}", "'helper' beside it"),
        (f"{LENGTH}\n    from helper import x\n", "'helper' beside it"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_refused(write, content, pattern):
    write("x = 1\n", "helper.py")
    with pytest.raises(UserError, match=rf"(?s)^plugins: .*{pattern}"), loaded(write(content)):
        pass
    assert "length" not in SCORERS


def test_a_missing_plugin_is_refused(tmp_path):
    gone = r"^plugins: .*gone\.py' does not exist"
    with pytest.raises(UserError, match=gone), loaded(tmp_path / "gone.py"):
        pass


def test_plugins_of_one_name_in_different_folders_are_different(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = write(LENGTH), write(PARAGRAPHS, "elsewhere/length.py")
    with loaded(*both):
        modules = SCORERS["length"].module, READERS["paragraphs"].module
        assert plugin_files(modules) == ["elsewhere/length.py", "length.py"]
        # Where the working directory lies is no part of a name.
        other = tmp_path / "moved"
        shutil.copytree(tmp_path, other, ignore=lambda *_: ["moved"])
    monkeypatch.chdir(other)
    with loaded(other / "length.py", other / "elsewhere/length.py"):
        assert (SCORERS["length"].module, READERS["paragraphs"].module) == modules


def installed(write, folder, text: str, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where a package is installed whose module `lengths` declares kinds."""
    write(text, "lengths.py")
    write("Metadata-Version: 2.1\nName: lengths\nVersion: 1\n", "lengths-1.dist-info/METADATA")
    write("[actadd.kinds]\nlengths = lengths\n", "lengths-1.dist-info/entry_points.txt")
    library = Path(sys.modules["actadd"].__path__[0]).parent
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{library}"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_an_installed_package_adds_a_scorer_by_an_entry_point(write, tmp_path):
    code = "from actadd.scorers.kinds import SCORERS; print(SCORERS['length'].module)"
    assert installed(write, tmp_path, LENGTH, code).stdout.strip() == "lengths"


def test_an_installed_package_whose_kind_has_the_name_of_ours_is_refused(write, tmp_path):
    text = LENGTH.replace("def length", "def words")
    code = "from actadd.config.checks import checked; checked({})"
    done = installed(write, tmp_path, text, code)
    assert done.returncode and "declares the scorer 'words'" in done.stderr


def test_a_check_imports_the_kinds_that_the_config_names_and_no_others(tmp_path):
    tiny.write_data(tmp_path)
    (tmp_path / "tiny-model").mkdir()
    settings = json.dumps(tiny.config())
    code = (
        "import json, sys; from actadd.config.checks import checked; "
        f"checked(json.loads({settings!r})); print(*sys.modules)"
    )
    library = Path(sys.modules["actadd"].__path__[0]).parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stdout.split())
    assert {"actadd.results.figures.sweeps.sweep", "actadd.scorers.text.words"} <= modules
    others = ("results.figures.tokens.divergence", "scorers.remote.llm_judge")
    assert not {f"actadd.{name}" for name in others} & modules


def test_each_kind_stands_in_the_module_of_its_name():
    """By its name alone a kind is imported, and no other."""
    for family in Kinds.families:
        for name, kind in family.items():
            assert kind.module.rpartition(".")[2] == name


def test_a_measure_and_a_method_of_a_users_own_in_a_config(write, tmp_path, monkeypatch):
    tiny.write_data(tmp_path)
    (tmp_path / "tiny-model").mkdir()
    monkeypatch.chdir(tmp_path)
    write(MEASURE, "surprise.py")

    def checked(**condition):
        settings = tiny.config()
        settings["plugins"] = ["surprise.py"]
        ratio = settings["experiments"]["ratio"]
        ratio["measure"] = "surprise"
        ratio["conditions"]["behind"] = {"method": "suffixing", **condition}
        del settings["figures"]["ratio"]
        return checks.checked(settings)

    with loaded(tmp_path / "surprise.py"):
        config = checked(suffix="!")
        assert config["experiments"]["ratio"]["window"] == 3
        job = Graph(config).cells("tiny", "ratio")
        assert job.settings["window"] == 3 and job.rule == "cells"
        assert job.outputs["table"] == ["results/surprise/tiny/ratio.parquet"]
        assert Graph(config).summary("tiny", "ratio").settings["plugins"] == ["surprise.py"]
        with pytest.raises(UserError, match=r"conditions\.behind: .*'suffix' of method suffixing"):
            checked()
        with pytest.raises(UserError, match=r"behind\.strength: .*'strength' of method suffixing"):
            checked(suffix="!", strength=1)
    forget_models()
