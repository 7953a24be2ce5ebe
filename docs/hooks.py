"""Pages of the documentation that are made from the code: config keys, rules, the command line."""

import html
import json
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
        lines = ["| key | what it is | value |", "|---|---|---|"]
        parts.append("\n".join([*lines, *rows]) + "\n")
    return "\n".join(parts)


def _rows(key: str, entry: dict, schema: dict, only: str = "") -> Iterator[str]:
    """A key and what stands below it; only: where it may stand, such as "kind pair"."""
    entry = _resolved(entry, schema)
    yield _row(key, entry, schema, only)
    if entry.get("type") == "array" and "items" in entry:
        items = _resolved(entry["items"], schema)
        if "properties" in items:
            yield from _below(f"{key}.N", items, schema)
    yield from _below(key, entry, schema)


def _below(key: str, entry: dict, schema: dict) -> Iterator[str]:
    own = entry.get("properties", {})
    for name, child in own.items():
        if child:
            yield from _rows(f"{key}.{name}", child, schema)
    # A key that several kinds have alike is one row.
    shared: dict[str, tuple[str, dict, list[str]]] = {}
    for branch in entry.get("allOf", []):
        [(field, values)] = branch["if"]["properties"].items()
        for name, child in branch.get("then", {}).get("properties", {}).items():
            if child:
                alike = shared.setdefault(f"{name} {child}", (name, child, []))
                alike[2].extend(values.get("enum", [values.get("const")]))
    for name, child, kinds in shared.values():
        everywhere = len(kinds) == len(own[field]["enum"])
        only = "" if everywhere else f"{field} {', '.join(kinds)}"
        yield from _rows(f"{key}.{name}", child, schema, only)
    more = entry.get("additionalProperties")
    if isinstance(more, dict):
        yield from _below(f"{key}.NAME", _resolved(more, schema), schema)


def _resolved(entry: dict, schema: dict) -> dict:
    while "$ref" in entry:
        name = entry["$ref"].rsplit("/", 1)[-1]
        entry = {**schema["$defs"][name], **{k: v for k, v in entry.items() if k != "$ref"}}
    return entry


def _row(key: str, entry: dict, schema: dict, only: str) -> str:
    # What a pattern or several forms ask for is better said in words.
    value = entry.get("title") or _type(entry, schema)
    if entry.get("default") not in (None, {}, []):
        value += f"; default {_code(entry['default'])}"
    # On a narrow screen the table scrolls, and its last column is the least missed.
    cells = (_code(key) + f" ({only})" * bool(only), entry.get("description", ""), value)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(name: object) -> str:
    """A long name, such as `a.b.c`, that may go on in the next line after a dot or a slash."""
    text = name if isinstance(name, str) else json.dumps(name)
    broken = re.sub(r"([./]+)", r"\1<wbr>", html.escape(text))
    return f'<code class="long">{broken}</code>'


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
    target = r"^((?:fig|table)_\w+|all|explorer|paper\w*)(?: \((.+)\))?$"
    names = re.findall(target, listed, re.MULTILINE)
    lines = ["| target | what it makes |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {said} |" for name, said in names)])


def rule_files() -> str:
    """The comment on top of each file of rules: what it is about, what it reads and makes."""
    parts = []
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        about: dict[str, list[str]] = {"": [], "in": [], "out": []}
        place = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            found = re.match(r"#\s+(in|out)\s{2,}(.*)", line)
            place = found[1] if found else ("" if line == "#" else place)
            about[place].append(found[2] if found else line.removeprefix("#").strip())
        said = {place: " ".join(filter(None, lines)) for place, lines in about.items()}
        parts.append(f"### `{path.name}`\n\n{said['']}\n")
        files = [("reads", said["in"]), ("makes", said["out"])]
        parts.append("\n".join(f"- {verb}: `{which}`" for verb, which in files if which) + "\n")
    return "\n".join(parts)


def command_line() -> str:
    """`--help` of every command."""
    from typer.testing import CliRunner

    sys.path.insert(0, str(ROOT / "workflow"))
    from actadd.cli import app

    def shown(*command: str) -> str:
        plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"}
        said = CliRunner().invoke(app, [*command, "--help"], prog_name="actadd", env=plain)
        lines = [line.rstrip() for line in said.output.strip().splitlines()]
        return "\n".join(["```text", *lines, "```"])

    names = [each.name or each.callback.__name__ for each in app.registered_commands]
    return "\n\n".join([shown(), *(f"## `{name}`\n\n{shown(name)}" for name in names)])


MADE: dict[str, Callable[[], str]] = {
    "config_keys": config_keys,
    "rules": rules,
    "rule_files": rule_files,
    "command_line": command_line,
}
