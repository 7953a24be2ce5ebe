"""What vectors read as."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from actadd.base.errors import UserError
from actadd.base.kinds import Rule, option
from actadd.results.displays.kinds import LensOptions, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = 5
# Characters of a token, and panels beside each other, that can be read on a page.
CELL = 8
COLUMNS = 2


@dataclass(frozen=True, kw_only=True)
class Lens(LensOptions):
    vectors: list[Annotated[str, Rule(section="vectors")]] | None = option(
        "Vectors to draw; all of the lens if not given.", None, min_length=1
    )


@figure(Lens, reads=("tokens",))
def lens(options: Lens, sources: Sources) -> "tuple[Figure, str]":
    """The tokens that each vector raises most, layer by layer: a row of panels for each model.

    A vector is read at the position whose row is longest, by the median of its norm over layers.
    Raises UserError if there is nothing to draw of a vector.
    """
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    import seaborn as sns

    from actadd.results.drawing import PAGE, SMALL, printed, wrapped
    from actadd.results.figures.vectors.colour_bar import colour_bar

    table = sources.read("tokens")
    names = options.vectors or list(dict.fromkeys(table["vector"]))
    models = list(dict.fromkeys(table["model"]))
    table = table[(table["direction"] == "up") & (table["rank"] < SHOWN)]
    panels = []
    for model in models:
        for name in names:
            rows = table[(table["model"] == model) & (table["vector"] == name)]
            if rows["logit"].isna().all():
                raise UserError(
                    f"{sources.key}.vectors: {name!r} is not in the lens {options.lens}, "
                    "or it is zero; add it there"
                )
            position = _longest(rows)
            rows = rows[rows["position"] == position]
            panels.append(
                (f"{options.label(model)}: {options.label(name)}, position {position}", rows)
            )
    drawn = pd.concat([rows for _, rows in panels])
    limits = drawn["logit"].min(), drawn["logit"].max()
    columns = min(COLUMNS, len(panels))
    rows_of = [panels[at : at + columns] for at in range(0, len(panels), columns)]
    depths = [max(rows["layer"].nunique() for _, rows in line) for line in rows_of]
    figure, axes = plt.subplots(
        len(rows_of),
        columns,
        figsize=(PAGE, 0.125 * sum(depths) + 0.55 * len(rows_of)),
        height_ratios=depths,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for number, (axis, (title, rows)) in enumerate(zip(axes.flat, panels, strict=False)):
        # The last layer on top, as the stream flows upwards in drawings of a transformer.
        logits, tokens = (
            rows.pivot(index="layer", columns="rank", values=value).sort_index(ascending=False)
            for value in ("logit", "token")
        )
        sns.heatmap(
            logits,
            ax=axis,
            annot=tokens.map(lambda token: printed(token, CELL)),
            fmt="",
            annot_kws={"size": SMALL},
            cmap="viridis",
            vmin=limits[0],
            vmax=limits[1],
            cbar=False,
            linewidths=0.4,
        )
        axis.set_title(wrapped(title, 2.8))
        axis.set_xticklabels([f"{rank + 1}." for rank in logits.columns])
        axis.set_xlabel("rank")
        axis.set_ylabel("layer" if number % columns == 0 else "")
        axis.set_yticks(np.arange(len(logits)) + 0.5, labels=logits.index, rotation=0)
    drawn_axes = list(axes.flat[: len(panels)])
    colour_bar(figure, drawn_axes, "logit")
    caption = (
        f"The figure shows the {SHOWN} tokens whose logits each vector raises most, when its row "
        "is "
        "read through the final norm and the unembedding without biases (logit lens). A difference "
        "is normalised as a stream would be: logits tell its direction, not its size. The position "
        "is the one whose row is longest, by its median norm over layers. "
        f"␣ is a space; tokens longer than {CELL} characters are cut. The model is "
        f"{options.listed(models)}."
    )
    return figure, caption


def _longest(rows: "pd.DataFrame") -> int:
    norms = rows.groupby("position", as_index=False)["norm"].median()
    return int(norms["position"].to_numpy()[norms["norm"].argmax()])
