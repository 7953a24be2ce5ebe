"""Pages of the documentation that are made from the code: config keys, rules, the command line."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs: replaces each `<!-- made: NAME -->` by what is made of that name."""
    return re.sub(r"<!-- made: (\w+) -->", lambda found: MADE[found[1]](), markdown)


def config_keys() -> str:
    """Every key of the schema, section by section, with type, default and description."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    parts = []
    for section, entry in schema["properties"].items():
        rows = [*_rows(section, entry, schema)]
        parts.append(f"## `{section}`\n\n{entry.get('description', '')}\n")
        lines = ["| key | value | default | what it is |", "|---|---|---|---|"]
        parts.append("\n".join([*lines, *rows]) + "\n")
    return "\n".join(parts)


def _rows(key: str, entry: dict, schema: dict) -> Iterator[str]:
    entry = _resolved(entry, schema)
    yield _row(key, entry, schema)
    if entry.get("type") == "array" and "items" in entry:
        items = _resolved(entry["items"], schema)
        if "properties" in items:
            yield from _below(f"{key}.N", items, schema)
    yield from _below(key, entry, schema)


def _below(key: str, entry: dict, schema: dict) -> Iterator[str]:
    for name, child in entry.get("properties", {}).items():
        if child:
            yield from _rows(f"{key}.{name}", child, schema)
    for branch in entry.get("allOf", []):
        chosen = branch.get("if", {}).get("properties", {})
        [(field, values)] = chosen.items() if len(chosen) == 1 else [("", {})]
        kinds = values.get("enum", [values.get("const")])
        kind = ", ".join(map(str, kinds))
        for name, child in branch.get("then", {}).get("properties", {}).items():
            if child:
                yield from _rows(f"{key}.{name}` ({field} {kind}) `", child, schema)
    more = entry.get("additionalProperties")
    if isinstance(more, dict):
        yield from _below(f"{key}.NAME", _resolved(more, schema), schema)


def _resolved(entry: dict, schema: dict) -> dict:
    while "$ref" in entry:
        name = entry["$ref"].rsplit("/", 1)[-1]
        entry = {**schema["$defs"][name], **{k: v for k, v in entry.items() if k != "$ref"}}
    return entry


def _row(key: str, entry: dict, schema: dict) -> str:
    default = "" if entry.get("default") in (None, {}, []) else f"`{entry['default']}`"
    said = str(entry.get("description") or entry.get("title") or "")
    cells = (f"`{key}`".replace(" ``", ""), _type(entry, schema), default, said)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _type(entry: dict, schema: dict) -> str:
    entry = _resolved(entry, schema)
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    if "oneOf" in entry and "type" not in entry:
        return " or ".join(dict.fromkeys(_type(branch, schema) for branch in entry["oneOf"]))
    kind = entry.get("type", "")
    if kind == "array":
        return f"list of {_type(entry.get('items', {}), schema) or 'values'}"
    bounds = [
        f"{sign} {entry[name]}"
        for name, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("maximum", "≤"))
        if name in entry
    ]
    return " ".join([str(kind), *bounds])


def rules() -> str:
    """The rules' own words, from the workflow, and the targets of the paper."""
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    names = re.findall(r"^((?:fig|table)_\w+|all|paper\w*)(?:\n {4}(.+))?", listed, re.MULTILINE)
    lines = ["| target | what it makes |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {said} |" for name, said in names)])


def rule_files() -> str:
    """The comment on top of each file of rules."""
    rows = []
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        comment = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            comment.append(line.removeprefix("#").strip())
        rows.append(f"| `{path.name}` | {' '.join(filter(None, comment))} |")
    return "\n".join(["| file | what it holds |", "|---|---|", *rows])


def command_line() -> str:
    """`--help` of every command."""
    from typer import Context
    from typer.main import get_command

    sys.path.insert(0, str(ROOT / "workflow"))
    from actadd.cli import app

    group = get_command(app)
    parts = []
    for name, command in sorted(group.commands.items()):
        context = Context(command, info_name=f"actadd {name}")
        parts.append(f"## `{name}`\n\n```text\n{command.get_help(context).strip()}\n```\n")
    return "\n".join(parts)


MADE: dict[str, Callable[[], str]] = {
    "config_keys": config_keys,
    "rules": rules,
    "rule_files": rule_files,
    "command_line": command_line,
}
