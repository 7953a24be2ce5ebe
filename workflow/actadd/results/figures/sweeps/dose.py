"""Effect and damage by dose, every layer of every model."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, figure
from actadd.results.doses.options import READS, Doses, Model, measured

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@figure(Doses, reads=READS, measures=("completions", "divergence"))
def dose(options: Doses, sources: Sources) -> "tuple[Figure, str]":
    """Effect, damage, and the doses of half the effect and of collapse; a column for each model."""
    from actadd.results.doses.texts import caption
    from actadd.results.drawing import LEVEL, LINES, legend, panels, plain_ticks

    models = measured(options, sources)
    figure, axes = panels(3 * len(models), 1.9, columns=len(models), narrow=3)
    for index, model in enumerate(models):
        effect, damage, read = axes[index :: len(models)]
        effect.set_title(options.label(model.name))
        for axis, name in ((effect, "effect"), (damage, "damage")):
            _curves(axis, model, name, options)
            axis.set(xlabel="dose", xscale="log")
            axis.set_xticks(model.curves.doses, [f"{dose:g}" for dose in model.curves.doses])
            axis.minorticks_off()
            for number, (text, at) in enumerate(options.marks.items()):
                style = {**LEVEL, "linestyle": LINES[1 + number % 4]}
                axis.axvline(at, **style, label=f"{text}: {at:g}")
        effect.set_ylabel(f"change in {options.label(options.effect)}")
        effect.axhline(0, **LEVEL)
        damage.set_ylabel(options.label(options.damage))
        damage.axhline(model.limit, **LEVEL, label="collapse")
        if (positive := model.curves.damage[model.curves.damage > 0]).size:
            damage.set(yscale="log", ylim=(max(positive.min(), model.limit / 100), None))
            plain_ticks(damage.yaxis)
        _readings(read, model)
        for number, at in enumerate(options.marks.values()):
            read.axhline(at, **{**LEVEL, "linestyle": LINES[1 + number % 4]})
        read.set(xlabel="layer (block input)", ylabel="dose", yscale="log")
        doses = model.curves.doses
        read.set_yticks(doses, [f"{dose:g}" for dose in doses])
        read.minorticks_off()
    # One model's layers, spread over its depth, are enough to read the colours by.
    legend(figure, axes)
    text = (
        "The top panels show the effect and the middle ones the damage, with a line for each "
        "layer, "
        "darker for earlier ones, and controls as grey points. The bottom panels show the doses "
        "that are read off the lines. "
    )
    return figure, text + caption(options, sources, models)


def _curves(axis: "Axes", model: Model, name: str, options: Doses) -> None:
    """The means by dose of each layer, and of the controls."""
    import numpy as np
    import seaborn as sns

    from actadd.results.doses.curves import means
    from actadd.results.drawing import CONTROL

    def line(curves: object, at: int) -> "np.ndarray":
        values = getattr(curves, name)
        averaged: np.ndarray = means(values, np.ones((1, values.shape[-1])))[0, at]
        return averaged

    for control, curves in model.controls.items():
        for at in range(len(curves.layers)):
            label = options.label(control) if at == 0 else None
            axis.plot(curves.doses, line(curves, at), ".", color=CONTROL, ms=2.5, label=label)
    # The lightest of viridis cannot be seen on white.
    colours = sns.color_palette("viridis", len(model.curves.layers) + 1)
    labelled = {0, len(model.curves.layers) // 2, len(model.curves.layers) - 1}
    for at, layer in enumerate(model.curves.layers):
        label = f"{options.label(model.name)}, layer {layer}" if at in labelled else None
        axis.plot(model.curves.doses, line(model.curves, at), color=colours[at], label=label)


def _readings(axis: "Axes", model: Model) -> None:
    """The doses of half the effect and of collapse by layer, with intervals."""
    import numpy as np

    from actadd.results.doses.curves import bounds
    from actadd.results.drawing import series

    read, largest = model.readings, 1.15 * model.curves.doses.max()
    effects = np.array([bounds(read.peak[:, at])[1] for at in range(len(model.curves.layers))])
    for index, (name, values) in enumerate(
        (("half of the largest effect", read.half), ("collapse", read.collapse))
    ):
        numbers = np.array([bounds(each) for each in values.T])
        # What is beyond the largest dose is not drawn; its bars end at the edge.
        in_range = np.isfinite(numbers[:, 0]) & ((effects > 0) | (index == 1))
        at, low, high = np.minimum(numbers[in_range], largest).T
        axis.errorbar(
            model.curves.layers[in_range] + (0.15 if index else -0.15),
            at,
            yerr=(at - low, high - at),
            **{**series(index, 2), "linestyle": "none"},
            elinewidth=0.7,
            label=f"dose of {name}",
        )
