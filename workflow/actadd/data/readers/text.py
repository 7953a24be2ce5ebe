"""Plain text, one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.data.content import File, plain
from actadd.data.readers.kinds import TextOptions, reader

if TYPE_CHECKING:
    import pandas as pd


@reader()
def text(file: File, options: TextOptions) -> pd.DataFrame:
    """The whole of a plain text as one text."""
    import pandas as pd

    return pd.DataFrame({"text": [plain(file.text())]}, index=[1], dtype=object)
