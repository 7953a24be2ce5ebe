"""LAMA (Petroni et al., 2019): sentences with a masked word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actadd.data.content import File
from actadd.data.readers.kinds import TextOptions, reader
from actadd.data.records import of_lines

if TYPE_CHECKING:
    import pandas as pd


@reader()
def lama(file: File, options: TextOptions) -> pd.DataFrame:
    """LAMA's sentences: text is what stands before the mask, target what was masked."""
    import pandas as pd

    rows = {}
    items = of_lines(file, "masked_sentences", "obj_label", "pred")
    for number, item in items.items():
        if not isinstance(item["masked_sentences"], list):
            raise ValueError(f"row {number}: masked_sentences is not a list")
        before, mask, _ = " ".join(item["masked_sentences"]).partition("[MASK]")
        if mask:
            text = before.rstrip()
            rows[number] = (text, before[len(text) :] + item["obj_label"], item["pred"])
    columns = ["text", "target", "group"]
    return pd.DataFrame(list(rows.values()), columns=columns, index=list(rows), dtype=object)
