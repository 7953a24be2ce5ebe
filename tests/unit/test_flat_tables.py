"""Tables as CSV: a plain column for each coordinate, which `cut`, pandas and spreadsheets read."""

import json

import pandas as pd

from actadd.measure.conditions import Condition, column_types, expand
from actadd.results.flat_tables import flat, write_csv


def table(**conditions: dict) -> pd.DataFrame:
    """The coordinates of some conditions, with a value each."""
    rows = [each.coordinates() for each in expand(conditions)]
    frame = pd.DataFrame(rows).astype(column_types(False))
    return frame.assign(mean=[number + 1 / 3 for number in range(len(rows))])


UNSTEERED = {"method": "unsteered"}
USUAL = {"vector": "a", "layer": 6, "coefficient": 2}


def added(*additions: dict) -> dict:
    return {"method": "actadd", "additions": list(additions)}


def test_a_usual_addition_is_in_the_columns_that_exist():
    before = table(u=UNSTEERED, one=added(USUAL))
    assert list(flat(before)) == [name for name in before if name != "additions"]


def test_what_only_the_json_said_gets_columns_in_its_place():
    gate = {"vector": "b", "layer": 1, "threshold": 0.5}
    spread = flat(
        table(
            u=UNSTEERED,
            one=added(USUAL),
            dosed=added({"vector": "a", "layers": [1, 2], "dose": 0.5, "gate": gate}),
            turned=added({"vector": "a", "layer": 1, "operation": "rotate", "degrees": 30}),
        )
    ).set_index("condition")
    assert spread["operation"].fillna("").to_dict() == {
        **{"u": "", "one": "add", "dosed": "add", "turned": "rotate"}
    }
    assert spread.loc["dosed", ["layers", "dose", "gate.vector", "gate.threshold"]].tolist() == [
        *("1 2", 0.5, "b", 0.5)
    ]
    assert spread.loc["turned", "degrees"] == 30 and "match_norm" not in spread
    # Where the column of JSON was, before what is measured.
    assert list(spread)[-1] == "mean" and list(spread).index("operation") > list(spread).index(
        "phase"
    )


def test_several_additions_have_columns_with_their_numbers():
    both = added(USUAL, {"vector": "b", "layer": 7, "coefficient": -3})
    spread = flat(table(u=UNSTEERED, both=both)).set_index("condition").loc["both"]
    assert spread["vector"] == "a+b" and pd.isna(spread["layer"])
    names = ["vector.1", "layer.1", "coefficient.1", "vector.2", "layer.2", "coefficient.2"]
    assert spread[names].tolist() == ["a", 6, 2, "b", 7, -3]


def test_a_file_has_no_json_and_keeps_every_number(tmp_path):
    before = table(u=UNSTEERED, one=added(USUAL), two=added(USUAL, USUAL))
    write_csv(before, tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    assert not set('[]{}"') & set(text)
    assert {line.count(",") for line in text.splitlines()} == {text.splitlines()[0].count(",")}
    assert pd.read_csv(tmp_path / "t.csv")["mean"].tolist() == [0.333333, 1.33333, 2.33333]


def test_a_condition_s_record_is_what_is_spread():
    [condition] = expand({"one": added(USUAL)})
    assert isinstance(condition, Condition)
    [record] = json.loads(condition.coordinates()["additions"])
    columns = set(flat(table(one=added(USUAL), two=added(USUAL, USUAL))))
    told = {key for key, value in record.items() if value not in (None, False)}
    assert {f"{key}.1" for key in told} <= columns
