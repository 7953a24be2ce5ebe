"""Doses at which an effect sets in and a model collapses, layer by layer."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, table
from actadd.results.doses.options import READS, Doses, measured

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@table(Doses, reads=READS, measures=("completions", "divergence"))
def dose(options: Doses, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """A row for each layer of each model, and what their doses have in common."""
    import numpy as np
    import pandas as pd

    from actadd.base.intervals import detectable
    from actadd.results.doses.curves import bounds, median, spread
    from actadd.results.doses.texts import caption, interval

    rows, index = [], []

    def several(name: str, half: "np.ndarray", collapse: "np.ndarray", unit: "np.ndarray") -> None:
        """Rows of several layers; half, collapse [R, L]; unit [L]."""
        for statistic, values in (
            ("median of layers", (median(half), median(collapse))),
            ("spread of layers, factor", (spread(half), spread(collapse))),
            ("spread in coefficients, factor", (spread(half * unit), spread(collapse * unit))),
        ):
            index.append((name, statistic))
            texts = (interval(*bounds(each)) for each in values)
            rows.append(dict(zip(("half-maximal dose", "collapse dose"), texts, strict=True)))

    models = measured(options, sources)
    for model in models:
        read, curves = model.readings, model.curves
        for at, layer in enumerate(curves.layers):
            peak = bounds(read.peak[:, at])
            works = peak[1] > 0
            best = curves.effect[at, np.flatnonzero(curves.doses == read.best[0, at])]
            set_in, collapsed = (bounds(each[:, at]) for each in (read.half, read.collapse))
            index.append((model.name, f"layer {layer}"))
            rows.append(
                {
                    "largest effect": interval(*peak),
                    "at dose": f"{read.best[0, at]:g}" if works else "",
                    "half-maximal dose": interval(*set_in) if works else "no effect",
                    "collapse dose": interval(*collapsed),
                    "half-maximal coefficient": interval(set_in[0] * model.unit[at])
                    if works
                    else "",
                    "collapse coefficient": interval(collapsed[0] * model.unit[at]),
                    "detectable": interval(detectable(best[0])) if len(best) else "",
                }
            )
        several(model.name, read.half, read.collapse, model.unit)
    if len(models) > 1:
        half, collapse = (
            np.concatenate([getattr(model.readings, name) for model in models], axis=1)
            for name in ("half", "collapse")
        )
        several("all models", half, collapse, np.concatenate([model.unit for model in models]))
    names = pd.MultiIndex.from_tuples(index, names=["model", "layer"])
    result = pd.DataFrame(rows, index=names).fillna("")
    more = (
        "Coefficients are the dose times the stream's norm over the vector's. Spread is how far "
        "layers lie apart, exp of the standard deviation of logarithms; 1 is no spread. Largest "
        "effects whose interval holds 0 count as none. Detectable is the smallest true effect at "
        "that dose that a paired t-test at 5 % sees with 80 % power."
    )
    return result, f"{caption(options, sources, models)} {more}"
