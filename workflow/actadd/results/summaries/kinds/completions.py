"""The summary of completions."""

from pathlib import Path
from typing import Any

from actadd.results.summaries.kinds import summary


@summary()
def completions(
    spec: dict[str, Any], cells: Path, scores: dict[str, Path], csv: Path, parquet: Path
) -> dict[str, Any]:
    """Means of each scorer's metrics."""
    from actadd.results.summaries.completion_scores import summarise_completions

    return summarise_completions(spec, completions=cells, scores=scores, csv=csv, parquet=parquet)
