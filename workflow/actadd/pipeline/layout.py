"""All paths below the folder of results.

Every path is a pattern with names in braces. Filled with the names of an entry, it is the path of a
file; names that are not passed stay in braces, which makes the pattern of a Snakemake rule.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Relative to the working directory; Snakemake puts a module's prefix in front.
RESULTS = "results"

# Not outputs of any rule.
STORE = f"{RESULTS}/store"
ANSWERS = f"{RESULTS}/answers"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
JOBS = f"{RESULTS}/jobs"
FAILURES = f"{RESULTS}/failures"
# Pins of sources that the config does not state; kept with the config, not with the results.
SOURCES_LOCK = "sources.lock.json"

RECORD = "provenance"


@dataclass(frozen=True)
class Stage:
    """One kind of job.

    name: pattern of its name, also of its log, benchmark, job file and notes. outputs: output ->
    pattern below results, "" for none. folders: outputs that are folders. fills: whether it
    computes cells of the store, some of which may fail.
    """

    name: str
    outputs: Mapping[str, str]
    folders: tuple[str, ...] = ()
    fills: bool = False


def _file(name: str, output: str, path: str) -> Stage:
    """A stage with one output file, and its record beside it."""
    stem = path.rsplit(".", 1)[0]
    return Stage(name, {output: path, RECORD: f"{stem}.provenance.json"})


def _folder(name: str, path: str) -> Stage:
    return Stage(name, {"folder": path, RECORD: f"{path}.provenance.json"}, ("folder",))


def _formats(name: str, stem: str, **suffixes: str) -> Stage:
    """A stage that writes the same content in several formats."""
    outputs = {output: f"{stem}.{suffix}" for output, suffix in suffixes.items()}
    return Stage(name, {**outputs, RECORD: f"{stem}.provenance.json"})


SHARD = "shard_{shard}_of_{shards}"
SCORES = "scores/{model}/{experiment}/{scorer}"
TABLE = {"csv": "csv", "page": "html", "markdown": "md", "latex": "tex"}

STAGES = {
    "fetch": _folder("fetch/{source}", "sources/{source}"),
    "model": _folder("model/{model}", "models/{model}"),
    "verification": _file("verification/{model}", "record", "models/{model}.verification.json"),
    "batch_rows": _file("batch_rows/{model}", "rows", "models/{model}.batch_rows.json"),
    "stream_norms": _file("stream_norms/{model}", "norms", "models/{model}.stream_norms.csv"),
    "dataset": _file("dataset/{dataset}", "table", "datasets/{dataset}.parquet"),
    "overlaps": _file("overlaps/{section}/{name}", "record", "overlaps/{section}/{name}.json"),
    "activations": Stage(
        "activations/{model}/{vector}",
        {
            "layers": "activations/{model}/{vector}/layer_{layer}.safetensors",
            RECORD: "activations/{model}/{vector}/provenance.json",
        },
    ),
    "vectors": Stage(
        "vectors/{model}/{vector}",
        {
            "vector": "vectors/{model}/{vector}/vector.safetensors",
            "norms": "vectors/{model}/{vector}/norms.csv",
            RECORD: "vectors/{model}/{vector}/provenance.json",
        },
    ),
    "choice": _file("choice/{model}/{experiment}", "choice", "choices/{model}/{experiment}.json"),
    "thresholds": _file(
        "thresholds/{model}/{experiment}", "thresholds", "thresholds/{model}/{experiment}.json"
    ),
    "classifier": _folder("classifier/{scorer}", "scorers/{scorer}"),
    "validation": _file("validation/{scorer}", "figures", "validation/{scorer}.json"),
    "scorer_card": _formats("{part}scorer_card", "tables/{part}scorer_card", **TABLE),
    "summary": _formats(
        "summary/{model}/{experiment}",
        "summaries/{model}/{experiment}",
        csv="csv",
        parquet="parquet",
    ),
    "equal_damage": Stage(
        "equal_damage/{model}/{method_comparison}",
        {
            "curves": "equal_damage/{model}/{method_comparison}/curves.parquet",
            "curves_csv": "equal_damage/{model}/{method_comparison}/curves.csv",
            "readings": "equal_damage/{model}/{method_comparison}/readings.parquet",
            "readings_csv": "equal_damage/{model}/{method_comparison}/readings.csv",
            RECORD: "equal_damage/{model}/{method_comparison}/provenance.json",
        },
    ),
    "lens": Stage(
        "lens/{model}/{lens}",
        {
            "tokens": "lenses/{model}/{lens}/tokens.parquet",
            "cosines": "lenses/{model}/{lens}/cosines.parquet",
            RECORD: "lenses/{model}/{lens}/provenance.json",
        },
    ),
    "pair_check": _file(
        "pair_check/{model}/{pair_check}", "table", "pair_checks/{model}/{pair_check}.parquet"
    ),
    "overhead": _file(
        "overhead/{overhead}/{subject}", "times", "overhead/{overhead}/{subject}.parquet"
    ),
    "figure": _formats(
        "figure/{display}",
        "figures/{display}",
        png="png",
        svg="svg",
        pdf="pdf",
        captioned="captioned.png",
        csv="csv",
        markdown="md",
        caption="rst",
    ),
    "table": _formats("table/{display}", "tables/{display}", **TABLE, caption="rst"),
    "comparison": _formats(
        "comparison", "comparison", parquet="parquet", csv="csv", markdown="md", latex="tex"
    ),
    "explorer_page": Stage(
        "{part}explorer",
        {
            "page": "{part}explorer.html",
            "about": "{part}about.rst",
            RECORD: "{part}explorer.provenance.json",
        },
    ),
    # The last job of a target; its record states that all is made and no cell failed.
    "complete": Stage("complete/{target}", {RECORD: "complete/{target}.provenance.json"}),
}


def _cells(stage: str, output: str, table: str, name: str) -> dict[str, Stage]:
    """The stages of cells: all in one job, or in shards and a job that gathers them."""
    outputs = {output: f"{table}.parquet", RECORD: f"{table}.provenance.json"}
    shard = {output: "", RECORD: f"{table}/{SHARD}.provenance.json"}
    return {
        stage: Stage(name, outputs, fills=True),
        f"{stage}_shard": Stage(f"{name}_{{shard}}_of_{{shards}}", shard, fills=True),
        f"{stage}_gather": Stage(name, outputs),
    }


CELLS = "{measure}/{model}/{experiment}"
STAGES |= _cells("cells", "table", CELLS, CELLS)
STAGES |= _cells("scores", "scores", SCORES, SCORES)


def layer_names(count: int) -> list[str]:
    """The layers of a model as in file names, 0-indexed block inputs."""
    return [f"{layer:02d}" for layer in range(count)]


class _Names(dict[str, str]):
    """Names for a pattern; missing ones stay in braces."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def _fill(pattern: str, names: Mapping[str, str]) -> str:
    return pattern.format_map(_Names(names))


