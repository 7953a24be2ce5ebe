"""The tokens that vectors point to."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.results.displays.kinds import LensOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Lens(LensOptions):
    top: int = option("Tokens of each direction.", 5, minimum=1)


@table(Lens, reads=("tokens",))
def lens(options: Lens, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """The tokens that a vector's rows point to, by layer and position (logit lens)."""
    table = sources.read("tokens")
    table = table[table["rank"] < options.top].copy()
    table["token"] = [repr(token) for token in table["token"]]
    keys = ["model", "vector", "layer", "position", "direction"]
    texts = table.sort_values("rank").groupby(keys, sort=True)["token"].agg(", ".join)
    wide = texts.unstack("direction").rename_axis(columns=None)
    caption = (
        "The vector's row at each position through the final norm and the unembedding: the tokens "
        "with the largest (up) and smallest (down) logits."
    )
    return wide, caption
