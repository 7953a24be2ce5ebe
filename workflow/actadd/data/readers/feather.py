"""Feather and Arrow files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.data.content import File
from actadd.data.readers.kinds import Options, reader
from actadd.data.readers.parquet import binary_table

if TYPE_CHECKING:
    import pandas as pd


@reader(Options, suffixes=(".feather", ".arrow"))
def feather(file: File, options: Options) -> pd.DataFrame:
    """Rows of an Arrow file or stream; nested fields get dotted names."""
    return binary_table(file)
