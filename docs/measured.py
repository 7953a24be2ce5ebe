"""Pictures, times and numbers of the documentation, from the results of finished runs.

    PYTHONPATH=workflow python docs/measured.py RESULTS ...

RESULTS: folders of results, first that of the default run; the first that holds something wins.
Writes the pictures of the gallery to docs/images/gallery, and to docs/measured what the pages'
tables and printed examples are generated from.
"""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"
GALLERY = ROOT / "docs" / "images" / "gallery"

# The figures of the gallery, in order: name in the config -> what it shows.
FIGURES = {
    "sentiment": "Steering, random vectors and a prompt, minus unsteered, on held-out openings.",
    "sentiment-sweep": "The development split, on which the setting of the last figure was chosen.",
    "topic": "The share of completions with a word of the sea, and what the vector costs.",
    "topic-sweep": "Layers and coefficients of the pirate vector on the development split.",
    "perplexity-ratio": "Text about weddings becomes more likely, text about shipping less.",
    "knowledge": "General knowledge with and without the pirate vector.",
    "methods-at-equal-damage": "Steering and a prompt, read at the same damage.",
    "reliability": "The effect on every single prompt, beside the best control.",
    "norms": "The norm of each row of the vectors, relative to the residual stream.",
    "models": "The same contrast pair on two models.",
    "concepts": "The gain of 24 concepts by two wordings of their contrast pair.",
    "methods-stories15m": "Seven ways to steer and two to prompt, at equal damage.",
    "pairs-from-1-to-160": "The effect of directions derived from 1 to 160 contrast pairs.",
    "is-my-pair-good": "Eight predictors of a pair's effect, read before any sampling.",
    "dose": "Effect and damage of one direction over doses, at all layers of two models.",
}

# The rows of the table of models: what is steered towards, model, experiment, metric, and the
# conditions that are steered, the control at the same strength, and the prompt.
WORDS, COSINE = "pirate-words.any", "about-weddings.weddings"
PROBABILITY = "sentiment.probability"
ALL = ("actadd", "random", "prompting")
ROWS = (
    ("sadder stories", "stories15m", "sentiment", "vader.compound", "towards-hate", *ALL[1:]),
    ("words of the sea", "smollm2-135m", "topic", WORDS, *ALL),
    ("about weddings", "stories15m", "models", COSINE, *ALL),
    ("about weddings", "smollm2-135m", "models", COSINE, *ALL),
    # Of the default run until stories took the place of reviews; in reviews.yaml of docs/models.md.
    ("kinder reviews", "smollm2-135m", "sentiment", PROBABILITY, "towards-love", "random", ""),
    ("harsher reviews", "smollm2-135m", "sentiment", PROBABILITY, "towards-hate", "", ""),
)


def main(folders: list[Path]) -> None:
    sys.path.insert(0, str(ROOT / "workflow"))
    from actadd.cli.project import configured
    from actadd.pipeline.graph import Graph

    MEASURED.mkdir(exist_ok=True)
    GALLERY.mkdir(parents=True, exist_ok=True)
    graph = Graph(configured(), ROOT)
    _write("figures.csv", [_figure(graph, name, folders) for name in FIGURES])
    _write("models.csv", [_model(row, folders) for row in ROWS])
    (MEASURED / "run.txt").write_text(_results(graph.config, folders[0]))
    (MEASURED / "try.txt").write_text(_trial(folders[0]))


