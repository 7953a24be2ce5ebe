"""Kinds of tables, one file each, in folders by subject; `tabulate` writes one of the config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actadd.base.kinds import build
from actadd.results.displays.kinds import TABLES
from actadd.results.displays.needs import sources_of


def tabulate(
    spec: Mapping[str, Any], *, sources: Mapping[str, Any], csv: Path, markdown: Path, latex: Path
) -> dict[str, Any]:
    """Write one table of the config; returns its caption and number of rows.

    spec: the table's entry with its name, and `about`: facts of the experiment for the caption.
    sources: the files that its kind reads, see `sources_of`.
    """
    from actadd.results.markup import write_table

    kind = TABLES[spec["kind"]]
    options = build(kind.options, spec)
    table, caption = kind(options, sources_of("tables", spec, sources))
    if options.note:
        caption = f"{caption} {options.note}"
    words = {"title": options.title, "caption": caption, "label": f"tab:{spec['name']}"}
    write_table(table, csv=csv, markdown=markdown, latex=latex, **words)
    return {"caption": caption, "rows": len(table)}
