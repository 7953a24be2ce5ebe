"""The benchmark's table and figure."""

import math
from pathlib import Path

import pandas as pd

from benchmarks.common import Result


def write(results: list[Result], machine: dict[str, str], folder: Path) -> None:
    """Write benchmark.csv, benchmark.md and benchmark.png to `folder`."""
    from actadd.base.files import write_json, write_text, write_with

    table = pd.DataFrame([result.row() for result in results])
    write_with(folder / "benchmark.csv", lambda path: table.to_csv(path, index=False))
    write_json(folder / "machine.json", machine)
    lines = [
        ", ".join(f"{name} {value}" for name, value in machine.items()),
        "",
        "| item | what | measured | target | | note |",
        "|---|---|---|---|---|---|",
        *(_line(result) for result in results),
    ]
    write_text(folder / "benchmark.md", "\n".join(lines) + "\n")
    draw(results, machine, folder / "benchmark.png")


def _line(result: Result) -> str:
    target = "" if result.target is None else f"{result.bound} {result.target:g}"
    verdict = {True: "reached", False: "missed", None: ""}[result.reached]
    value = f"{result.value:.3g} {result.unit}"
    return f"| {result.item} | {result.what} | {value} | {target} | {verdict} | {result.note} |"


def draw(results: list[Result], machine: dict[str, str], path: Path) -> None:
    """Draw every ratio as a bar, with a mark at its target."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    from actadd.base.files import whole_file

    # NaN is a failed measurement, with the reason in the table.
    ratios = [
        result
        for result in results
        if result.unit == "times" and result.item != "scale" and not math.isnan(result.value)
    ]
    if not ratios:
        return
    sns.set_theme(style="whitegrid", context="paper")
    figure, axes = plt.subplots(figsize=(8, 0.34 * len(ratios) + 1.4), layout="constrained")
    colours = dict(
        zip(
            dict.fromkeys(result.item for result in ratios),
            sns.color_palette("colorblind"),
            strict=False,
        )
    )
    for y, result in enumerate(ratios):
        axes.barh(y, result.value, color=colours[result.item], height=0.7)
        axes.text(result.value * 1.04, y, f"{result.value:.1f}", va="center", fontsize=8)
        if result.target is not None:
            axes.plot([result.target] * 2, [y - 0.42, y + 0.42], color="black", linewidth=2)
    axes.set_xscale("log")
    axes.set_xlim(1, max(result.value for result in ratios) * 1.6)
    ticks = [tick for tick in (1, 2, 3, 5, 10, 20, 50, 100) if tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick}x" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(ratios)), [result.what for result in ratios])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel("how many times faster the pipeline is (black marks: targets)")
    axes.set_title(
        f"{machine['model']}, {machine['dtype']}, {machine['device']}", loc="left", fontsize=9
    )
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=200)
    plt.close(figure)
