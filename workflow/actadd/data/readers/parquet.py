"""Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.data.content import File
from actadd.data.readers.kinds import Options, reader

if TYPE_CHECKING:
    import pandas as pd


@reader(Options, suffixes=(".parquet",))
def parquet(file: File, options: Options) -> pd.DataFrame:
    """Rows of a Parquet file; nested fields get dotted names."""
    return binary_table(file)


def binary_table(file: File) -> pd.DataFrame:
    """Rows of Parquet, or of Arrow's own format as a file or a stream."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from actadd.data.records import flat

    data = pa.BufferReader(file.bytes())
    start = data.read(6)
    data.seek(0)
    if start.startswith(b"PAR1"):
        table = pq.read_table(data)
    elif start == b"ARROW1":
        table = pa.ipc.open_file(data).read_all()
    else:
        table = pa.ipc.open_stream(data).read_all()
    return flat(dict(enumerate(table.to_pylist(), 1)), table.column_names)