def outputs(stage: str, layers: int = 0, **names: str) -> dict[str, list[str]]:
    """Output -> its paths: the pattern filled with `names`, for each layer if it has layers."""
    return {
        output: [
            f"{RESULTS}/{_fill(pattern, {**names, 'layer': layer})}"
            for layer in (layer_names(layers) if "{layer}" in pattern else [""])
            if pattern
        ]
        for output, pattern in STAGES[stage].outputs.items()
    }


def output(stage: str, output: str, results: Path | str = RESULTS, **names: str) -> Path:
    """The path of an output of one file or folder, in a folder of results."""
    return Path(results) / _fill(STAGES[stage].outputs[output], names)


def on_disk(
    stage: str, output: str, results: Path | str = RESULTS, **names: str
) -> dict[tuple[str, ...], Path]:
    """Every such output in a folder of results, sorted, by the names in its path but `names`."""
    results, pattern = Path(results), _fill(STAGES[stage].outputs[output], names)
    others = re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(pattern)))
    paths = sorted(results.glob(re.sub(r"\{\w+\}", "*", pattern)))
    matches = ((others.fullmatch(path.relative_to(results).as_posix()), path) for path in paths)
    return {match.groups(): path for match, path in matches if match}


def name(stage: str, **names: str) -> str:
    """The name of a job."""
    return _fill(STAGES[stage].name, names)


def log(stage: str, **names: str) -> str:
    return f"{LOGS}/{name(stage, **names)}.log"


def benchmark(stage: str, **names: str) -> str:
    return f"{BENCHMARKS}/{name(stage, **names)}.tsv"


def note(stage: str, **names: str) -> str:
    """What a job's last run computed of its cells, and how long that took."""
    return f"{BENCHMARKS}/{name(stage, **names)}.cells.json"


def job(stage: str, **names: str) -> str:
    """The file that tells a job's program what to do.

    Each has its own folder: Snakemake caches the listing of a folder when it looks for a file, and
    would miss a file that is written there later.
    """
    return f"{JOBS}/{name(stage, **names)}/job.json"


def failures(stage: str, **names: str) -> str:
    """The note of a job's failed cells."""
    return f"{FAILURES}/{name(stage, **names)}.json"
