"""Topic words, counted as the authors count them: lower case, split at non-word characters."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from actadd.base.kinds import Rule, option
from actadd.scorers.kinds import Job, Options, scorer

if TYPE_CHECKING:
    import pandas as pd

WORD = Rule(title="one word in lower case, without punctuation", pattern=r"^[^A-Z\W]+\Z")


@dataclass(frozen=True, kw_only=True)
class WordsOptions(Options):
    words: list[Annotated[str, WORD]] = option(
        "Words that are counted, in upper or lower case.", min_length=1
    )


@scorer(WordsOptions, metrics={"count": False, "any": True})
def words(table: pd.DataFrame, options: WordsOptions, job: Job) -> pd.DataFrame:
    """Topic words. count: of the completion, without the prompt; any: 1 if there is one, else 0.

    A letter and its accent are one character, however they are written.
    """
    import pandas as pd

    topic = {_composed(word) for word in options.words}
    counts = [
        sum(word in topic for word in re.sub(r"\W", " ", _composed(text.lower())).split())
        for text in table["completion"]
    ]
    frame = pd.DataFrame({"count": counts}, index=table.index, dtype="float64")
    return frame.assign(any=(frame["count"] > 0).astype("float64"))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
