"""The graph: Snakemake's own is the same, and content decides what is outdated."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from actadd.base.files import read_json
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.pipeline.freshness import LONG_AGO, Freshness
from actadd.pipeline.graph import Graph
from builders import tiny

TERMS = "licences_accepted=[opt-6-7b,llama-3-8b,llama-13b]"


def graph(folder: Path) -> Graph:
    """The graph of a workspace's own config."""
    return Graph(checked(load([folder / "config.yaml"]), folder), folder)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


# --- the same graph as Snakemake's ----------------------------------------------------------------


# Snakemake's command, whose output for a browser is the files of every job instead.
LISTED = """
import json, sys
from snakemake import cli
from snakemake.dag import DAG

def listed(dag, *_):
    jobs = [[job.rule.name, [*map(str, job.input)], [*map(str, job.output)]] for job in dag.jobs]
    print("JOBS" + json.dumps(jobs))

DAG.d3dag = listed
cli.main(sys.argv[1:])
"""


def snakemakes(folder: Path, target: str, *arguments: str) -> dict[str, tuple[str, set[str]]]:
    """Output -> (rule, inputs) of the jobs behind a target, as Snakemake has them."""
    command = [sys.executable, "-c", LISTED, "--cores", "2", "--d3dag", *arguments, "--", target]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("JOBS")] or [done.stderr]
    jobs = json.loads(line.removeprefix("JOBS"))
    return {path: (rule, set(read)) for rule, read, written in jobs for path in written}


def ours(stated: Graph, target: str) -> dict[str, tuple[str, set[str]]]:
    jobs = [*stated.target(target), stated.complete(target)]
    return {
        path: (job.rule, {job.file, *(f.path for files in job.inputs.values() for f in files)})
        for job in jobs
        for paths in job.outputs.values()
        for path in paths
    }


