"""What is chosen on a development split: layer, strength or dose, and position."""

import json

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.base.files import read_json
from actadd.config.checks import checked
from actadd.measure.choice import choose
from actadd.measure.conditions import expand
from actadd.pipeline.graph import Graph
from actadd.vectors.kinds.random import Options, random
from builders import rows, tiny

RULE = {"experiment": "sweep", "condition": "actadd", "metric": rows.WORDS, "direction": "max"}


def setting(layer: int, strength: float, effect: float, cost: float = 1.0, **written) -> list[dict]:
    addition = {"vector": "v", "layer": layer, "position": "front", "coefficient": strength}
    addition |= written
    shared = {"layer": layer, "source_layer": layer, "coefficient": strength}
    shared |= {"additions": json.dumps([addition]), "position": str(addition["position"])}
    return [
        rows.row(metric=rows.WORDS, mean=effect, **shared),
        rows.row(metric=rows.COST, mean=cost, **shared),
    ]


@pytest.fixture
def chosen(tmp_path):
    def run(*settings: list[dict], **rule) -> dict:
        unsteered = [rows.unsteered(metric=m, mean=1.0) for m in (rows.WORDS, rows.COST)]
        table = pd.DataFrame([*unsteered, *(row for each in settings for row in each)])
        tiny.none_failed(table).to_parquet(tmp_path / "sweep.parquet")
        spec = {"name": "e", "choices": {"best": {**RULE, **rule}}}
        files = {"sweep": tmp_path / "sweep.parquet"}
        choose(spec, summaries=files, output=tmp_path / "choice.json")
        return read_json(tmp_path / "choice.json")["best"]

    return run


def spelled(choice: dict, **addition):
    added = {"vector": "v", "choice": "best", **addition}
    return expand({"a": {"method": "actadd", "additions": [added]}}, {"best": choice})


def test_a_dose_that_was_swept_is_a_dose_where_it_is_used(chosen):
    plain = chosen(setting(1, 2.0, 0.3), setting(2, 4.0, 0.5))
    assert "strength" not in plain and (plain["layer"], plain["coefficient"]) == (2, 4)
    [condition] = spelled(plain)
    assert not condition.additions[0].dosed
    dosed = chosen(setting(1, 0.5, 0.3, dose=0.5), setting(2, 1.0, 0.2, dose=1.0))
    assert dosed["strength"] == "dose"
    [condition] = spelled(dosed, factor=-1)
    [addition] = condition.additions
    assert addition.dosed and (addition.layer, addition.coefficient) == (1, -0.5)


def test_a_strength_that_is_written_leaves_only_the_layer_to_be_chosen(chosen):
    choice = chosen(setting(1, 2.0, 0.3), setting(2, 4.0, 0.5))
    conditions = spelled(choice, coefficient=[1, 2, 8])
    assert [c.additions[0].coefficient for c in conditions] == [1, 2, 8]
    assert {c.additions[0].layer for c in conditions} == {2}
    [turned] = spelled(choice, operation="rotate", degrees=30)
    assert (turned.additions[0].layer, turned.additions[0].coefficient) == (2, 30)


def test_a_position_is_chosen_only_where_it_was_swept(chosen):
    assert "position" not in chosen(setting(1, 1.0, 0.3), setting(2, 1.0, 0.5))
    choice = chosen(setting(1, 1.0, 0.3), setting(1, 1.0, 0.5, position=3))
    assert choice["position"] == 3 and {"front", "3"} == {
        each["position"] for each in choice["candidates"]
    }
    [condition] = spelled(choice)
    assert condition.additions[0].position == 3
    [condition] = spelled(choice, position="back")
    assert condition.additions[0].position == "back"


def test_over_the_cap_the_least_is_taken_if_the_rule_says_so(chosen):
    settings = [setting(1, 1.0, 0.3, cost=3.0), setting(2, 1.0, 0.9, cost=9.0)]
    cap = {"metric": rows.COST, "factor": 2}
    with pytest.raises(UserError, match=r"choices\.best\.cap: .*raise factor"):
        chosen(*settings, cap=cap)
    choice = chosen(*settings, cap=cap, over_cap="least")
    assert choice["layer"] == 1 and not any(each["allowed"] for each in choice["candidates"])
    assert chosen(*settings, setting(3, 1.0, 0.1), cap=cap, over_cap="least")["layer"] == 3


def test_a_chosen_dose_needs_the_norms_of_what_is_added(tmp_path):
    tiny.write_data(tmp_path)
    config = tiny.config()
    [addition] = config["experiments"]["sweep"]["conditions"]["actadd"]["additions"]
    addition["dose"] = [0.5, 1]
    del addition["coefficient"]
    config["dose"] = {"dataset": "texts"}
    graph = Graph(checked(config, tmp_path), tmp_path)
    assert len(graph.norms_for_doses("tiny", "chosen")) == 1
    assert graph.norms_for_doses("tiny", "ratio") == ()


def test_a_random_vector_is_like_any_vector():
    vector = np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32) * 7
    drawn = random({"mean": vector}, Options(like="mean", seed=0, draws=3))
    assert drawn.shape == (3, 1, 16) and drawn.dtype == np.float32
    assert np.linalg.norm(drawn, axis=2) == pytest.approx(np.linalg.norm(vector), rel=1e-6)
