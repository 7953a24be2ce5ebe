"""The command line in a finished workspace."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from actadd.base.files import read_json
from actadd.cli import plan as planning
from actadd.cli.project import configured
from actadd.measure.work import Work
from actadd.pipeline import layout
from actadd.pipeline.costs import Costs, benchmark_seconds
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.commands import TRIAL, actadd, plan_rows, printed_rows


@pytest.fixture
def here(space, monkeypatch):
    """A finished workspace, and we are in it."""
    monkeypatch.chdir(space.folder)
    return space


@pytest.mark.workflow
def test_it_draws_what_the_workflow_draws(here):
    table = pd.read_parquet("results/completions/tiny/sweep.parquet")
    prompt = table["prompt"].iloc[0]
    arguments = ["--model", "tiny", *TRIAL, "--coefficient", "2", "--tokens", "5", prompt]
    printed = actadd("try", *arguments)
    rows = table[table["prompt"] == prompt]
    steered = rows[(rows["layer"] == 1) & (rows["coefficient"] == 2)]
    unsteered = rows[rows["method"] == "unsteered"]
    for name, part in (("unsteered", unsteered), ("steered", steered)):
        for sample, text in zip(part["sample"], part["completion"], strict=True):
            record = re.escape(f"{prompt}{text}".replace("\n", "\n\t"))
            assert re.search(rf"^{name} {sample + 1}\b[^\t]*\t{record}$", printed, re.MULTILINE)


@pytest.mark.workflow
def test_vectors_are_listed_with_their_norms(here):
    rows = printed_rows(actadd("vectors"))
    assert [row["vector"] for row in rows] == ["calm", "love-hate", "random"]
    norms = pd.read_csv("results/vectors/tiny/calm/norms.csv")
    largest = norms.groupby("layer")["ratio"].max()
    assert rows[0] == {
        "model": "tiny",
        "vector": "calm",
        "kind": "pair",
        "layers": str(tiny.LAYERS),
        "positions": str(norms["position"].max() + 1),
        "norm / stream's": f"{largest.min():.2g} to {largest.max():.2g}",
        "prompts": "'Calm' - 'Anger'",
    }
    assert rows[2]["prompts"] == "like love-hate, seed 0"


@pytest.mark.workflow
def test_after_a_run_nothing_is_to_compute(here):
    rows = plan_rows()
    assert {name: row["cells"] for name, row in rows.items()} == {
        "sweep": "5",
        "chosen": "3",
        "ratio": "3",
    }
    for row in rows.values():
        assert row["in store"] == row["cells"] and row["to compute"] == "0"
        assert row["passes"] == row["tokens"] == "0" and row["time"] == "0 s"


@pytest.mark.workflow
def test_a_plan_tells_the_cells_that_a_change_asks_for(here):
    settings = tiny.config()
    changed = settings["experiments"]["ratio"]["conditions"]["actadd"]["additions"][0]
    changed["coefficient"] = [1, 2, 3, -1]
    settings["experiments"]["sweep"]["samples"] = 3
    here.configure(settings)
    rows = plan_rows()
    assert (rows["ratio"]["in store"], rows["ratio"]["to compute"]) == ("3", "2")
    # 4 texts on both new conditions, each read once.
    texts = pd.read_parquet("results/logprobs/tiny/ratio.parquet")
    once = texts[texts["method"] == "unsteered"].groupby("text_id")["token_index"].max() + 1
    assert rows["ratio"]["tokens"] == f"{2 * once.sum():,}"
    # 2 prompts, 3 samples and 5 tokens a cell; what is read comes on top.
    assert (rows["sweep"]["in store"], rows["sweep"]["to compute"]) == ("0", "5")
    drawn = 5 * 2 * 3 * 5
    assert drawn < int(rows["sweep"]["tokens"]) < 3 * drawn
    assert rows["sweep"]["time"].endswith(" s") and rows["sweep"]["time"] != "0 s"
    # The choice is made on the sweep, so what it leads to is not known yet.
    assert rows["chosen"]["in store"] == "?" and rows["chosen"]["to compute"] == "<= 3"
    assert rows["chosen"]["time"].startswith("~ ")
    assert "results/choices/tiny/chosen.json will be made again: chosen on" in actadd("plan")


def test_why_names_keys_with_values_cells_and_time(here):
    assert actadd("why", "fig_ratio") == "fig_ratio is up to date\n"
    settings = tiny.config()
    added = settings["experiments"]["ratio"]["conditions"]["actadd"]["additions"][0]
    added["coefficient"] = [1, 2, 3]
    here.configure(settings)
    lines = actadd("why", "fig_ratio").splitlines()
    rows = {
        name: (why, cells) for name, why, cells, _ in (line.split("\t") for line in lines[1:-1])
    }
    key = "conditions.actadd.additions.0.coefficient"
    assert rows["logprobs/tiny/ratio"] == (f"{key} [1,2] -> [1,2,3]", "1 of 4 cells")
    assert rows["figure/ratio"][0].endswith("above: summary")
    # The run says the same sentence.
    assert f"logprobs/tiny/ratio is outdated: {key} [1,2] -> [1,2,3]" in here.run("-n", "fig_ratio")


def costs() -> Costs:
    """Of the workspace that we are in."""
    return Costs(Graph(configured([]), Path.cwd()))


@pytest.mark.workflow
def test_time_comes_from_the_jobs_that_have_run(here):
    known = costs()
    job = known.graph.cells("tiny", "ratio")
    note = read_json(layout.note(job.stage, **job.names))
    took = benchmark_seconds(Path(layout.benchmark(job.stage, **job.names)))
    assert note["computed"] == 3 and 0 < note["seconds"] < took
    work = Work(**note["work"])
    assert known.measured(job, work).seconds == pytest.approx(took)
    twice = replace(work, read=2 * work.read)
    assert known.measured(job, twice).seconds == pytest.approx(took + note["seconds"])
    settings = tiny.config()
    settings["experiments"]["sweep"]["samples"] = 3
    here.configure(settings)
    assert "rough" not in actadd("plan")
    # In batches of another size nothing has run yet.
    settings["compute"]["batch_rows"] = 8
    here.configure(settings)
    assert plan_rows()["sweep"]["time"].startswith("~ ")
    assert "rough rates, as no job like it has run here: chosen on tiny, ratio on tiny" in actadd(
        "plan"
    )


@pytest.mark.workflow
def test_the_time_of_a_scorer_is_that_of_what_it_has_not_scored(here):
    settings = tiny.config()
    settings["experiments"]["sweep"]["scorers"] = ["distinct", "fluency"]

    def forecast():
        here.configure(settings)
        return planning.forecast(costs(), "tiny", "sweep")

    result = forecast()
    assert result.missing == 0 and result.seconds > 0 and result.rough
    here.run("--", "results/scores/tiny/sweep/fluency.parquet")
    assert forecast().seconds == 0
    note = read_json("results/benchmarks/scores/tiny/sweep/fluency.cells.json")
    assert note["computed"] == 5 and note["work"] == {"completions": 5 * 2 * 2}
    settings["experiments"]["sweep"]["samples"] = 3
    result = forecast()
    assert result.missing == 5 and not result.rough
    known = costs()
    jobs = known.graph.cells("tiny", "sweep"), known.graph.scores("tiny", "sweep", "fluency")
    times = map(known.measured, jobs, (result.work, Work(completions=5 * 2 * 3)))
    assert result.seconds == pytest.approx(sum(time.seconds for time in times))


@pytest.mark.workflow
def test_what_tables_and_config_use_is_kept_and_the_rest_removed(here):
    store = here.folder / "results/store"
    used = set(store.rglob("*.parquet"))
    stale = store / "ab" / f"{'ab' * 32}.parquet"
    stale.parent.mkdir(exist_ok=True)
    stale.write_bytes(b"x" * 2000)
    failed = stale.with_name(f"{'ab' * 32}.failed.json")
    failed.write_text("{}")
    assert f"{len(used) + 1} cells" in actadd("store")
    printed = actadd("store", "--prune", "--dry-run")
    assert stale.exists() and str(stale.relative_to(here.folder)) in printed
    assert "2 files with 2.0 kB would be removed" in printed
    printed = actadd("store", "--prune")
    assert "2 files with 2.0 kB removed" in printed
    assert set(store.rglob("*.parquet")) == used and not failed.exists()


@pytest.mark.workflow
def test_cells_without_a_table_are_kept_for_the_config_and_go_with_it(here):
    """A killed run has finished cells that no table holds yet."""
    store = here.folder / "results/store"
    used = set(store.rglob("*.parquet"))
    for folder in ("completions", "logprobs", "scores"):
        for path in (here.folder / "results" / folder).rglob("ratio.parquet"):
            path.unlink()
    actadd("store", "--prune")
    assert set(store.rglob("*.parquet")) == used
    settings = tiny.config()
    del settings["experiments"]["ratio"], settings["figures"]["ratio"]
    here.configure(settings)
    assert "3 files" in actadd("store", "--prune")
    assert len(set(store.rglob("*.parquet"))) == len(used) - 3


@pytest.mark.workflow
def test_nothing_is_pruned_while_the_workflow_runs(here):
    (here.folder / ".snakemake/locks").mkdir(exist_ok=True)
    (here.folder / ".snakemake/locks/0.input.lock").touch()
    assert "the workflow is running here" in actadd("store", "--prune", code=1)
