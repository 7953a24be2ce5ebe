"""Figures: each kind reads tidy tables and draws one PNG and one SVG, with its caption in it."""

import json
import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from actadd.errors import UserError
from actadd.files import whole_file

PALETTE = "colorblind"
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
INTERVAL = "95 % percentile bootstrap intervals over prompts"


def draw(spec: dict, *, tables: list[Path], png: Path, svg: Path) -> dict[str, Any]:
    """Draws one figure of the config.

    spec: the figure's entry with its name, and `about`: facts of the experiment for the caption.
    tables: what its kind reads (summaries, or norms of vectors). Returns the caption.
    """
    sns.set_theme(context="paper", style="whitegrid", palette=PALETTE)
    matplotlib.rcParams["svg.hashsalt"] = "actadd"
    kinds = {
        "sweep": _sweep,
        "conditions": _conditions,
        "perplexity_ratio": _perplexity_ratio,
        "accuracy": _accuracy,
        "norms": _norms,
    }
    frames = [_read(path) for path in tables]
    figure, caption = kinds[spec["kind"]](spec, pd.concat(frames, ignore_index=True))
    figure.suptitle(spec["title"], fontweight="bold", x=0.01, ha="left")
    width = int(figure.get_figwidth() * 16.5)
    lines = textwrap.fill(caption, width=width, break_on_hyphens=False)
    # The caption hangs below the axes; tight bounding boxes make room for it.
    figure.text(0.01, -0.01, lines, ha="left", va="top", fontsize=7.5, color="0.25")
    for path, metadata in ((png, {"Software": None}), (svg, {"Date": None, "Creator": None})):
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=200, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
    return {"caption": caption}


def _panels(
    count: int, size: tuple[float, float], sharey: bool = False
) -> tuple[Figure, np.ndarray]:
    """A row of axes, as a [1, count] array; size in inches."""
    return plt.subplots(1, count, figsize=size, sharey=sharey, squeeze=False, layout="constrained")


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    table = pd.read_csv(path)
    return table.assign(vector=path.parent.name, model=path.parent.parent.name)


def _metric(spec: dict, table: pd.DataFrame, metric: str) -> pd.DataFrame:
    chosen = table[table["metric"] == metric]
    if chosen.empty:
        raise UserError(
            f"figures.{spec['name']}: no metric {metric!r}; there are "
            f"{sorted(set(table['metric']))}"
        )
    return chosen


def _label(spec: dict, metric: str) -> str:
    return spec.get("labels", {}).get(metric, metric)


def _names(spec: dict, table: pd.DataFrame) -> str:
    """The shared part of every caption: which model, which data, how many, what the bars are."""
    models = ", ".join(sorted(table["model"].unique()))
    counts = sorted(set(table["n_prompts"]))
    prompts = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    about = spec["about"]
    interval = INTERVAL.replace("prompts", about["unit"])
    if table["mean"].isin([0, 1]).any():
        interval += " (exact binomial where all agree on 0 or 1)"
    sizes = f"n = {prompts} {about['unit']}"
    if "n_completions" in table:
        completions = int(table["n_completions"].max())
        sizes += f", up to {completions} completions per condition"
    notes = " ".join(note for note in about.get("notes", []))
    return f"Model: {models}. Data: {about['data']}; {sizes}; {interval}. {notes}".strip()


# What tells one steered line or row from another, and how a legend says it.
COORDINATES = {
    "model": "{}",
    "condition": "{}",
    "vector": "{}",
    "source_layer": "from layer {}",
    "layer": "layer {}",
    "position": "{}",
    "dimensions": "{} dimensions",
    "phase": "{}",
}


def _said(name: str, value: Any) -> str:
    """A coordinate in words."""
    return COORDINATES[name].format(int(value) if isinstance(value, float) else value)


def _settings(rows: pd.DataFrame, shown: tuple[str, ...] = ()) -> list[tuple[str, pd.DataFrame]]:
    """(label, rows) of every combination of coordinates but the coefficient.

    A label names the coordinates that vary, and those in `shown`; a source layer only where it is
    not the injection layer.
    """
    columns = list(COORDINATES)
    varying = {name for name in columns if rows[name].nunique(dropna=False) > 1} | set(shown)
    if (rows["source_layer"] == rows["layer"]).all():
        varying.discard("source_layer")
    found = []
    for values, part in rows.groupby(columns, dropna=False, sort=True):
        named = [
            _said(name, value)
            for name, value in zip(columns, values, strict=True)
            if name in varying and pd.notna(value)
        ]
        found.append((", ".join(named), part))
    return found


