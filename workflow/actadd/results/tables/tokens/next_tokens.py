"""What steering does to the next token after each text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.results.displays.kinds import ExperimentOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class NextTokens(ExperimentOptions):
    top: int = option("Tokens of each list.", 10, minimum=1)


@table(NextTokens, reads=("cells",), measures=("divergence",))
def next_tokens(options: NextTokens, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """What steering does to the next token after each text (paper, next-token effects)."""
    import numpy as np
    import pandas as pd

    from actadd.results.displays.labels import failures

    table = sources.read("cells")
    lost = failures(table)
    table = table[table["token_ids"].notna()]
    columns = ["tokens", "before", "after"]
    spread = table.explode(columns).reset_index(drop=True)
    spread = spread.astype({"before": float, "after": float})
    spread["ratio"] = spread["after"] / spread["before"]
    # Contribution to KL(steered || unsteered), as the authors rank them.
    spread["kl contribution"] = spread["after"] * np.log(spread["ratio"])
    draw = ["draw"] if "draw" in table else []
    keys = ["model", "condition", "layer", "coefficient", *draw, "text_id"]
    ordered = spread.sort_values("kl contribution", ascending=False)
    moved = ordered.groupby(keys, dropna=False).head(options.top)
    ordered = spread.sort_values("before", ascending=False)
    likely = ordered.groupby(keys, dropna=False).head(options.top)
    lists = pd.concat([moved.assign(list="most moved"), likely.assign(list="likeliest unsteered")])
    order = [*keys, "list", "tokens", "before", "after", "ratio", "kl contribution"]
    caption = (
        "Probability of the next token after the text, without and with steering, their ratio, and "
        "the token's contribution to KL(steered || unsteered) in nats. "
        f"Data: {sources.facts.data}. {lost}"
    ).rstrip()
    lists = lists.sort_values([*keys, "list"], kind="stable")[order]
    lists = lists.assign(tokens=[repr(token) for token in lists["tokens"]])
    return lists.set_index([*keys, "list", "tokens"]), caption
