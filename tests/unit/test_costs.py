"""What cells take, against what was computed for them; and how long finished jobs took."""

import numpy as np
import pandas as pd
import pytest

from actadd.base.files import read_json, write_json
from actadd.config.checks import checked
from actadd.data import datasets
from actadd.measure.measurement import measure
from actadd.measure.measures import MEASURES
from actadd.measure.work import Work, of_texts
from actadd.pipeline import layout
from actadd.pipeline.costs import Costs
from actadd.pipeline.graph import Graph
from actadd.pipeline.resources import START, Needs
from actadd.pipeline.small_jobs import small_jobs
from actadd.store import provenance
from actadd.vectors.vector_files import write_vector
from builders import tiny
from builders.plugins import loaded

TEXTS = ["The ship left the port with its cargo", "The bride went home"]
# Reads texts as log-probabilities are read, three times.
THRICE = """
from actadd.measure.measures import measure
from actadd.measure.measures.logprobs import logprobs


@measure(readings=3)
def thrice(experiment, texts):
    \"\"\"What is read three times.\"\"\"
    return logprobs(experiment, texts)
"""


@pytest.fixture
def noted(prepared, tmp_path):
    """Measure a condition on two texts: (measure, **spec) -> the table, and the job's note."""
    datasets.prepare({"name": "t", "title": "t", "texts": TEXTS}, None, tmp_path / "t.parquet")
    vector = tmp_path / "v/vector.safetensors"
    write_vector(vector, {1: np.ones((2, 32), np.float32)})
    addition = {"vector": "v", "layer": 1, "coefficient": [1, 2]}

    def run(name: str, **changes):
        spec = {
            **{"name": "e", "measure": name, "model": "tiny", "prompts": {"split": "all"}},
            **{"dtype": "float32", "compute": {"device": "cpu", "threads": 1}, "batch_rows": 16},
            "conditions": {"a": {"method": "actadd", "additions": [addition]}},
            **changes,
        }
        measure(
            spec,
            model_dir=prepared,
            texts_file=tmp_path / "t.parquet",
            vector_files={"v": vector},
            choice=None,
            store=tmp_path / "store",
            output=tmp_path / "table.parquet",
            note=str(tmp_path / "note.json"),
        )
        return pd.read_parquet(tmp_path / "table.parquet"), read_json(tmp_path / "note.json")

    return run


def test_given_texts_are_counted_token_by_token(noted):
    table, note = noted("logprobs")
    # The table lacks each text's first token, BOS.
    tokens = len(table) + 2 * len(TEXTS)
    # Texts of different lengths are batches of their own, and a text takes eight rows.
    assert note["work"] == vars(Work(passes=4, read=tokens))
    assert (note["computed"], note["reused"], note["failed"]) == (2, 0, 0)
    assert note["seconds"] > 0
    _, again = noted("logprobs")
    assert again["work"] == vars(Work()) and (again["computed"], again["reused"]) == (0, 2)


def test_divergence_reads_each_text_twice(noted):
    table, note = noted("divergence")
    assert note["work"] == vars(Work(passes=8, read=2 * len(table)))


def test_completions_are_counted_with_what_fills_their_batches(noted):
    spec = {"samples": 3, "max_new_tokens": 4, "sampling": {"temperature": 1}, "seed": 0}
    _, note = noted("completions", **spec)
    work = Work(**note["work"])
    # Two cells of two prompts; batches of five prompts with three samples each.
    assert (work.drawn, work.completions) == (2 * 2 * 3 * 4, 12)
    assert work.computed == 5 * 3 * 4 * work.passes // 4
    contrasted = {"method": "preadd", "prefix": "Kind.", "strength": 1}
    _, note = noted("completions", **spec, conditions={"a": contrasted})
    assert Work(**note["work"]).computed >= 2 * Work(**note["work"]).drawn


def test_a_measure_of_a_users_own_declares_its_work(noted, tmp_path):
    plugin = tmp_path / "thrice.py"
    plugin.write_text(THRICE)
    with loaded(plugin):
        table, note = noted("thrice")
        costs = of_texts(MEASURES["thrice"], {}, texts=4, tokens=100, batches=2)
    assert note["work"] == vars(Work(passes=3 * 4, read=3 * (len(table) + 2 * len(TEXTS))))
    assert costs == Work(passes=6, read=300)


