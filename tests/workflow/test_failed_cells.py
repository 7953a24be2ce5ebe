"""A cell whose numbers are none fails alone: marked everywhere, averaged nowhere, tried again."""

import copy

import pandas as pd
import pytest

from actadd.store import failed_cells
from builders import tiny

# Overflows in float16.
HUGE = 1e9


def huge(settings: dict, experiments=("sweep", "ratio", "moved")) -> dict:
    """The tiny config with a divergence experiment, and a coefficient that overflows in each."""
    settings["models"]["tiny"]["dtype"] = "float16"
    moved = copy.deepcopy(settings["experiments"]["ratio"])
    settings["experiments"]["moved"] = {**moved, "title": "moved", "measure": "divergence"}
    for name in experiments:
        [addition] = settings["experiments"][name]["conditions"]["actadd"]["additions"]
        settings["experiments"][name]["conditions"]["actadd"] = {
            "method": "actadd",
            "additions": [{**addition, "layer": 1, "coefficient": [1, HUGE]}],
        }
    return settings


@pytest.fixture(scope="module")
def failed(tmp_path_factory, finished):
    """A workspace whose run had failed cells, and what it printed."""
    settings = huge(tiny.config())
    settings["experiments"]["sweep"]["scorers"] = ["distinct", "fluency"]
    folder = tmp_path_factory.mktemp("failed") / "space"
    space = finished.copy_before_cells(folder, settings)
    return space, space.run("--keep-going", fails=True)


@pytest.mark.workflow
def test_the_run_ends_with_an_error_that_names_the_cells(failed):
    space, printed = failed
    assert "3 cells failed; the next run tries them again" in printed
    for job in ("completions/tiny/sweep", "logprobs/tiny/ratio", "divergence/tiny/moved"):
        assert f"{job}: actadd (" in printed
        assert "cells: 2 computed, 0 reused, 1 failed" in space.log(job)
    assert "cells: " in printed and " reused, 3 failed\n" in printed
    assert "Traceback" not in printed
    # Everything else was made all the same.
    assert (space.folder / "results/figures/sweep.png").exists()
    assert (space.folder / "results/summaries/tiny/chosen.parquet").exists()


@pytest.mark.workflow
@pytest.mark.parametrize("experiment", ["sweep", "ratio", "moved"])
def test_summaries_mark_it_and_average_nothing(failed, experiment):
    table = pd.read_parquet(failed[0].folder / f"results/summaries/tiny/{experiment}.parquet")
    broken = table["coefficient"] == HUGE
    others = table[(table["coefficient"] == 1) & (table["layer"] == 1)]
    assert broken.any() and table.loc[broken, "mean"].isna().all()
    assert (table.loc[broken, "n_prompts"] == 0).all()
    assert table.loc[broken, "failed"].str.contains("not numbers").all()
    assert table.loc[~broken, "failed"].isna().all() and others["mean"].notna().any()
    assert set(table[broken]["metric"]) == set(others["metric"])
    assert set(table[broken]["group"]) == set(others["group"])


@pytest.mark.workflow
def test_scores_skip_it(failed):
    for scorer in ("distinct", "fluency"):
        path = failed[0].folder / f"results/scores/tiny/sweep/{scorer}.parquet"
        scores = pd.read_parquet(path)
        broken = scores["failed"].notna()
        assert broken.sum() == 4
        metrics = scores.columns.drop(["condition", "cell", "prompt_id", "sample", "failed"])
        assert scores.loc[broken, metrics].isna().all(axis=None)


@pytest.mark.workflow
def test_the_next_run_tries_it_again_and_the_run_after_success_has_nothing_to_do(failed, tmp_path):
    space = failed[0].copy(tmp_path / "space")
    planned = space.planned()
    assert {"completions", "logprobs", "divergence"} <= planned.keys()
    assert "model" not in planned and "activations_tiny" not in planned
    space.run("--keep-going", "--", "results/logprobs/tiny/ratio.parquet", fails=True)
    assert "cells: 0 computed, 2 reused, 1 failed" in space.log("logprobs/tiny/ratio")
    assert space.planned("--", "results/logprobs/tiny/ratio.parquet") == {"logprobs": 1}

    # What passes by itself, as a fault of a device does: the third attempt succeeds.
    assert failed_cells.read(space.folder / "results/failures/logprobs/tiny/ratio.json")
    settings = huge(tiny.config(), experiments=("sweep", "moved"))
    space.configure(settings)
    space.run("--", "results/logprobs/tiny/ratio.parquet")
    assert space.planned("--", "results/logprobs/tiny/ratio.parquet") == {}


@pytest.mark.workflow
def test_shards_give_the_bytes_of_one_job(finished, tmp_path):
    """Completions, log-probabilities, divergence and a model's scores, with a cell that fails."""

    def outputs(shards: int) -> dict[str, bytes]:
        settings = huge(tiny.config(), experiments=("ratio", "moved"))
        for name in ("sweep", "ratio", "moved"):
            settings["experiments"][name]["shards"] = shards
        settings["experiments"]["sweep"]["scorers"] = ["distinct", "fluency"]
        del settings["experiments"]["chosen"]
        space = finished.copy_before_cells(tmp_path / f"in-{shards}", settings)
        printed = space.run("--keep-going", fails=True)
        assert "2 cells failed" in printed
        if shards > 1:
            assert "cells: 2 computed, 0 reused" in space.log("completions/tiny/sweep_0_of_3")
            log = space.log("scores/tiny/sweep/fluency_0_of_3")
            assert "cells: 2 computed, 0 reused" in log
        return {
            name: content
            for name, content in space.outputs().items()
            if "_of_" not in name and "failures" not in name
        }

    together, apart = outputs(1), outputs(3)
    # What only figures' records would say of each other is left out: these name the same digests.
    assert together.keys() == apart.keys()
    assert [name for name in together if together[name] != apart[name]] == []
