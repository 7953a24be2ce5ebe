"""Norms of steering vectors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.results.displays.kinds import Options, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Norms(Options):
    vectors: list[Annotated[str, Rule(section="vectors")]] = option(
        "Vectors to draw.", min_length=1
    )
    relative_to: str | None = option(
        "Vector whose norms those of the others are divided by.", None, section="vectors"
    )
    models: list[Annotated[str, Rule(section="models")]] | None = option(
        "Models whose vectors are drawn; those of run_on if not given.",
        None,
        min_length=1,
        unique=True,
    )


@figure(Norms, reads=("norms",))
def norms(options: Norms, sources: Sources) -> "tuple[Figure, str]":
    """A vector's norm at each position over the residual stream's, by layer (paper, Fig. 8).

    The stream's norm is its median over an ordinary sentence, or, with relative_to, that of a
    prompt's own stream at the same position.
    """
    from matplotlib.transforms import ScaledTranslation

    from actadd.results.displays.labels import in_order
    from actadd.results.drawing import LEVEL, legend_columns, panels, series, shortened, wrapped

    table = sources.read("norms")
    reference = options.relative_to
    models = in_order(table["model"])
    pairs = [(model, v) for model in models for v in options.vectors]
    # Below each panel its legend, at worst with a line for each position.
    figure, axes = panels(len(pairs), 2.0 + 0.12 * table["position"].nunique(), sharey=True)
    room = figure.get_figwidth() / min(3, len(pairs))
    for axis, (model, vector) in zip(axes, pairs, strict=True):
        rows = table[(table["model"] == model) & (table["vector"] == vector)]
        if reference:
            rows = _relative(
                rows, table[(table["model"] == model) & (table["vector"] == reference)]
            )
        positions = sorted(rows["position"].unique())
        axis.axhline(1, **LEVEL)
        # Where both prompts have the same tokens so far, the vector is zero; such lines would hide
        # each other.
        largest = rows.groupby("position")["ratio"].max()
        zero = [position for position in positions if largest[position] == 0]
        for index, position in enumerate(positions):
            if position in zero:
                continue
            part = rows[rows["position"] == position].sort_values("layer")
            axis.plot(
                part["layer"],
                part["ratio"],
                **series(index, len(positions)),
                markersize=2.5,
                label=shortened(f"{position}: {part['token'].iloc[0]}", 38),
            )
        if zero:
            zeros = ", ".join(map(str, zero))
            style: dict[str, Any] = {"color": "0.35", "linestyle": "-", "linewidth": 1.1}
            axis.axhline(0, **style, label=f"{zeros}: zero, the same token in both")
        title = options.label(vector)
        title += f", {options.label(model)}" if len(models) > 1 else ""
        axis.set(title=wrapped(title, 2), xlabel="layer (block input)")
        # One legend for each panel, since the token at a position depends on the pair.
        below = axis.transAxes + ScaledTranslation(0, -0.38, figure.dpi_scale_trans)
        anchor: dict[str, Any] = {"bbox_to_anchor": (0.5, 0), "bbox_transform": below}
        labels = axis.get_legend_handles_labels()[1]
        ncols = legend_columns(labels, room)
        axis.legend(loc="upper center", **anchor, borderaxespad=0, ncols=ncols)
    axes[0].set_ylabel("vector norm /\nresidual stream norm")
    usual = (
        f"the norm, at the same position, of the stream of the prompt {reference!r}"
        if reference
        else "the median norm of the residual stream over an ordinary sentence (BOS left out)"
    )
    named = options.listed(models)
    caption = (
        "The figure shows the norm of each steering vector (coefficient 1) at each position, over "
        f"{usual}, by layer. On the dashed line, at 1, the two are equally large. The legend names "
        "what stands at a position of the contrast pair, positive / negative; where both are "
        f"the same from the first token on, the vector is zero. The model is {named}."
    )
    return figure, caption


def _relative(rows: "pd.DataFrame", reference: "pd.DataFrame") -> "pd.DataFrame":
    """The same rows with the ratio to a prompt's norm at the same layer and position."""
    usual = reference[["layer", "position", "vector_norm"]].rename(columns={"vector_norm": "usual"})
    joined = rows.merge(usual, on=["layer", "position"])
    return joined.assign(ratio=joined["vector_norm"] / joined["usual"])
