"""What steering costs in time."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import OverheadOptions, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@figure(OverheadOptions, reads=("overhead",))
def overhead(options: OverheadOptions, sources: Sources) -> "tuple[Figure, str]":
    """Premium in inference time against model size, one series for each steered arm."""
    import numpy as np
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from actadd.measure.overhead import UNSTEERED, summarise
    from actadd.results.drawing import LEVEL, apart, legend, panels, series, series_apart

    summary = summarise(sources.paths["overhead"])
    figure, [axis] = panels(1, 2.2)
    axis.axhline(0, **LEVEL)
    steered = summary[summary["arm"] != UNSTEERED]
    arms = list(dict.fromkeys(steered["arm"]))
    for index, arm in enumerate(arms):
        part = steered[steered["arm"] == arm].sort_values("parameters")
        below, above = part["premium"] - part["low"], part["high"] - part["premium"]
        # A little apart, so that bars do not hide each other.
        series_apart(
            *(axis, part["parameters"], 100 * part["premium"], apart(axis, index, len(arms))),
            yerr=[100 * below.fillna(0), 100 * above.fillna(0)],
            **series(index, len(arms)),
            label=arm,
        )
    axis.set_xscale("log")
    sizes = sorted(summary["parameters"].unique())
    named = [_size(sizes[0])]
    for size in sizes[1:]:
        # A label needs about a tenth of the axis.
        apart = np.log(size / max(s for s, text in zip(sizes, named, strict=False) if text))
        named.append(_size(size) if apart > 0.1 * np.log(sizes[-1] / sizes[0]) else "")
    axis.set_xticks(sizes, labels=named)
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axis.set_xlabel("parameters")
    axis.set_ylabel("premium in time of a forward pass")
    legend(figure, [axis])
    return figure, _caption(summary, UNSTEERED)


def _size(parameters: int) -> str:
    """A number of parameters in words: 124M."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{name}"
    return str(parameters)


def _milliseconds(seconds: float) -> str:
    """Three digits, never in scientific notation."""
    return f"{float(f'{1000 * seconds:.3g}'):g} ms"


def _caption(summary: "pd.DataFrame", unsteered: str) -> str:
    base = summary[summary["arm"] == unsteered].sort_values("parameters")
    models = ", ".join(
        f"{row['model']} ({_size(row['parameters'])}, {_milliseconds(row['seconds'])} unsteered)"
        for _, row in base.iterrows()
    )
    shapes = list(dict.fromkeys(base.loc[base["random_weights"], "model"]))
    drawn = f" Random weights in that model's shape: {', '.join(shapes)}." if shapes else ""

    def values(column: str) -> str:
        return ", ".join(str(value) for value in dict.fromkeys(base[column]))

    return (
        f"The figure shows how much longer a forward pass takes. The models, by size, are {models}."
        f"{drawn} A pass is over {values('rows')} rows of "
        f"{values('tokens')} random tokens, with {values('n')} timed repeats after warm-up, the "
        "arms' "
        f"order drawn at random in each repeat and the device waited for, in {values('dtype')} on "
        f"{values('device')}, threads: {values('threads')}. The premium is the median over "
        "repeats of the "
        "time over the same repeat's unsteered time, minus 1; bars are 95 % percentile bootstrap "
        "intervals over repeats. With its vector's passes, the contrast pair's own forward pass is "
        "timed too."
    )
