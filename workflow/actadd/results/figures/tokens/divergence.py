"""How far steering moves next-token distributions, and how far a control does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.errors import UserError
from actadd.results.displays.kinds import ExperimentOptions, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from actadd.results.displays.labels import Label

# What a control shares with the steering that it is compared with.
SHARED = ["source_layer", "layer", "coefficient", "position", "dimensions", "phase"]


@dataclass(frozen=True, kw_only=True)
class Divergence(ExperimentOptions):
    pass


@figure(Divergence, reads=("cells",), measures=("divergence",))
def divergence(options: Divergence, sources: Sources) -> "tuple[Figure, str]":
    """KL over entropy of each text, a random vector's against the steering vector's (Fig. 9).

    Where some steering has no control (a condition whose vectors are random) of the same layer and
    coefficient, all are drawn against the text's entropy instead. Raises UserError if no steering
    has a number.
    """
    from actadd.results.displays.labels import failed, failures, in_order, unsteered
    from actadd.results.drawing import legend, panels, wrapped

    table = sources.read("cells")
    lost = failures(table, options.label)
    table = table[~failed(table)]
    table = table[~table["modified"].astype(bool) & ~unsteered(table)]
    if table["kl"].isna().all():
        raise UserError(
            f"{sources.key}.experiment: {options.experiment} has no divergence under any steering; "
            f"take smaller coefficients. {lost}".rstrip()
        )
    texts = _texts(table, sources.facts.controls)
    models = in_order(texts["model"])
    compared = (
        all(len(control) for model in models for _, _, control in _matched(texts, model))
        and not texts["control"].all()
    )
    figure, axes = panels(len(models), 2.4)
    sentences = []
    for axis, model in zip(axes, models, strict=True):
        draw = _against_control if compared else _against_entropy
        sentences += [
            f"{options.label(model)}{each}" for each in draw(axis, texts, model, options, sources)
        ]
        axis.set(title=wrapped(options.label(model), 2) if len(models) > 1 else "")
    legend(figure, axes)
    several = f", averaged over {table['draw'].nunique()} of them" if "draw" in table else ""
    caption = (
        "Each point is a text's KL(unsteered || steered) over the unsteered entropy, averaged over "
        "its positions that were not changed directly"
    )
    caption += (
        "; the dashed line is equality. The random vector has the steering vector's norm at each "
        f"position{several}. "
        if compared
        else ", placed by its entropy. "
    )
    caption += f"{'; '.join(sentences)}. The data are {sources.facts.data}. {lost}"
    return figure, caption.rstrip()


def _texts(table: "pd.DataFrame", controls: list[str]) -> "pd.DataFrame":
    """A row for each setting and text: entropy, share (KL over entropy), control."""
    from actadd.results.displays.labels import COORDINATES

    keys = [name for name in COORDINATES if name in table]
    groups = table.groupby([*keys, "method", "text_id"], dropna=False, observed=True)
    texts = groups[["kl", "entropy"]].mean().assign(**groups[["additions"]].first()).reset_index()
    # A composite's vector names all of its vectors.
    random = [
        isinstance(vector, str) and set(vector.split("+")) <= set(controls)
        for vector in texts["vector"]
    ]
    return texts.assign(share=texts["kl"] / texts["entropy"], control=random)


def _matched(
    texts: "pd.DataFrame", model: str, label: "Label" = str
) -> "Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]":
    """(label, its texts, those of the controls with the same coordinates) of each steering."""
    from actadd.results.displays.labels import settings

    of_model = texts[texts["model"] == model]
    steered, controls = of_model[~of_model["control"]], of_model[of_model["control"]]
    for text, part in settings(steered, "text_id", ("coefficient",), label) if len(steered) else []:
        first, same = part.iloc[0], controls
        for name in SHARED:
            missing = same[name].isna() & (first[name] is None or first[name] != first[name])
            same = same[(same[name] == first[name]) | missing]
        yield text, part, same


def _against_control(
    axis: "Axes", texts: "pd.DataFrame", model: str, options: Divergence, sources: Sources
) -> Iterator[str]:
    """Draws each steering's texts against its control's; yields what the caption says of each."""
    from actadd.results.drawing import LEVEL, styles

    matched = list(_matched(texts, model, options.label))
    looks = styles([(text, part) for text, part, _ in matched], looks=sources.facts.looks)
    largest = 0.0
    for index, (text, part, control) in enumerate(matched):
        random = control.groupby("text_id")["share"].mean().rename("random")
        both = part.set_index("text_id")[["share"]].join(random, how="inner").sort_index()
        both = both.dropna()
        style = {**looks[index], "linestyle": "none"}
        axis.plot(both["random"], both["share"], **style, alpha=0.8, label=text)
        largest = max(largest, both.to_numpy().max(initial=0))
        below = float((both["share"] < both["random"]).mean())
        yield (
            f"{', ' if text else ''}{text}: steering {both['share'].mean():.3f}, random "
            f"{both['random'].mean():.3f} on average, steering below random on {below:.0%} of "
            f"{len(both)} texts"
        )
    axis.plot([0, 1.05 * largest], [0, 1.05 * largest], **LEVEL)
    axis.set(xlabel="random vector: KL / entropy", ylabel="steering vector: KL / entropy")


def _against_entropy(
    axis: "Axes", texts: "pd.DataFrame", model: str, options: Divergence, sources: Sources
) -> Iterator[str]:
    """Draws all texts by their entropy; yields what the caption says of each setting."""
    from actadd.results.displays.labels import settings
    from actadd.results.drawing import styles

    always = ("condition", "coefficient")
    lines = settings(texts[texts["model"] == model], "text_id", always, options.label)
    looks = styles(lines, looks=sources.facts.looks)
    for index, (text, part) in enumerate(lines):
        style = {**looks[index], "linestyle": "none"}
        axis.plot(part["entropy"], part["share"], **style, alpha=0.8, label=text)
        yield f", {text}: {part['share'].mean():.3f} on average over {len(part)} texts"
    axis.set(xlabel="unsteered entropy (nats)", ylabel="KL / entropy")
