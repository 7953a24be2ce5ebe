"""Contrast pairs for one property."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, figure
from actadd.results.displays.pair_options import READS, PairsOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@figure(PairsOptions, reads=READS, measures=("completions",))
def pairs(options: PairsOptions, sources: Sources) -> "tuple[Figure, str]":
    """The effect of many contrast pairs for one property, and against what might foretell it."""
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd

    from actadd.results.displays.labels import failed, in_order
    from actadd.results.displays.pair_quality import best_sentences, gather, predictors
    from actadd.results.drawing import LEVEL, PAGE, SMALL, say_failed, series, wrapped
    from actadd.results.intervals import detectable_correlation, interval_text

    table, correlations = gather(options, sources)
    names = predictors(options)
    effect = options.label(options.metrics[0])
    models = in_order(table["model"])
    styles = {
        model: {**series(index, len(models)), "linestyle": "none"}
        for index, model in enumerate(models)
    }
    columns = 2 if len(names) > 4 else 1
    lines = -(-len(names) // columns)
    height = max(1.3 * lines, 0.5 + 0.14 * len(table))
    figure = plt.figure(figsize=(PAGE, height), layout="constrained")
    grid = figure.add_gridspec(
        lines, 1 + columns, width_ratios=[1.6 / columns, *[1 / columns**0.5] * columns]
    )
    axis = figure.add_subplot(grid[:, 0])
    for index, (_, row) in enumerate(table.iterrows()):
        bars = [[max(0, row["effect"] - row["low"])], [max(0, row["high"] - row["effect"])]]
        if pd.isna(row["effect"]):
            say_failed(axis, index)
            continue
        axis.errorbar(row["effect"], index, xerr=np.nan_to_num(bars), **styles[row["model"]])
    several = len(models) > 1
    pair_names = table["pair"].map(options.label)
    texts = pair_names + (", " + table["model"].map(options.label) if several else "")
    axis.set_yticks(range(len(table)), texts)
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.axvline(0, **LEVEL)
    axis.set(xlabel=f"effect: difference in {effect}")
    for index, (predictor, name) in enumerate(names.items()):
        axis = figure.add_subplot(grid[index // columns, 1 + index % columns])
        title = []
        for model in models:
            part = table[table["model"] == model]
            axis.plot(part[predictor], part["effect"], **styles[model])
            match = (correlations["model"] == model) & (correlations["predictor"] == predictor)
            row = correlations[match].iloc[0]
            of_model = f"{options.label(model)}: " if several else ""
            rho = interval_text(row[["rho", "low", "high"]], "{:+.2f}".format)
            title.append(f"{of_model}rho = {rho}")
        axis.set(xlabel=wrapped(name, 1.5), ylabel="effect")
        axis.set_title("\n".join(title), fontsize=SMALL, loc="right")
        axis.axhline(0, **LEVEL)
    lost = int(failed(table).sum())
    caption = (
        "Panel a shows each pair's effect, paired with unsteered, with 95 % bootstrap "
        "intervals over prompts; the others set it against predictors that need no sampling. rho "
        "is Spearman's rank correlation over pairs with a 95 % bootstrap interval over pairs, not "
        "corrected for the number of predictors; the smallest that so many pairs detect with 80 % "
        f"power is {detectable_correlation(int(correlations['n'].max())):.2f}. "
        f"{best_sentences(table, names)}"
        f"The models are {options.listed(models)}. {sources.facts.sentences}"
        + (f" {lost} of {len(table)} pairs failed and are in no correlation." if lost else "")
    )
    return figure, caption
