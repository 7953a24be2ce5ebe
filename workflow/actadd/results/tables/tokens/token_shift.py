"""The tokens that steering raises and lowers most."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.results.displays.kinds import ExperimentOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class TokenShift(ExperimentOptions):
    at_least: int = option("Instances that a token needs.", 20, minimum=1)
    top: int = option("Tokens of each direction.", 10, minimum=1)


@table(TokenShift, reads=("cells",), measures=("logprobs",))
def token_shift(options: TokenShift, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """The tokens that steering raises and lowers most (paper, Table 8)."""
    import pandas as pd

    from actadd.results.displays.token_shift import token_shift as token_shifts

    shifts = token_shifts(sources, options.at_least)
    parts = []
    for _, part in shifts.groupby(["model", "setting"], sort=True):
        lowered = part.iloc[::-1]
        parts += [
            part.head(options.top).assign(direction="raised"),
            lowered.head(options.top).assign(direction="lowered"),
        ]
    setting = ["setting"] if shifts["setting"].nunique() > 1 else []
    index = ["model", *setting, "direction", "token"]
    table = pd.concat(parts)[[*index, "n", "difference", "normal"]]
    caption = (
        "Mean change of a token's log-probability (nats) over its instances, and its mean "
        f"unsteered log-probability; tokens with at least {options.at_least} instances. "
        f"Data: {sources.facts.data}."
    )
    table = table.assign(token=[repr(str(token)) for token in table["token"]])
    return table.set_index(index), caption