def _sweep(spec: dict, table: pd.DataFrame) -> tuple[Figure, str]:
    """Metrics against the coefficient, one line for each layer, the unsteered level dashed."""
    metrics = spec["metrics"]
    figure, axes = _panels(len(metrics), (3.4 * len(metrics), 2.9))
    for axis, metric in zip(axes[0], metrics, strict=True):
        rows = _metric(spec, table, metric)
        _unsteered_band(axis, rows)
        swept = rows[(rows["method"] != "unsteered") & rows["coefficient"].notna()]
        if spec.get("condition"):
            swept = swept[swept["condition"] == spec["condition"]]
        if swept.empty:
            raise UserError(f"figures.{spec['name']}: no condition has one addition to sweep")
        lines = _settings(swept, shown=("layer",))
        colours = sns.color_palette("viridis", len(lines))
        for index, (label, part) in enumerate(lines):
            _error_line(axis, part, (index, len(lines)), colours[index], label)
        axis.set(xlabel="coefficient", ylabel=_label(spec, metric))
        if spec.get("log"):
            axis.set_yscale("log")
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=7, loc="outside right center")
    vectors = ", ".join(sorted(set(swept["vector"].dropna())))
    caption = (
        f"Effect of the coefficient at each injection layer for the vector {vectors}; "
        f"dashed: unsteered. {_names(spec, table[table['metric'].isin(metrics)])}"
    )
    return figure, caption


def _unsteered_band(axis: Axes, rows: pd.DataFrame) -> None:
    unsteered = rows[rows["method"] == "unsteered"]
    for index, (_, level) in enumerate(unsteered.iterrows()):
        label = f"unsteered, {level['model']}" if len(unsteered) > 1 else "unsteered"
        style = ("--", ":", "-.")[index % 3]
        axis.axhline(level["mean"], color="0.35", linestyle=style, linewidth=1, label=label)
        axis.axhspan(level["low"], level["high"], color="0.5", alpha=0.15, linewidth=0)


def _error_line(axis: Axes, part: pd.DataFrame, place: tuple[int, int], colour, label: str) -> None:
    """One line over the coefficient; lines are set a little apart, so that their bars show."""
    index, count = place
    part = part.sort_values("coefficient")
    width = np.ptp(part["coefficient"]) or 1.0
    axis.errorbar(
        part["coefficient"] + (index - (count - 1) / 2) * 0.012 * width,
        part["mean"],
        yerr=_whiskers(part),
        color=colour,
        marker=MARKERS[index % len(MARKERS)],
        markersize=4,
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
        label=label,
    )
    axis.set_xticks(part["coefficient"], [f"{value:g}" for value in part["coefficient"]])


def _whiskers(part: pd.DataFrame) -> np.ndarray:
    low = (part["mean"] - part["low"]).clip(lower=0).fillna(0)
    high = (part["high"] - part["mean"]).clip(lower=0).fillna(0)
    return np.array([low, high])


def _labels(rows: pd.DataFrame) -> list[str]:
    """A name for each row: its condition, layer and coefficient, and what else tells rows apart."""
    names = [name for name in COORDINATES if name not in ("condition", "vector", "layer")]
    steered = rows[rows["coefficient"].notna()]
    varying = [name for name in names if steered[name].nunique(dropna=False) > 1]
    varying += ["model"] if "model" not in varying and rows["model"].nunique() > 1 else []
    if (rows["source_layer"].isna() | (rows["source_layer"] == rows["layer"])).all():
        varying = [name for name in varying if name != "source_layer"]
    labels = []
    for _, row in rows.iterrows():
        more = [_said(name, row[name]) for name in varying if pd.notna(row[name])]
        name = ", ".join([str(row["condition"]), *more])
        if pd.notna(row["layer"]):
            name += f"\n(layer {int(row['layer'])}, c = {row['coefficient']:g})"
        elif row["method"] == "actadd":
            # A composite has no one layer and coefficient.
            parts = [
                f"{a['vector']} at {a['layer']} times {a['coefficient']:g}"
                for a in json.loads(row["additions"])
            ]
            name += f"\n({' + '.join(parts)})"
        labels.append(name)
    return labels


def _conditions(spec: dict, table: pd.DataFrame) -> tuple[Figure, str]:
    """Each condition's mean with its interval, one panel for each metric."""
    metrics = spec["metrics"]
    # Every metric has the same rows in the same order.
    order = _metric(spec, table, metrics[0])
    labels = _labels(order)
    figure, axes = _panels(
        len(metrics), (1.5 + 2.1 * len(metrics), 0.75 + 0.42 * len(order)), sharey=True
    )
    colours = sns.color_palette(PALETTE, len(order))
    for axis, metric in zip(axes[0], metrics, strict=True):
        rows = _metric(spec, table, metric).reset_index(drop=True)
        for level in rows[rows["method"] == "unsteered"]["mean"]:
            axis.axvline(level, color="0.35", linestyle="--", linewidth=1)
        for index, row in rows.iterrows():
            axis.errorbar(
                row["mean"],
                index,
                xerr=_whiskers(rows.loc[[index]]),
                fmt=MARKERS[index % len(MARKERS)],
                color=colours[index],
                markersize=5,
                capsize=2,
            )
        axis.set(xlabel=_label(spec, metric))
        axis.margins(y=0.12)
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axes[0][0].set_yticks(range(len(labels)), labels)
    axes[0][0].invert_yaxis()
    differences = _differences(_metric(spec, table, metrics[0]), _label(spec, metrics[0]))
    shown = table[table["metric"].isin(metrics)]
    return figure, f"Dashed: unsteered. {differences} {_names(spec, shown)}"


