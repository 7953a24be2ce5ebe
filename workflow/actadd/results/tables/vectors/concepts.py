"""Concepts in two wordings of their contrast pair, one by one."""

from typing import TYPE_CHECKING

from actadd.results.displays.concept_options import OTHERS, ConceptOptions
from actadd.results.displays.kinds import Sources, table

if TYPE_CHECKING:
    import pandas as pd


@table(ConceptOptions, reads=("tables", "scores"), measures=("completions",), others=OTHERS)
def concepts(options: ConceptOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """A row for each concept and wording: chosen layer, gain, control, gain minus control."""
    import pandas as pd

    from actadd.results.displays.concepts import gather, sentences
    from actadd.results.displays.estimates import interval_texts, two_digits

    rows = gather(options, sources)
    columns = {
        "layer": rows["layer"],
        "unsteered": [f"{value:.3f}" for value in rows["unsteered"]],
        "gain": interval_texts(rows, "gain"),
        "p": two_digits(rows["p"]),
        "gain of the control": interval_texts(rows, "control"),
        "gain minus control": interval_texts(rows, "net"),
        "detectable": two_digits(rows["detectable"]),
        "disfluency ratio": [f"{value:.2f}" for value in rows["damage"]],
    }
    if rows["failed"].notna().any():
        columns["failed"] = rows["failed"].fillna("")
    keys = ["model", "concept", "wording"]
    table = pd.DataFrame(columns).set_index(pd.MultiIndex.from_frame(rows[keys]))
    order = rows.groupby(keys[:2])["gain"].transform("mean")
    table = table.iloc[
        pd.DataFrame({"model": rows["model"], "gain": -order, "concept": rows["concept"]})
        .sort_values(["model", "gain", "concept"], kind="stable")
        .index
    ]
    caption = (
        "The gain is the paired difference from unsteered in the concept's own metric, with 95 % "
        f"bootstrap intervals over n = {int(rows['prompts'].max())} {sources.facts.unit}, at the "
        "layer with the largest mean on the development split; p is that of a paired t-test, not "
        "corrected for the number of concepts. The control is a random vector of the same norm at "
        "the same layer. Detectable is the smallest true gain minus control that these prompts see "
        f"with 80 % power. The disfluency ratio is {options.label(options.damage)} over "
        f"unsteered's. {sentences(rows)} {sources.facts.sentences}"
    )
    return table, caption
