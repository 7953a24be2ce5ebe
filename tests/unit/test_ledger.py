"""The ledger of measurements keeps every run, and documents quote its last."""

import pandas as pd
import pytest
from benchmarks import ledger
from benchmarks.common import Result

MACHINE = {"device": "a CPU", "model": "tiny", "dtype": "float32", "commit": "abc1234"}


@pytest.mark.parametrize("path", ledger.DOCUMENTS, ids=lambda path: path.parent.name)
def test_documents_quote_the_ledger(path):
    text = path.read_text(encoding="utf-8")
    assert ledger.QUOTED.search(text)
    assert ledger.quoted(text, ledger.read()) == text, "python -m benchmarks.ledger writes it anew"


def test_a_run_is_added_and_its_items_replace_earlier_ones_in_the_table(tmp_path):
    file = tmp_path / "ledger.csv"
    first = [
        Result("one", "a", 1.23456, "times", 1.5, "at least"),
        Result("one", "b", 9.0, "ms"),
        Result("two", "c", 0.5, "%", 1.0, "at most"),
    ]
    ledger.add(first, MACHINE, file)
    ledger.add([Result("one", "a", 2.0, "times")], {**MACHINE, "commit": "def5678"}, file)
    table = ledger.read(file)
    assert list(table.columns) == list(ledger.COLUMNS)
    assert table["value"].tolist() == [1.235, 9.0, 0.5, 2.0]
    assert table["target"].tolist()[0] == 1.5 and table["bound"].tolist()[2] == "at most"
    assert ledger.latest(table)[["item", "what"]].to_numpy().tolist() == [
        ["one", "a"],
        ["two", "c"],
    ]
    lines = ledger.whole_table(table).splitlines()
    assert [line.rsplit(" | ", 1)[0] for line in lines if line.startswith("| ")][1:] == [
        "| one | a | 2 times | ",
        "| two | c | 0.5 % | at most 1",
    ]
    assert lines.count("a CPU, tiny, float32:") == 1
    assert lines[-2].endswith("abc1234 |") and lines[-3].endswith("def5678 |")


def test_a_failed_measurement_is_not_measured(tmp_path):
    file = tmp_path / "ledger.csv"
    ledger.add([Result("one", "a", float("nan"), "times", 3.0, "at least")], MACHINE, file)
    assert "| one | a | not measured | at least 3 |" in ledger.whole_table(ledger.read(file))


def test_the_span_over_peers_leaves_out_single_calls():
    rows = [
        ("peers", "over x, 16 samples batched", 3.2, "times"),
        ("peers", "over x, one completion a call", 15.0, "times"),
        ("peers", "over x at its best", 2.4, "times"),
    ]
    table = pd.DataFrame(rows, columns=["item", "what", "value", "unit"])
    table = table.assign(date="2026-01-01", commit="abc", machine="m")
    assert ledger.peers(table) == "2 to 3 times"
