"""The summary of log-probabilities."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.results.summaries.kinds import summary


@dataclass(frozen=True, kw_only=True)
class Options:
    ranks: list[Annotated[int, Rule(minimum=1)]] = option(
        "The Ks of precision at K, for texts with targets.", [1, 10], min_length=1, unique=True
    )
    mask: bool | None = option(
        "Leave out predictions at positions that a condition changed directly; true if not given.",
        None,
    )


@summary(Options)
def logprobs(
    spec: dict[str, Any], cells: Path, scores: dict[str, Path], csv: Path, parquet: Path
) -> dict[str, Any]:
    """Ratios of perplexities, and ranks of target tokens."""
    from actadd.results.summaries.log_probabilities import summarise_logprobs

    return summarise_logprobs(spec, logprobs=cells, csv=csv, parquet=parquet)
