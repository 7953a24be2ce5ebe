"""Parts of the report beside figures: captions, tables as pages, and the results' origin."""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from actadd.base.files import read_json, write_text
from actadd.results.displays.visible import visible
from actadd.results.headlines import headlines
from actadd.store import provenance

TABLE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { --paper: #fff; --ink: #22252b; --quiet: #5a606b; --line: #dcd8cf; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171b; --ink: #e6e4df; --quiet: #a3a8b2; --line: #343941; }
}
@media (max-width: 46rem) { table { width: 60rem; } }
html { color-scheme: light dark; }
body { margin: 1.5rem; background: var(--paper); color: var(--ink); font: 0.9375rem/1.5 system-ui; }
h1 { margin: 0 0 1rem; font: 600 1.3rem/1.3 Charter, Georgia, serif; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { position: sticky; top: 0; background: var(--paper); color: var(--quiet); font-weight: 600; }
td { white-space: pre-wrap; min-width: min-content; max-width: 32rem; overflow-wrap: break-word; }
p { max-width: 50rem; color: var(--quiet); }
</style>
<h1>$title</h1>
$table
<p>$caption</p>
</html>
""")


def rst(text: str) -> str:
    """A text as one paragraph of reStructuredText, with all markup escaped."""
    return re.sub(r"([^\w\s]|_)", r"\\\1", visible(" ".join(text.split())))


def write_caption(path: Path, title: str, caption: str) -> None:
    """Write the title and caption that a report's template includes."""
    write_text(path, f"**{rst(title)}**\n\n{rst(caption)}\n")


def write_markdown(path: Path, title: str, caption: str) -> None:
    """Write the title and caption as they are pasted into a document or an issue."""
    write_text(path, f"**{visible(title)}.** {visible(' '.join(caption.split()))}\n")


def write_table_page(path: Path, *, title: str, csv: Path, caption: str) -> None:
    """Write a CSV file as an HTML page."""
    table = pd.read_csv(csv, dtype=str, keep_default_na=False).map(visible).rename(columns=visible)
    # pandas truncates long texts by default.
    with pd.option_context("display.max_colwidth", None):
        html_table = table.to_html(index=False, border=0, justify="left")
    page = TABLE.substitute(
        title=html.escape(visible(title)), table=html_table, caption=html.escape(visible(caption))
    )
    write_text(path, page)


def _verification(path: Path) -> str:
    """The verified property of a model whose deviation is closest to its bound.

    path: the model's folder, or its record.
    """
    record = read_json(path / "verification.json" if path.is_dir() else path)
    properties = record["properties"]
    bounded = {name: result for name, result in properties.items() if result["bound"]}
    # The bounds are derived from it.
    bounded.pop("batching", None)
    name = max(bounded, key=lambda name: bounded[name]["difference"] / bounded[name]["bound"])
    closest = bounded[name]
    auto = f" (dtype auto: {record['auto']['because']})" if "auto" in record else ""
    return (
        f"{record['model']} in {record['dtype']}{auto} on {record['device']}, {len(properties)} "
        f"properties; closest to its bound: {name}, off by {closest['difference']:.2g} of "
        f"{closest['bound']:.2g}"
    )


def _results(tables: Iterable[tuple[str, pd.DataFrame]]) -> Iterator[str]:
    """Lines of tables of texts in reStructuredText, each below its heading."""
    for heading, table in tables:
        yield from (f"**{rst(heading)}**", "", ".. list-table::")
        yield from ("   :header-rows: 1", "   :class: results", "")
        for row in [list(table.columns), *table.to_numpy().tolist()]:
            for column, text in enumerate(row):
                yield f"   {'  -' if column else '* -'} {rst(text)}".rstrip()
        yield ""


def describe(
    spec: dict[str, Any],
    *,
    records: list[Path],
    verifications: Mapping[str, Path],
    summaries: Mapping[tuple[str, str], Path],
    output: Path,
) -> dict[str, Any]:
    """Write results in numbers, and their origin, as reStructuredText for the report's first page.

    spec: experiments as `headlines` reads them, models {name: source}, seed, device. records: the
    results' provenance. verifications: by model, its folder or the record beside it. summaries: by
    (model, experiment).
    """
    contents = [record for path in records if (record := provenance.read(path))]
    commits = Counter(
        (record["git"]["commit"] or "none") + (", changed" if record["git"]["dirty"] else "")
        for record in contents
    )
    packages: dict[str, set[str]] = {}
    for record in contents:
        for name, version in record["versions"].items():
            packages.setdefault(name, set()).add(version)
    facts = {
        "models": "; ".join(f"{name} (source {source})" for name, source in spec["models"].items()),
        "seed": str(spec["seed"]),
        "device": spec["device"],
        "jobs by commit": "; ".join(f"{name}: {jobs}" for name, jobs in sorted(commits.items())),
        "versions": ", ".join(f"{name} {' or '.join(sorted(packages[name]))}" for name in packages),
    }
    experiments = [
        f"**{rst(entry['title'])}** ({rst(', '.join(entry['models']))}): {rst(entry['data'])}"
        for entry in spec["experiments"]
    ]
    verified = ((name, _verification(path)) for name, path in verifications.items())
    lines = [
        *_results(headlines(spec["experiments"], summaries)),
        # The report shows figures here.
        *(".. figures", ""),
        *("**Experiments**", ""),
        *(f"- {line}" for line in experiments),
        *("", "**Made from**", ""),
        *(f":{name}: {rst(text)}" for name, text in facts.items()),
        *("", "**Verified**", ""),
        *(f":{rst(name)}: {rst(text)}" for name, text in verified),
    ]
    write_text(output, "\n".join(lines) + "\n")
    return {"records": len(contents)}
