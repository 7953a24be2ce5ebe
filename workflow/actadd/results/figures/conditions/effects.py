"""What each condition changes, beside what a control changes: an estimation plot."""

from typing import TYPE_CHECKING, Any

from actadd.results.displays.effect_options import EffectsOptions
from actadd.results.displays.kinds import Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@figure(EffectsOptions, reads=("tables", "scores"), measures=("completions", "logprobs"))
def effects(options: EffectsOptions, sources: Sources) -> "tuple[Figure, str]":
    """Paired differences of each condition from unsteered and of steering from its control.

    A panel for each metric, a row for each condition and model; several draws of a control are one
    row, with a small mark for each draw.
    """
    import pandas as pd

    from actadd.results.displays.effects import caption, effect_rows
    from actadd.results.drawing import LEVEL, better, least_span, panels, wrapped

    rows = pd.DataFrame(effect_rows(options, sources))
    labels = rows["label"].drop_duplicates().tolist()
    count = len(options.metrics)
    height = 0.55 + 0.13 * sum(1.4 + label.count("\n") for label in labels)
    # In a column of a paper, so that it also reads on a phone.
    figure, axes = panels(count, height, columns=1, narrow=count)
    for axis, metric in zip(axes, options.metrics, strict=True):
        _draw(axis, rows[rows["metric"] == metric].reset_index(drop=True), sources)
        scale = sources.facts.scales.get(metric, {})
        axis.axvline(0, **LEVEL)
        axis.set(xlabel=better(wrapped(f"change of {options.label(metric)}", 2.4), scale, line=" "))
        least_span(axis.xaxis, {**scale, "share": False})
        axis.set_yticks(range(len(labels)), labels)
        axis.set_ylim(len(labels) - 0.5, -0.5)
    return figure, caption(options, sources, rows)


def _draw(axis: "Axes", rows: "pd.DataFrame", sources: Sources) -> None:
    from actadd.results.drawing import SHADE, look, say_failed, whiskers
    from actadd.results.drawing.marks import BOUND

    names = list(dict.fromkeys(rows["condition"]))
    for index, row in rows.iterrows():
        line = float(str(index))
        if row["failed"] is not None:
            say_failed(axis, line)
            continue
        style = look(sources.facts.looks, row["condition"], names.index(row["condition"]))
        style["linestyle"] = "none"
        if row["net"]:
            # The comparison that carries the claim stands out from those with unsteered.
            band: dict[str, Any] = {"color": "0.5", "alpha": 0.12, "linewidth": 0, "label": SHADE}
            axis.axhspan(line - 0.5, line + 0.5, **band)
        axis.plot(
            row["draws"],
            [line + 0.25] * len(row["draws"]),
            **{**style, "marker": "|", "markersize": 3},
        )
        for marker, bound in (("<", row["bound"]), (">", -row["bound"])):
            if bound == bound:
                open_mark: dict[str, Any] = {"marker": marker, "markerfacecolor": "white"}
                open_mark |= {"markersize": 4, "color": style["color"]}
                dotted: dict[str, Any] = {"linestyle": ":", "linewidth": 0.9}
                axis.plot(
                    [0, bound], [line, line], **open_mark, **dotted, markevery=[1], label=BOUND
                )
        bars = {"xerr": whiskers(rows.loc[[index]]), "markersize": 4.5}
        axis.errorbar(row["mean"], line, **{**style, **bars})