@pytest.mark.workflow
def test_snakemakes_graph_is_ours(finished):
    for target in ("all", "explorer", "fig_ratio"):
        assert snakemakes(finished.folder, target) == ours(graph(finished.folder), target)


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("target", "overlay", "settings"), [("all", [], []), ("paper", ["paper"], [TERMS])]
)
def test_snakemakes_graph_of_our_configs_is_ours(tmp_path, target, overlay, settings):
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        shutil.copy2(tiny.ROOT / name, tmp_path / name)
    for name in ("workflow", "config"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(tiny.ROOT / name, tmp_path / name, ignore=ignored)
    files = [tmp_path / "config/paper_small.yaml", tmp_path / "config.yaml"]
    files += [tmp_path / f"config/{name}.yaml" for name in overlay]
    config = load(files)
    if settings:
        config["licences_accepted"] = TERMS.split("[")[1].strip("]").split(",")
    arguments = [f"--configfile=config/{name}.yaml" for name in overlay]
    arguments += ["--config", *settings] if settings else []
    stated = ours(Graph(checked(config, tmp_path), tmp_path), target)
    assert len(stated) > 100
    assert snakemakes(tmp_path, target, *arguments) == stated


# --- what is outdated, in the library -------------------------------------------------------------


def states(folder: Path, monkeypatch) -> dict[str, str]:
    """Job -> why it is outdated, of those behind the default target that are."""
    monkeypatch.chdir(folder)
    stated = graph(folder)
    jobs = stated.target("all")
    fresh = Freshness(lambda: jobs)
    return {job.name: state for job in jobs if (state := fresh.state(job).outdated)}


def test_a_missing_or_changed_output_makes_only_its_job_outdated(space, monkeypatch):
    assert states(space.folder, monkeypatch) == {}
    for job in graph(space.folder).target("all"):
        for path in map(Path, outputs_of(job)):
            file = next(file for file in files(path) if not file.is_symlink())
            content = file.read_bytes()
            file.unlink()
            assert list(states(space.folder, monkeypatch)) == [job.name], file
            file.write_bytes(content)
            flip(file)
            assert list(states(space.folder, monkeypatch)) == [job.name], file
            file.write_bytes(content)
    assert states(space.folder, monkeypatch) == {}


def test_a_file_added_to_a_folder_makes_its_job_outdated(space, monkeypatch):
    for folder, job in {"models": "model", "sources": "fetch"}.items():
        [made] = (path for path in (space.folder / "results" / folder).iterdir() if path.is_dir())
        added = made / "inner/extra.bin"
        added.parent.mkdir()
        added.touch()
        name = made.name
        assert states(space.folder, monkeypatch) == {
            f"{job}/{name}": f"{name}/inner/extra.bin was added"
        }
        added.rename(made / "inner/.DS_Store")
        assert states(space.folder, monkeypatch) == {}


def outputs_of(job) -> list[str]:
    """A job's outputs; of a folder of links to the user's files, only the record."""
    named = [path for paths in job.outputs.values() for path in paths]
    return [path for path in named if job.stage != "fetch" or path == job.record]


def files(path: Path) -> list[Path]:
    return sorted(path.rglob("[a-z]*")) if path.is_dir() else [path]


def test_the_reason_is_a_few_words(space, monkeypatch):
    settings = tiny.config()
    settings["vectors"]["calm"]["positive"] = "Quiet"
    settings["figures"]["ratio"]["title"] = "Other"
    space.configure(settings)
    assert states(space.folder, monkeypatch) == {
        "activations/tiny/calm": 'contrast.positive "Calm" -> "Quiet"',
        "vectors/tiny/calm": 'vector.positive "Calm" -> "Quiet", above: activations',
        "logprobs/tiny/ratio": "above: vectors",
        "summary/tiny/ratio": "above: logprobs",
        "figure/ratio": 'title "Ratio" -> "Other", above: summary',
    }


def test_another_version_of_a_package_is_a_reason(space, monkeypatch):
    from actadd.pipeline import job

    real = job.package_versions

    def another(*modules: str, **loading) -> dict[str, str]:
        versions = real(*modules, **loading)
        return versions | {"torch": "0.1"} if "torch" in versions else versions

    monkeypatch.setattr(job, "package_versions", another)
    reasons = states(space.folder, monkeypatch)
    assert reasons["activations/tiny/calm"].endswith(" -> 0.1, above: model")
    assert reasons["activations/tiny/calm"].startswith("torch ")
    assert not {"fetch/tiny", "dataset/texts"} & set(reasons)


def test_the_inputs_that_a_job_read_are_compared_with_those_of_today(space, monkeypatch):
    """As after a killed run that made another table by the same job, such as of times."""
    record = space.folder / "results/summaries/tiny/ratio.provenance.json"
    from actadd.store.provenance import record_text

    content = read_json(record)
    content["inputs"] = dict.fromkeys(content["inputs"], "0" * 64)
    record.write_text(record_text(content))
    assert states(space.folder, monkeypatch) == {"summary/tiny/ratio": "above: logprobs/tiny/ratio"}


def test_cells_that_failed_make_all_below_outdated(space, monkeypatch):
    note = space.folder / "results/failures/logprobs/tiny/ratio.json"
    note.parent.mkdir(parents=True)
    note.write_text('{"failed": {"a": "why"}}')
    assert states(space.folder, monkeypatch) == {
        "logprobs/tiny/ratio": "1 cells failed",
        "summary/tiny/ratio": "cells failed above",
        "figure/ratio": "cells failed above",
    }


def test_the_file_of_a_job_is_written_only_when_it_says_something_new(space, monkeypatch):
    monkeypatch.chdir(space.folder)
    jobs = graph(space.folder).target("all")
    [job] = [job for job in jobs if job.name == "figure/ratio"]
    path = Path(job.file)

    def written() -> bytes:
        Freshness(lambda: jobs).write(job)
        return path.read_bytes()

    before = written()
    assert path.stat().st_mtime == LONG_AGO and read_json(path)["job"] == job.digest
    png = Path("results/figures/ratio.png")
    # An output from the future, as of a machine whose clock goes wrong.
    os.utime(png, (2e9, 2e9))
    assert written() == before and path.stat().st_mtime == LONG_AGO
    flip(png)
    os.utime(png, (2e9, 2e9))
    changed = written()
    assert path.stat().st_mtime > png.stat().st_mtime and changed != before
    assert read_json(path)["because"] == "ratio.png was changed"
    assert written() == changed


# --- what is outdated, in the workflow ------------------------------------------------------------


@pytest.mark.workflow
def test_one_deleted_output_of_every_job_is_made_again(space):
    before = space.outputs()
    names = [
        "activations/tiny/calm/layer_00.safetensors",
        "vectors/tiny/random/norms.csv",
    ]
    names += ["summaries/tiny/sweep.csv", "tables/scorer_card.md", "figures/sweep.svg"]
    names += ["summaries/tiny/ratio.provenance.json", "complete/all.provenance.json"]
    for name in names:
        (space.folder / "results" / name).unlink()
    planned = space.planned()
    assert {"activations_tiny", "vectors_tiny", "summary", "figure", "scorer_card"} <= set(planned)
    # They come out the same, so nothing else is made.
    assert not {"completions", "logprobs", "scores", "model"} & set(planned)
    space.run()
    assert space.outputs() == before and space.planned() == {}


@pytest.mark.workflow
def test_older_weights_put_in_place_are_noticed_and_a_readme_is_not(space):
    (space.folder / "tiny-model/README.md").write_text("about")
    assert space.planned() == {}
    (space.folder / "tiny-model/README.md").write_text("more about")
    assert space.planned() == {}
    weights = space.folder / "tiny-model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(bytes(content))
    os.utime(weights, (1, 1))
    assert {"fetch", "model", "logprobs"} <= set(space.planned())


@pytest.mark.workflow
def test_a_job_that_comes_out_the_same_lets_those_below_wait_but_not_if_one_is_outdated(space):
    flip(space.folder / "results/vectors/tiny/calm/norms.csv")
    assert space.planned() == {"vectors_tiny": 1}
    settings = tiny.config()
    settings["figures"]["ratio"]["title"] = "Other"
    space.configure(settings)
    # The figure is found by way of what lies between.
    expected = {"vectors_tiny": 1, "logprobs": 1, "summary": 1, "figure": 1}
    assert space.planned() == expected
    assert space.planned("--", "results/figures/ratio.png") == expected


@pytest.mark.workflow
def test_inputs_keep_their_names_in_any_order_of_the_config(space):
    settings = tiny.config()
    settings["experiments"]["sweep"]["scorers"] = ["words", "distinct"]
    space.configure(settings)
    space.run()

    def rows() -> pd.DataFrame:
        table = pd.read_parquet(space.folder / "results/summaries/tiny/sweep.parquet")
        return table.sort_values(["condition", "layer", "coefficient", "group", "metric"])

    before = rows()
    settings["experiments"]["sweep"]["scorers"] = ["distinct", "words"]
    space.configure(settings)
    assert not re.search(r"cells: [1-9]\d* computed", space.run())
    pd.testing.assert_frame_equal(rows().reset_index(drop=True), before.reset_index(drop=True))
    # What says nothing of an order finds its files all the same.
    request = space.folder / "results/jobs/summary/tiny/sweep/job.json"
    scores = {
        path: maker["scorer"] for path, maker in read_json(request)["inputs"]["scores"].items()
    }
    assert scores == {f"results/scores/tiny/sweep/{name}.parquet": name for name in scores.values()}


def test_every_file_in_results_is_an_output_of_a_job(space, monkeypatch):
    monkeypatch.chdir(space.folder)
    jobs = graph(space.folder).target("all")
    named = {path for job in jobs for paths in job.outputs.values() for path in paths}
    for path in space.outputs():
        parents = {str(parent) for parent in Path(path).parents}
        assert path in named or named & parents or "/complete/" in path, path


@pytest.mark.workflow
def test_no_table_of_results_holds_json(space):
    for path in (space.folder / "results").rglob("*.csv"):
        assert not re.search(r'"[\[{]', path.read_text(encoding="utf-8")), path
