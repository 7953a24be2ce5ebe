"""JSON Lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.data.content import File
from actadd.data.readers.kinds import TextOptions, reader
from actadd.data.records import flat, of_lines

if TYPE_CHECKING:
    import pandas as pd


@reader(suffixes=(".jsonl", ".ndjson"))
def jsonl(file: File, options: TextOptions) -> pd.DataFrame:
    """Objects, one on each line; nested fields get dotted names."""
    return flat(of_lines(file))
