"""What an addition costs in time."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import OverheadOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@table(OverheadOptions, reads=("overhead",))
def overhead(options: OverheadOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """What an addition costs in time (paper, inference overhead)."""
    from actadd.measure.overhead import summarise

    caption = (
        "Premium: median over repeats of a steered forward pass's time over the same repeat's "
        "unsteered one, minus 1, with a 95 % bootstrap interval over repeats; arms in random order."
    )
    times = summarise(sources.paths["overhead"])
    measured = ["seconds", "premium", "low", "high", "n"]
    return times.set_index([name for name in times if name not in measured]), caption
