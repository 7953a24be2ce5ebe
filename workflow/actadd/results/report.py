"""Parts of the report beside figures: captions, tables as pages, and the results' origin."""

import html
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from actadd.base.files import read_json, write_text
from actadd.results.displays.visible import visible
from actadd.store import provenance

TABLE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
body { margin: 1.5rem; background: #fff; color: #22252b; font: 0.9375rem/1.5 system-ui; }
h1 { margin: 0 0 1rem; font: 600 1.3rem/1.3 Charter, Georgia, serif; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.8rem; border-bottom: 1px solid #dcd8cf; vertical-align: top; }
th { position: sticky; top: 0; background: #fff; color: #5a606b; font-weight: 600; }
td { white-space: pre-wrap; max-width: 32rem; overflow-wrap: anywhere; }
p { max-width: 50rem; color: #5a606b; }
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
    return (
        f"{record['model']} in {record['dtype']} on {record['device']}, {len(properties)} "
        f"properties; closest to its bound: {name}, off by {closest['difference']:.2g} of "
        f"{closest['bound']:.2g}"
    )


def describe(
    spec: dict[str, Any], *, records: list[Path], verifications: Mapping[str, Path], output: Path
) -> dict[str, Any]:
    """Write the origin of the results for the report's first page, as reStructuredText.

    spec: experiments, models {name: source}, seed, device. records: the results' provenance.
    verifications: by model, its folder or the record beside it.
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
        *("**Experiments**", ""),
        *(f"- {line}" for line in experiments),
        *("", "**Made from**", ""),
        *(f":{name}: {rst(text)}" for name, text in facts.items()),
        *("", "**Verified**", ""),
        *(f":{rst(name)}: {rst(text)}" for name, text in verified),
    ]
    write_text(output, "\n".join(lines) + "\n")
    return {"records": len(contents)}
