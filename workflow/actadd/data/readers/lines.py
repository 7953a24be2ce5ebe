"""Plain text, a row for each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.data.content import File
from actadd.data.readers.kinds import TextOptions, reader

if TYPE_CHECKING:
    import pandas as pd


@reader(suffixes=(".txt",))
def lines(file: File, options: TextOptions) -> pd.DataFrame:
    """Lines of a plain text."""
    import pandas as pd

    texts = file.lines()
    return pd.DataFrame({"text": list(texts.values())}, index=list(texts), dtype=object)
