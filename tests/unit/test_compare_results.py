"""The comparison of two results folders: what is equal, and that no difference is missed."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from tools import compare_results


@pytest.fixture
def folders(tmp_path):
    """Two results folders that differ in nothing but the cells' names and the records."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, cell in ((old, "one"), (new, "two")):
        for name in ("completions/m", "summaries/m", "vectors/m/v", "choices/m", "store/ab"):
            (folder / name).mkdir(parents=True)
        rows(cell).to_parquet(folder / "completions/m/e.parquet")
        rows(cell).to_parquet(folder / f"store/ab/{cell}.parquet")
        (folder / "summaries/m/e.csv").write_text(f"cell,mean,n\n{cell},0.5,3\n{cell},,4\n")
        vector(folder, np.arange(6, dtype=np.float32).reshape(2, 3))
        choice = {"best": {"layer": 3, "coefficient": 2.0, "cell": cell}}
        (folder / "choices/m/e.json").write_text(json.dumps(choice))
        (folder / "choices/m/e.provenance.json").write_text(f'"{cell}"')
    return old, new


def rows(cell: str = "two", **changes) -> pd.DataFrame:
    columns = {
        "cell": [cell] * 4,
        "text": ["a", "b", None, "d"],
        "logprob": np.array([-1.0, np.nan, 0.0, -3.5]),
        "rank": pd.array([1, None, 3, 4], dtype="Int32"),
        "tokens": [[1, 2], [], None, [3]],
    }
    return pd.DataFrame({**columns, **changes})


def vector(folder: Path, values: np.ndarray, **metadata: str) -> None:
    save_file({"vector": values}, folder / "vectors/m/v/layer_00.safetensors", metadata or None)


def compared(old: Path, new: Path, *options: str) -> tuple[int, str]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            code = compare_results.main([str(old), str(new), *options])
        except SystemExit as stop:
            code = stop.code
    return code, output.getvalue()


def test_folders_that_differ_in_cells_and_records_only_are_equal(folders):
    assert compared(*folders) == (0, "4 files equal, 0 not, 0 ignored\n")


def test_as_a_program_it_says_so_in_its_exit_code(folders):
    vector(folders[1], np.ones((2, 3), np.float32))
    script = Path(compare_results.__file__)
    done = subprocess.run([sys.executable, script, *folders], capture_output=True, text=True)
    assert done.returncode == 1 and "differs: vectors/m/v/layer_00.safetensors" in done.stdout


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"text": ["a", "b", None, "e"]}, "column text: 1 of 4 rows differ\n"),
        ({"text": ["a", "b", "", "d"]}, "column text: 1 of 4 rows differ\n"),
        ({"logprob": [-1.0, np.nan, 0.0, -3.25]}, "logprob: 1 of 4 rows differ, by 0.25 at most"),
        # One bit of a number, the sign of a zero, and a number where there was none.
        ({"logprob": [np.nextafter(-1, 0), np.nan, 0.0, -3.5]}, "1 of 4 rows differ, by 1.11e-16"),
        ({"logprob": [-1.0, np.nan, -0.0, -3.5]}, "column logprob: 1 of 4 rows differ, by 0 at"),
        ({"logprob": [-1.0, 7.0, 0.0, -3.5]}, "column logprob: 1 of 4 rows differ\n"),
        ({"logprob": np.array([-1, np.nan, 0, -3.5], "f4")}, "column logprob (type): 1 of 1"),
        ({"rank": pd.array([4, None, 3, 1], "Int32")}, "rank: 2 of 4 rows differ, by 3 at most"),
        ({"rank": pd.array([1, 2, 3, 4], "Int32")}, "column rank: 1 of 4 rows differ\n"),
        ({"tokens": [[1, 5], [], None, [3]]}, "tokens: 1 of 4 rows differ, by 3 at most"),
        ({"tokens": [[1], [], None, [3]]}, "column tokens: 1 of 4 rows differ\n"),
        ({"extra": 1}, "column extra only in NEW"),
    ],
)
def test_each_difference_of_a_table_is_reported(folders, changes, expected):
    rows(**changes).to_parquet(folders[1] / "completions/m/e.parquet")
    code, output = compared(*folders)
    assert code == 1 and expected in output and "differs: completions/m/e.parquet" in output
    assert output.endswith("3 files equal, 1 not, 0 ignored\n")


