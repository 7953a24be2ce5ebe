"""The scorer card: one table of each scorer's agreement with people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.base.files import read_json
from actadd.results.markup import write_table

TITLE = "Agreement of the scorers with people"
CAPTION = (
    "Agreement with people's labels on rows that no scorer was fitted on. accuracy: of the score, "
    "cut in its own middle; auc: area under the ROC curve; spearman: rank correlation with the "
    "label as it is. all: every row; other groups are named by the data."
)


def scorer_card(
    spec: dict[str, Any], *, validations: Mapping[str, Path], csv: Path, markdown: Path, latex: Path
) -> dict[str, Any]:
    """Write the table of each scorer's agreement with people, and on which rows.

    spec: {scorers: entries in order}. validations: figures by scorer. A scorer without
    human labels has a row with a note.
    """
    agreements = {scorer: read_json(path) for scorer, path in validations.items()}
    rows = []
    for entry in spec["scorers"]:
        shared = {"scorer": entry["name"], "kind": entry["kind"]}
        if entry["name"] not in agreements:
            note = "no human labels: " + entry.get("note", "not validated here")
            rows.append({**shared, "note": note})
            continue
        check = entry["validate"]
        for group, figures in agreements[entry["name"]].items():
            note = f"held-out rows of {check['dataset']}, label above {check['threshold']:g}"
            rows.append({**shared, "group": group, **figures, "note": note})
    columns = ["scorer", "kind", "group", "n", "accuracy", "auc", "spearman", "note"]
    card = pd.DataFrame(rows).reindex(columns=columns).astype({"n": "Int64"})
    write_table(
        card.set_index(["scorer", "kind", "group"]),
        title=TITLE,
        caption=CAPTION,
        label="tab:scorer-card",
        csv=csv,
        markdown=markdown,
        latex=latex,
        digits=4,
    )
    return {"scorers": len(spec["scorers"])}
