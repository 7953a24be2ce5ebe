"""Completions, unsteered and steered side by side."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.results.displays.kinds import ExperimentOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Qualitative(ExperimentOptions):
    samples: int = option("Completions of each prompt that are shown.", 3, minimum=1)


@table(Qualitative, reads=("cells",), measures=("completions",))
def qualitative(options: Qualitative, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """The first completions of each prompt by sample number, unsteered and steered side by side."""
    import pandas as pd

    from actadd.engine.decoding.sampling import SAMPLING
    from actadd.results.displays.labels import addition_details, failed, failures, unsteered

    table = sources.read("cells")
    lost = failed(table)
    reason = table.get("failed", pd.Series("", table.index)).astype("string")
    table = table.assign(completion=table["completion"].where(~lost, "failed: " + reason))
    table = table[table["sample"] < options.samples]
    keys = ["model", "prompt_id", "sample", *SAMPLING, "seed"]
    baseline = unsteered(table)
    plain = table[baseline].drop_duplicates(keys).set_index(keys)["completion"]
    rows = []
    for _, row in table[~baseline].iterrows():
        draw = [f"draw {row['draw']}"] if pd.notna(row.get("draw")) else []
        vectors = [addition_details(each, *draw) for each in json.loads(row["additions"])]
        rows.append(
            {
                "case": row["condition"],
                "model": row["model"],
                "vector": " + ".join(vectors) or row["prefix"],
                "prompt": row["prompt"],
                "sample": int(row["sample"]),
                "unsteered": plain.get(tuple(row[key] for key in keys), ""),
                "steered": row["completion"],
            }
        )
    first = table.iloc[0]
    caption = (
        f"The first {options.samples} completions of each prompt by sample number; none was chosen."
        f" Sampling: temperature {first['temperature']:g}, top-p {first['top_p']:g}, frequency "
        f"penalty {first['frequency_penalty']:g}, seed {first['seed']}; a sample's noise is the "
        f"same with and without steering. Data: {sources.facts.data}. {failures(table)}"
    )
    index = ["case", "model", "vector", "prompt", "sample"]
    return pd.DataFrame(rows).set_index(index), caption.rstrip()
