"""The published numbers beside ours, and the paper's claims tested on our results.

A published number is compared only where model and data are the published ones; elsewhere it is
"not comparable", and the claims state whether the effect has the published direction.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.files import write_text, write_with
from actadd.results.comparison import claims, document, numbers
from actadd.results.comparison.document import numbers_and_claims
from actadd.results.comparison.rows import (
    count_verdicts,
    norm_rows,
    read_published,
    read_summaries,
)

__all__ = ["COLUMNS", "compare", "numbers_and_claims", "read_published"]

ESTIMATES = ["published", "ours", "low", "high", "deviation"]
COLUMNS = [
    "kind",
    "name",
    "title",
    "item",
    "series",
    "layer",
    "x_name",
    "x",
    "y_name",
    "published",
    "precision",
    "source",
    "ours",
    "low",
    "high",
    "model",
    "data",
    "deviation",
    "verdict",
    "reason",
]


def compare(
    spec: dict[str, Any],
    *,
    published: Path | None,
    summaries: list[Path],
    csv: Path,
    markdown: Path,
    latex: Path,
    parquet: Path,
    norms: Mapping[tuple[str, str], Path] | None = None,
) -> dict[str, Any]:
    """Write one row for each published number and model of ours, and for each claim and model.

    spec: `comparisons`, `claims` and `context` (each experiment's data). published: the reference
    table. summaries: the experiments' tables. norms: tables of vector norms by (model, vector),
    which stand for the experiment "norms", see `norm_rows`. Returns the count of each verdict and,
    for each series that is compared on the published model and data, its largest deviation.
    """
    table = comparison_table(spec, published, summaries, norms)
    facts = {
        "numbers": count_verdicts(table[table["kind"] == "number"], numbers.VERDICTS),
        "claims": count_verdicts(table[table["kind"] == "claim"], claims.VERDICTS),
        "series": numbers.largest_deviations(table),
    }
    write_with(parquet, lambda path: table.to_parquet(path, index=False))
    write_with(csv, lambda path: table.to_csv(path, index=False, float_format="%.10g"))
    sections = document.sections(table, facts)
    write_text(markdown, document.markdown(sections))
    write_text(latex, document.latex(sections))
    return facts


def comparison_table(
    spec: dict[str, Any],
    published: Path | None,
    summaries: list[Path],
    norms: Mapping[tuple[str, str], Path] | None = None,
) -> pd.DataFrame:
    """The rows of `compare` with `COLUMNS`: estimates as float64, everything else as text."""
    reference = read_published(published)
    ours = read_summaries(summaries)
    context = dict(spec.get("context", {}))
    if norms:
        ours = pd.concat([ours, norm_rows(norms, spec["relative_to"])], ignore_index=True)
        context["norms"] = {"data": "the contrast prompts themselves"}
    compared = [
        numbers.compare(name, entry, reference, ours, context)
        for name, entry in spec.get("comparisons", {}).items()
    ]
    indices = {index for rows in compared for index in rows.index}
    rest = reference.drop(sorted(indices)).assign(
        kind="number", verdict="not run", reason="no comparison in the config", model="", data=""
    )
    tested = [
        row
        for name, entry in spec.get("claims", {}).items()
        for row in claims.evaluate(name, entry, ours, context)
    ]
    table = pd.concat([*compared, rest, pd.DataFrame(tested)], ignore_index=True)
    table = table.reindex(columns=COLUMNS)
    table[ESTIMATES] = table[ESTIMATES].astype(np.float64)
    texts = table.columns.difference(ESTIMATES)
    table[texts] = table[texts].fillna("").astype(str)
    return table
