"""Cells of a table, the draws that form one control, and the unsteered cell to compare with."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from actadd.engine.decoding.sampling import SAMPLING

COORDINATES = [
    "model",
    "experiment",
    "condition",
    "method",
    "vector",
    "source_layer",
    "layer",
    "coefficient",
    "position",
    "dimensions",
    "phase",
    "additions",
    *SAMPLING,
    "seed",
]


def cells_of(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell of a table: `COORDINATES`, draw and cell."""
    columns = [name for name in COORDINATES if name in table]
    columns += ["draw"] if "draw" in table else []
    cells = table.drop_duplicates(["condition", "cell"])[[*columns, "cell"]]
    return cells.reindex(columns=[*COORDINATES, "draw", "cell"])


def coordinates(cell: "pd.Series[Any]") -> dict[str, Any]:
    """A cell's `COORDINATES` as columns of a row."""
    return {str(name): value for name, value in cell[COORDINATES].to_dict().items()}


def controls(cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The cells one by one, except that consecutive draws of a random vector come together."""
    starts = [row for row in range(len(cells)) if not row or not same_control(cells, row)]
    for start, end in zip(starts, [*starts[1:], len(cells)], strict=True):
        yield cells.iloc[start:end]


def same_control(cells: pd.DataFrame, row: int) -> bool:
    """Whether a cell is a draw of the same control as the cell before it."""
    before, cell = cells.iloc[row - 1], cells.iloc[row]
    return bool(pd.notna(cell["draw"])) and cell[COORDINATES].equals(before[COORDINATES])


def failure(failed: list[Any]) -> Any:
    """Why a control has no numbers: a cell's reason, or that of its first failed draw.

    failed: for each draw its reason, or a missing value. A missing value means no failure.
    """
    draws = [draw for draw, reason in enumerate(failed) if pd.notna(reason)]
    if len(failed) == 1 or not draws:
        return failed[0]
    return f"draw {draws[0]} of the random vector: {failed[draws[0]]}"


def unsteered_beside(cells: pd.DataFrame, cell: "pd.Series[Any]") -> "pd.Series[Any] | None":
    """The unsteered cell with the same sampling and seed; None for unsteered cells.

    cells: rows with all COORDINATES that differ within an experiment.
    """
    if cell["method"] == "unsteered":
        return None
    keys = [*SAMPLING, "seed"]
    same = (cells[keys] == cell[keys]) | (cells[keys].isna() & cell[keys].isna())
    unsteered = cells[(cells["method"] == "unsteered") & same.all(axis=1)]
    return None if unsteered.empty else unsteered.iloc[0]
