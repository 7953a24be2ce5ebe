"""How far the log-probabilities of single tokens move."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.results.displays.kinds import ExperimentOptions, Sources, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class TokenShift(ExperimentOptions):
    at_least: int = option("Instances that a token needs.", 20, minimum=1)


@figure(TokenShift, reads=("cells",), measures=("logprobs",))
def token_shift(options: TokenShift, sources: Sources) -> "tuple[Figure, str]":
    """How far tokens' log-probabilities move: Q-Q plot and the most moved (paper, Fig. 7)."""
    import pandas as pd
    from scipy.stats import probplot

    from actadd.results.displays.token_shift import token_shift as token_shifts
    from actadd.results.drawing import LEVEL, SMALL, panels, printed, series, wrapped

    shifts = token_shifts(sources, options.at_least)
    settings = list(shifts.groupby(["model", "setting"], sort=True))
    figure, axes = panels(2 * len(settings), 2.7, columns=2)
    raised, lowered = series(0, 2)["color"], series(1, 2)["color"]
    counts = []
    for index, ((model, setting), part) in enumerate(settings):
        name = f"{model}, {setting}" if setting else str(model)
        counts.append(f"{len(part)} tokens from {int(part['n'].sum())} places ({name})")
        (theory, ordered), (slope, intercept, _) = probplot(part["difference"], dist="norm")
        axis, bars = axes[2 * index : 2 * index + 2]
        axis.plot(theory, ordered, "o", markersize=2.5, color=raised)
        axis.plot(theory, slope * theory + intercept, **LEVEL)
        title = wrapped(name, 2.8) if setting else name
        axis.set(xlabel="normal quantile", ylabel="mean shift of a token (nats)", title=title)
        extremes = part if len(part) <= 20 else pd.concat([part.head(10), part.tail(10)])
        up = (extremes["difference"] > 0).tolist()
        bars.barh(
            range(len(extremes)),
            extremes["difference"],
            color=[raised if above else lowered for above in up],
            hatch=["" if above else "////" for above in up],
            edgecolor="white",
            linewidth=0,
        )
        texts = [printed(token, 20) for token in extremes["token"]]
        bars.set_yticks(range(len(extremes)), texts, fontsize=SMALL)
        bars.set_ylim(len(extremes) - 0.4, -0.6)
        bars.axvline(0, color="0.35", linewidth=0.8)
        bars.grid(visible=False, axis="y")
        bars.set(xlabel="mean shift (nats)")
    caption = (
        "The figure shows the mean change of a token's log-probability under steering, over its "
        f"instances in the text, of tokens with at least {options.at_least} instances: "
        f"{', '.join(counts)}. Panels on the left set it against normal quantiles (a heavy right "
        "tail means that a few tokens rise much more than chance would have it); those on the "
        "right show the ten most raised and lowered tokens. "
        f"The data are {sources.facts.data}."
    )
    return figure, caption
