"""Triples of a knowledge graph, as ConceptNet has them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from actadd.base.kinds import Rule, option
from actadd.data.content import File
from actadd.data.readers.kinds import TextOptions, reader
from actadd.data.records import of_lines

if TYPE_CHECKING:
    import pandas as pd


TEMPLATE = Rule(
    title="a text with {subject} in it, without a space at its end",
    pattern=r"\{subject\}(.*\S)?\Z",
)


@dataclass(frozen=True, kw_only=True)
class TriplesOptions(TextOptions):
    templates: dict[str, Annotated[str, TEMPLATE]] = option(
        "Relation -> beginning of a sentence that the triple's object ends.", min_length=1
    )


@reader(TriplesOptions)
def triples(file: File, options: TriplesOptions) -> pd.DataFrame:
    """ConceptNet's edges (rel, start, end) as sentence beginnings and their last word.

    Every concept is written with capitals there, so case does not tell a common noun from a name;
    that something "is a" such thing does: dog, but neither Liverpool nor Nilotinib.
    Each subject gets one object in each relation, and the order is that of a hash: the choice is
    arbitrary, but independent of the file's order.
    """
    import pandas as pd

    edges = of_lines(file, "rel", "start", "end").values()
    for relation in sorted(options.templates.keys() - {edge["rel"] for edge in edges}):
        raise ValueError(f"no triple has the relation {relation!r} of templates")
    kinds = {edge["end"] for edge in edges if edge["rel"] == "IsA"}
    pairs = {
        (edge["rel"], edge["start"].lower(), edge["end"].lower())
        for edge in edges
        if edge["rel"] in options.templates
        and edge["start"] in kinds
        and edge["start"].isalpha()
        and edge["end"].isalpha()
    }
    chosen: dict[tuple[str, str], str] = {}
    for relation, subject, end in sorted(
        pairs, key=lambda pair: (hashlib.sha256(" ".join(pair[1:]).encode()).hexdigest(), pair[0])
    ):
        if subject != end:
            chosen.setdefault((relation, subject), end)
    rows = [
        (options.templates[relation].replace("{subject}", subject), " " + end, relation)
        for (relation, subject), end in chosen.items()
    ]
    return pd.DataFrame(rows, columns=["text", "target", "group"], index=[0] * len(rows))