@pytest.fixture
def costs(tmp_path):
    tiny.write_data(tmp_path)
    return Costs(Graph(checked(tiny.config(), tmp_path), tmp_path), lambda path: tmp_path / path)


def finish(costs: Costs, shard: str, work: Work, seconds: float, whole: float) -> None:
    """Files of a shard of the experiment `chosen` that has run."""
    job = costs.graph.cells_shard("tiny", "chosen", shard, "2")
    counts = {"computed": 1, "reused": 0, "failed": 0}
    note = {**counts, "seconds": seconds, "work": vars(work)}
    write_json(costs.locate(layout.note(job.stage, **job.names)), note)
    write_json(costs.locate(job.record), {"spec": job.spec})
    benchmark = costs.locate(layout.benchmark(job.stage, **job.names))
    benchmark.write_text(f"s\th:m:s\n{whole}\t0:00:00\n")


def test_time_is_that_of_jobs_that_computed_alike(costs):
    job, other = costs.graph.cells("tiny", "sweep"), costs.graph.cells("tiny", "ratio")
    work = costs.work("tiny", "sweep")
    assert costs.measured(job, work) is None
    finish(costs, "0", work, 30, 40)
    del costs.paces
    assert costs.measured(job, work).seconds == pytest.approx(10 + 30)
    # The larger job counts more; starts are averaged.
    finish(costs, "1", Work(computed=3 * work.computed, read=3 * work.read), 30, 36)
    del costs.paces
    assert costs.measured(job, work).seconds == pytest.approx(8 + 15)
    assert costs.measured(other, costs.work("tiny", "ratio")) is None
    # Another dtype computes at another pace.
    costs.config["models"]["tiny"]["dtype"] = "bfloat16"
    faster = Costs(Graph(costs.config, costs.graph.root), costs.locate)
    assert faster.measured(faster.graph.cells("tiny", "sweep"), work) is None


def test_a_job_asks_for_less_time_where_such_jobs_took_less_and_never_for_more(costs):
    costs.config["models"]["tiny"]["parameters"] = 10**11
    work = costs.work("tiny", "sweep")
    rough = costs.rough(costs.graph.cells("tiny", "sweep"), work).seconds

    def asked() -> int:
        return Needs(costs.graph, costs.locate).cells("tiny", "sweep").minutes

    before = asked()
    finish(costs, "0", work, rough / 8, rough / 8)
    assert START < asked() < before / 2
    finish(costs, "0", work, 100 * rough, 100 * rough)
    assert asked() == before


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"seconds": 1, "work": {"words": 1}}'])
def test_notes_that_say_nothing_are_passed_over(costs, content):
    finish(costs, "0", costs.work("tiny", "sweep"), 30, 40)
    job = costs.graph.cells_shard("tiny", "chosen", "0", "2")
    costs.locate(layout.note(job.stage, **job.names)).write_text(content)
    assert costs.paces == {}


def test_small_jobs_take_what_finished_ones_of_their_stage_took(costs):
    jobs = costs.graph.target("all")
    rough = small_jobs(costs, jobs)
    vectors = [job for job in jobs if job.stage == "vectors"]
    # No scorer of these experiments runs a model.
    assert len(rough) == sum(job.stage not in ("cells", "cells_shard") for job in jobs)
    assert len(vectors) > 1
    made, *others = vectors
    request = {key: value for key, value in made.request.items() if key != "inputs"}
    provenance.write(
        costs.locate(made.record), stage="vectors", facts={}, outputs=[], inputs={}, **request
    )
    benchmark = costs.locate(layout.benchmark(made.stage, **made.names))
    benchmark.parent.mkdir(parents=True, exist_ok=True)
    benchmark.write_text("s\th:m:s\n1000\t0:16:40\n")
    learned = small_jobs(costs, jobs)
    assert len(learned) == len(rough) - 1
    assert learned.count(1000) == len(others)
