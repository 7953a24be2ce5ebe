"""The summary of divergences."""

from pathlib import Path
from typing import Any

from actadd.results.summaries.kinds import summary


@summary()
def divergence(
    spec: dict[str, Any], cells: Path, scores: dict[str, Path], csv: Path, parquet: Path
) -> dict[str, Any]:
    """KL divergence from unsteered predictions, and probabilities of watched tokens."""
    from actadd.results.summaries.divergences import summarise_divergence

    return summarise_divergence(spec, divergence=cells, csv=csv, parquet=parquet)