def _write(name: str, rows: list[dict[str, Any]]) -> None:
    with (MEASURED / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# --- figures --------------------------------------------------------------------------------------


def _figure(graph: Any, name: str, folders: list[Path]) -> dict[str, Any]:
    """Draw a figure into the gallery. seconds: of all jobs that it needs, one after another."""
    from actadd.pipeline import layout
    from actadd.pipeline.job import walk

    job = graph.figure(name)
    results = next(each for each in folders if (each / f"figures/{name}.provenance.json").exists())
    jobs = [each for each in walk([job]) if not each.stage.endswith("_gather")]
    seconds = 0.0
    for each in jobs:
        path = results.parent / layout.benchmark(each.stage, **each.names)
        if path.exists():
            seconds += float(path.read_text().splitlines()[1].split("\t")[0])
    print(name, f"{seconds:.0f} s", f"{len(jobs)} jobs", flush=True)
    _draw(job, results)
    study = graph.config["figures"][name].get("study")
    title = graph.config["figures"][name]["title"]
    part = "laboratory" if study else "default run"
    return {"figure": name, "title": title, "part": part, "seconds": round(seconds)}


def _draw(job: Any, results: Path) -> None:
    """Draw it by the library as it is now, and shrink the picture."""
    from PIL import Image

    from actadd.results.displays.needs import NAMES
    from actadd.results.figures import draw

    sources: dict[str, Any] = {}
    for need, files in job.inputs.items():
        paths = {each: results.parent / each.path for each in files}
        if braces := NAMES.get(need):
            names = braces.strip("{}").split(",")
            keys = [tuple(each.job.names[name] for name in names) for each in files]
            values = zip(keys, paths.values(), strict=True)
            sources[need] = {key if len(key) > 1 else key[0]: path for key, path in values}
        else:
            sources[need] = list(paths.values())
    with tempfile.TemporaryDirectory() as folder:
        outputs = {kind: Path(folder) / kind for kind in ("png", "svg", "pdf", "captioned", "csv")}
        draw(job.slice, sources=sources, **outputs)
        with Image.open(outputs["png"]) as image:
            white = Image.new("RGBA", image.size, "white")
            white.alpha_composite(image.convert("RGBA"))
    width = min(1000, white.width)
    size = (width, round(white.height * width / white.width))
    small = white.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.quantize(64).save(GALLERY / f"{job.names['display']}.png", optimize=True)


# --- models ---------------------------------------------------------------------------------------


def _model(row: tuple[str, ...], folders: list[Path]) -> dict[str, Any]:
    """A row of the table of models: paired differences from unsteered, with intervals."""
    from actadd.results.prompt_values import prompt_values
    from actadd.results.reliability.effects import mean_of
    from actadd.results.reliability.evidence import Evidence

    aim, model, experiment, metric, steered, control, prompting = row
    scorer = metric.partition(".")[0]

    def evidence(results: Path) -> Evidence | None:
        cells = results / f"completions/{model}/{experiment}.parquet"
        scores = results / f"scores/{model}/{experiment}/{scorer}.parquet"
        if not (cells.exists() and scores.exists()):
            return None
        return Evidence(prompt_values(cells, {scorer: scores}))

    evidences = ((results, evidence(results)) for results in folders)
    results, values = next((results, each) for results, each in evidences if each is not None)
    settings = {each.iloc[0]["condition"]: each for each in values.settings}
    changes = {name: values.changes(each, metric) for name, each in settings.items()}
    first = settings[steered].iloc[0]
    result = {
        "steered towards": aim,
        "model": model,
        "vector": first["vector"],
        "layer": f"{first['layer']:g}",
        "coefficient": f"{first['coefficient']:g}",
        "metric": metric,
        "prompts": len(changes[steered]),
        "unsteered": f"{values.unsteered(settings[steered], metric).mean():.3f}",
        "steered": _interval(mean_of(changes[steered])),
        "random": "",
        "steered minus random": "",
        "prompting": "",
    }
    if control:
        result["random"] = _interval(mean_of(changes[control]))
        others = changes[control]
        net = others.rsub(changes[steered][0].reindex(others.index), axis=0).dropna()
        result["steered minus random"] = _interval(mean_of(net))
    if prompting:
        result["prompting"] = _interval(mean_of(changes[prompting]))
    record = json.loads((results / f"summaries/{model}/{experiment}.provenance.json").read_text())
    return result | {"experiment": experiment, "made with": _commit(record["git"]["commit"])}


def _interval(estimate: Any) -> str:
    value, low, high = estimate
    if low != low:
        return f"{value:+.3f} (no prompt differs)"
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _commit(commit: str) -> str:
    """Its date and number."""
    command = ["git", "show", "--no-patch", "--format=%cs %h", commit]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


# --- what commands print --------------------------------------------------------------------------

TRY = (
    *("--model", "stories15m", "--layer", "1", "--coefficient", "-4"),
    *("--positive", "I love everything", "--negative", "I hate everything"),
    "Tom walked to school and on the way he",
)


def _results(config: dict[str, Any], results: Path) -> str:
    """The lines with which a run ends."""
    from actadd.pipeline.run_results import results_in_words

    figures = {name for name, entry in config["figures"].items() if "study" not in entry}
    return "\n".join(results_in_words(config, results, figures)) + "\n"


def _trial(results: Path) -> str:
    """What `actadd try` prints in a pipe, a line for each completion."""
    command = [sys.executable, "-m", "actadd", "try", *TRY, "--results", str(results)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("\t")]
    return "\n".join(lines) + "\n"


# --- tables of the pages --------------------------------------------------------------------------


def read(name: str) -> Iterator[dict[str, str]]:
    """The rows of a table that was measured."""
    with (MEASURED / name).open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


if __name__ == "__main__":
    main([Path(each).resolve() for each in sys.argv[1:]])
