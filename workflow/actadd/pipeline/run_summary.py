"""What a run of the workflow did, read from the benchmarks and notes of its jobs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from actadd.base.files import read_json
from actadd.base.progress import readable
from actadd.pipeline import layout
from actadd.pipeline.costs import benchmark_seconds
from actadd.pipeline.run_results import results_in_words

NEXT = "next: make report, for results/report.html and results/explorer.html with all completions"


def written_since(paths: Iterable[Path], started: float) -> list[Path]:
    """The files that were written since a Unix time, sorted."""
    # On some file systems, times of files are coarser than the clock.
    return sorted(path for path in paths if path.stat().st_mtime >= started - 0.1)


def summary(results: Path, started: float, config: Mapping[str, Any] | None = None) -> str:
    """A few lines: cells computed, reused and failed, time of each stage, where figures are.

    results: the folder of results; started: when the run began (`time.time`). Times are those that
    Snakemake measures of each job, added up; jobs that failed have none. With a config, what the
    new figures show follows, and the next command.
    """
    cells: Counter[str] = Counter()
    stages: dict[str, list[float]] = defaultdict(list)
    for path in written_since(results.glob("benchmarks/**/*.tsv"), started):
        stage = path.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        stages[stage].append(benchmark_seconds(path))
    for path in written_since(results.glob("benchmarks/**/*.cells.json"), started):
        note = read_json(path)
        cells.update({state: note[state] for state in ("computed", "reused", "failed")})
    lines = []
    if cells.total():
        failed = f", {cells['failed']} failed" if cells["failed"] else ""
        lines.append(f"cells: {cells['computed']} computed, {cells['reused']} reused{failed}")
        if cells["reused"] == cells.total():
            lines.append("all from the store; actadd store --forget EXPERIMENT has them computed")
    times = [
        f"{stage} {readable(sum(took))}" + (f" ({len(took)} jobs)" if len(took) > 1 else "")
        for stage, took in sorted(stages.items(), key=lambda item: (-sum(item[1]), item[0]))
    ]
    if times:
        lines.append(f"time of jobs, added up by stage: {', '.join(times)}")
    # A figure is drawn as PNG more than once, with and without its caption.
    for stage, kind in (("figure", "pdf"), ("table", "csv")):
        files = {path: name for (name,), path in layout.on_disk(stage, kind, results).items()}
        if new := written_since(files, started):
            lines.append(f"{stage}s: {len(new)} in {new[0].parent}/")
        if new and config and stage == "figure":
            words = results_in_words(config, results, {files[path] for path in new})
            lines += [*words, NEXT] if words else []
    return "\n".join(lines)
