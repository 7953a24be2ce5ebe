"""Tables with a column of additions as CSV: one plain column for each coordinate, no JSON."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.measure.additions import DEFAULT_OPERATION

ADDITIONS = "additions"


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table with its additions spread over columns, see `flat`; numbers with 6 digits."""
    flat(table).to_csv(path, index=False, float_format="%.6g")


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """A table with plain columns in place of its JSON column `additions`.

    What the other columns say of a single addition stays there; what only the JSON says, such as
    `operation`, `dose`, `layers` or `gate.threshold`, gets a column of its name. Each of several
    additions has columns with its number: `vector.1`, `layer.1`, `vector.2`. A column that would
    say only what is usual is left out.
    """
    if ADDITIONS not in table:
        return table
    at = table.columns.get_loc(ADDITIONS)
    plain = table.drop(columns=ADDITIONS)
    coordinates = [
        _coordinates(json.loads(text) if text else [], set(map(str, plain)))
        for text in table[ADDITIONS]
    ]
    named = dict.fromkeys(key for row in coordinates for key, value in row.items() if _told(value))
    spread = pd.DataFrame(
        [{key: row.get(key) for key in named} for row in coordinates], plain.index
    )
    return pd.concat([plain.iloc[:, :at], spread, plain.iloc[:, at:]], axis=1)


def _coordinates(additions: list[dict[str, Any]], known: set[str]) -> dict[str, Any]:
    """The coordinates of a row's additions that other columns do not hold."""
    if len(additions) == 1:
        return {key: value for key, value in _spread(additions[0]) if key not in known}
    return {
        f"{key}.{number}": value
        for number, addition in enumerate(additions, start=1)
        for key, value in _spread(addition)
    }


def _spread(addition: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    """(column, value) of an addition's keys; dots stand between keys in one another."""
    if not inside:
        addition = {"operation": DEFAULT_OPERATION, **addition}
    for key, value in addition.items():
        if isinstance(value, dict):
            yield from _spread(value, f"{inside}{key}.")
        elif isinstance(value, list):
            yield f"{inside}{key}", " ".join(map(str, value))
        else:
            yield f"{inside}{key}", value


def _told(value: Any) -> bool:
    """Whether a value is more than the usual one."""
    return value is not None and value is not False and value != DEFAULT_OPERATION
