"""How what was measured is summarised: one file for each measure, of its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actadd.base.kinds import Kind, Kinds, NoOptions, declares


@dataclass(frozen=True, kw_only=True)
class Summary(Kind):
    """The summary of the measure of its name.

    options: keys of an experiment that the summary reads and no cell depends on.

    function(spec, cells, scores, csv, parquet) writes both files and returns facts about them.
    spec: the options, and of a measure that draws `shares`: scorer -> its metrics that are shares.
    cells: the experiment's table. scores: scorer -> its table.
    """


def summary(
    options: type = NoOptions, *, name: str | None = None
) -> Callable[[Callable[..., dict[str, Any]]], Summary]:
    """Declare the summary of a measure; its name is the function's unless told."""
    return declares(Summary, options, name)


SUMMARIES: Kinds[Summary] = Kinds(Summary, __name__, "summary")