def test_rows_and_columns_have_an_order(folders):
    file = folders[1] / "completions/m/e.parquet"
    rows().iloc[::-1].to_parquet(file)
    assert "column text: 4 of 4 rows differ" in compared(*folders)[1]
    rows().iloc[:3].to_parquet(file)
    assert "column text: 4 rows in OLD, 3 in NEW" in compared(*folders)[1]
    rows().drop(columns="rank").to_parquet(file)
    assert "column rank only in OLD" in compared(*folders)[1]
    rows()[["cell", "logprob", "text", "rank", "tokens"]].to_parquet(file)
    code, output = compared(*folders)
    assert code == 1 and "columns in another order" in output


def test_text_tables_vectors_and_choices(folders):
    old, new = folders
    (new / "summaries/m/e.csv").write_text("cell,mean,n\ntwo,0.75,3\ntwo,,4\n")
    vector(new, np.array([[0, 1, 2], [3, 4, 5.5]], np.float32), actadd="x")
    choice = {"best": {"layer": 4, "coefficient": 2.0, "cell": "two"}}
    (new / "choices/m/e.json").write_text(json.dumps(choice))
    code, output = compared(old, new)
    assert code == 1
    for expected in (
        "column mean: 1 of 2 rows differ, by 0.25 at most",
        "column vector: 1 of 6 rows differ, by 0.5 at most",
        "column metadata: 1 of 1 rows differ",
        "column best.layer: 1 of 1 rows differ, by 1 at most",
    ):
        assert expected in output
    vector(new, np.zeros((3, 2), np.float32))
    assert "column vector (form): 1 of 1 rows differ" in compared(old, new)[1]
    vector(new, np.zeros((2, 3), np.float16))
    assert "column vector (form): 1 of 1 rows differ" in compared(old, new)[1]


def test_files_of_one_side_and_explained_ones(folders):
    old, new = folders
    shutil.copy(new / "summaries/m/e.csv", new / "summaries/m/more.csv")
    (new / "choices/m/e.json").unlink()
    code, output = compared(old, new)
    assert code == 1
    assert (
        "only in NEW: summaries/m/more.csv" in output and "only in OLD: choices/m/e.json" in output
    )
    code, output = compared(old, new, "--ignore", "summaries/*/more.csv", "--ignore", "choices/*")
    assert (code, output) == (0, "3 files equal, 0 not, 2 ignored\n")


@pytest.mark.parametrize("path", ["completions/m/e.parquet", "choices/m/e.json"])
def test_half_a_file_is_a_difference(folders, path):
    file = folders[1] / path
    file.write_bytes(file.read_bytes()[:20])
    code, output = compared(*folders)
    assert code == 1 and f"differs: {path}\n  NEW cannot be read: " in output


def test_nothing_to_compare_is_an_error(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    code, output = compared(tmp_path / "empty", tmp_path / "empty")
    assert code == 2 and "nothing to compare" in output
    code, output = compared(folders[0], tmp_path / "missing")
    assert code == 2 and "is not a folder" in output


@pytest.mark.parametrize("changed", [False, True])
def test_a_vector_in_a_file_for_each_layer_is_compared_with_one_file(folders, changed):
    old, new = (folder / "vectors/m/v" for folder in folders)
    for folder in (old, new):
        (folder / "layer_00.safetensors").unlink()
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    for layer in range(2):
        save_file({"vector": values[layer]}, old / f"layer_{layer:02d}.safetensors")
    # A vector of a file that lacks a layer.
    save_file({"vector": values[0, :0]}, old / "layer_02.safetensors")
    one_file = {"layer.0": values[0], "layer.1": values[1] + changed}
    save_file(one_file, new / "vector.safetensors", {"actadd": "{}"})
    code, output = compared(*folders)
    assert code == changed
    assert ("differs: vectors/m/v\n  column layer.1: 6 of 6 rows differ" in output) == changed