def _differences(rows: pd.DataFrame, label: str) -> str:
    """Paired differences from unsteered in words, and plainly whether they show an effect."""
    said = []
    compared = rows["difference"].notna().to_numpy()
    names = [name for name, use in zip(_labels(rows), compared, strict=True) if use]
    for name, (_, row) in zip(names, rows[compared].iterrows(), strict=True):
        low, high = row["difference_low"], row["difference_high"]
        if np.isnan(low):
            interval, shown = "(the same for every prompt)", row["difference"] != 0
        else:
            interval, shown = f"[{low:+.3f}, {high:+.3f}]", low > 0 or high < 0
        effect = "" if shown else ", no effect shown"
        said.append(f"{name.splitlines()[0]} {row['difference']:+.3f} {interval}{effect}")
    return f"Paired difference in {label} from unsteered: {'; '.join(said)}." if said else ""


def _perplexity_ratio(spec: dict, table: pd.DataFrame) -> tuple[Figure, str]:
    """Perplexity, steered over unsteered, against the coefficient; one panel for each layer."""
    rows = _metric(spec, table, "perplexity_ratio")
    rows = rows[rows["coefficient"].notna()]
    if rows.empty:
        raise UserError(f"figures.{spec['name']}: no condition has one addition to sweep")
    layers = sorted(rows["layer"].astype(int).unique())
    figure, axes = _panels(len(layers), (1 + 2.6 * len(layers), 2.9), sharey=True)
    # A line is a group of texts and, beside the panel's layer, what else varies.
    lines = [
        (", ".join(filter(None, [group, kind])), part.index)
        for kind, members in _settings(rows.assign(layer=0, source_layer=0))
        for group, part in members.groupby("group")
    ]
    colours = sns.color_palette(PALETTE, len(lines))
    for axis, layer in zip(axes[0], layers, strict=True):
        axis.axhline(1, color="0.35", linestyle="--", linewidth=1)
        here = rows["layer"] == layer
        for index, (kind, members) in enumerate(lines):
            part = rows[here & rows.index.isin(members)]
            if len(part):
                _error_line(axis, part, (index, len(lines)), colours[index], kind)
        axis.set(title=f"layer {layer}", xlabel="coefficient")
    axes[0][0].set_ylabel("perplexity ratio\n(steered / unsteered)")
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=7, loc="outside right center")
    vectors = ", ".join(sorted(set(rows["vector"].dropna())))
    tokens = int(rows["n_tokens"].max())
    caption = (
        f"Perplexity ratio of given text under the vector {vectors}: below 1, the text became "
        f"more likely. Tokens predicted at directly modified positions are left out; up to "
        f"{tokens} tokens per group. {_names(spec, rows)}"
    )
    return figure, caption


def _accuracy(spec: dict, table: pd.DataFrame) -> tuple[Figure, str]:
    """Next-token accuracy at two ranks for each condition: what steering costs off target."""
    metrics = ["accuracy_at_1", "accuracy_at_10"]
    labels = {"accuracy_at_1": "top-1 accuracy", "accuracy_at_10": "top-10 accuracy"}
    table = table[table["group"] == "all"]
    figure, caption = _conditions({**spec, "metrics": metrics, "labels": labels}, table)
    caption = (
        "Share of cloze items whose right answer is the likeliest next token, or among the ten "
        f"likeliest. {caption}"
    )
    return figure, caption


def _norms(spec: dict, table: pd.DataFrame) -> tuple[Figure, str]:
    """A vector's norm at each position over the residual stream's usual norm, by layer."""
    panels = [(model, v) for model in sorted(set(table["model"])) for v in spec["vectors"]]
    figure, axes = _panels(len(panels), (1 + 2.4 * len(panels), 2.9), sharey=True)
    for axis, (model, vector) in zip(axes[0], panels, strict=True):
        rows = table[(table["model"] == model) & (table["vector"] == vector)]
        positions = sorted(rows["position"].unique())
        colours = sns.color_palette(PALETTE, len(positions))
        axis.axhline(1, color="0.35", linestyle="--", linewidth=1)
        for index, position in enumerate(positions):
            part = rows[rows["position"] == position].sort_values("layer")
            axis.plot(
                part["layer"],
                part["ratio"],
                marker=MARKERS[index % len(MARKERS)],
                markersize=3,
                linewidth=1,
                color=colours[index],
                label=f"{position}: {part['token'].iloc[0]}",
            )
        title = vector if len(spec["models"]) == 1 else f"{vector}\n{model}"
        axis.set(title=title, xlabel="layer (block input)")
        axis.legend(fontsize=6)
    axes[0][0].set_ylabel("vector norm /\nresidual stream norm")
    models = ", ".join(sorted(table["model"].unique()))
    caption = (
        "Norm of each steering vector at each position, relative to the median norm of the "
        "residual stream over an ordinary sentence (BOS left out). The legend names what stands "
        f"at a position of the contrast pair, positive / negative. Model: {models}."
    )
    return figure, caption
