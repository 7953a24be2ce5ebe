"""Parts of the documentation that are generated from the code: config keys, rules, commands."""

import dataclasses
import html
import json
import re
import subprocess
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "docs")]

from measured import FIGURES, MEASURED, read  # noqa: E402

from actadd.base.kinds import Rule  # noqa: E402
from actadd.config.declaration import Config  # noqa: E402
from actadd.config.kinds import Family, Option, bare, is_union, options  # noqa: E402
from actadd.engine.operations import OPERATIONS  # noqa: E402


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs: replace each `<!-- generated: NAME -->` by the generated part of that name."""
    return re.sub(r"<!-- generated: (\w+) -->", lambda match: GENERATED[match[1]](), markdown)


def config_keys() -> str:
    """Every key of a config, section by section, with description, type and default."""
    parts = []
    for section, option in options(Config).items():
        lines = ["| key | what it is | value |", "|---|---|---|", *_rows(section, option)]
        parts.append(f"## `{section}`\n\n{option.description}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _rows(key: str, option: Option, only: str = "") -> Iterator[str]:
    """The rows of a key and of those below it. only: where it is allowed, such as "kind pair"."""
    yield _row(key, option, only)
    yield from _below(key, option.hint)


def _below(key: str, hint: Any) -> Iterator[str]:
    hint, mark = bare(hint)
    arguments = typing.get_args(hint)
    if isinstance(mark, Family):
        yield from _kinds(key, mark)
    elif dataclasses.is_dataclass(hint):
        for name, option in options(typing.cast(type, hint)).items():
            yield from _rows(f"{key}.{name}", option)
    elif is_union(hint):
        for branch in arguments:
            yield from _below(key, branch)
    elif typing.get_origin(hint) is list:
        yield from _below(f"{key}.N", arguments[0])
    elif typing.get_origin(hint) is dict:
        yield from _below(f"{key}.NAME", arguments[1])


def operations() -> str:
    """The options of every steering operation, by its name."""
    lines = ["| key | what it is | value |", "|---|---|---|"]
    for name, kind in OPERATIONS.items():
        for option, declared in options(kind.options).items():
            lines += _rows(option, declared, f"operation {name}")
    return "\n".join(lines) + "\n"


def _kinds(key: str, family: Family) -> Iterator[str]:
    """The key that names the kind, and the keys of each kind; equal keys of several are one row."""
    kinds = {kind: family.declaration(kind) for kind in family.kinds}
    hint = typing.Literal[tuple(kinds)]
    yield _row(f"{key}.{family.key}", Option(hint, Rule(), family.description, family.default), "")
    keys: dict[str, tuple[str, Option, list[str]]] = {}
    for kind, declaration in kinds.items():
        for name, option in options(declaration).items():
            keys.setdefault(f"{name} {option}", (name, option, []))[2].append(kind)
    for name, option, users in keys.values():
        only = "" if len(users) == len(kinds) else f"{family.key} {', '.join(users)}"
        yield from _rows(f"{key}.{name}", option, only)


def _row(key: str, option: Option, only: str) -> str:
    # A rule's title is easier to read than its pattern.
    value = option.rule.title or _type(option.hint, option.rule)
    if option.default not in (None, {}, [], dataclasses.MISSING):
        value += f"; default {_code(option.default)}"
    # The least important column is last, since the table scrolls on a narrow screen.
    cells = (_code(key) + f" ({only})" * bool(only), option.description, value)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(name: object) -> str:
    """A name as HTML code, with a possible line break after each dot and slash."""
    text = name if isinstance(name, str) else json.dumps(name)
    content = re.sub(r"([./]+)", r"\1<wbr>", html.escape(text))
    return f'<code class="long">{content}</code>'


WORDS = {str: "text", bool: "true or false", int: "whole number", float: "number"}


def _type(hint: Any, rule: Rule | None = None) -> str:
    hint, mark = bare(hint)
    rule = mark if isinstance(mark, Rule) else rule or Rule()
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if rule.title:
        return rule.title
    if origin is typing.Literal or rule.kinds:
        names = rule.kinds() if rule.kinds else arguments
        return ", ".join(f"`{value}`" for value in names)
    if is_union(hint):
        return " or ".join(dict.fromkeys(_type(each, rule) for each in arguments))
    if origin is list:
        return f"list of: {_type(arguments[0])}"
    bounds = [
        f"{sign} {bound:g}"
        for bound, sign in (
            (rule.exclusive_minimum, ">"),
            (rule.minimum, "≥"),
            (rule.maximum, "≤"),
        )
        if bound is not None
    ]
    return " ".join([WORDS.get(hint, "keys with values"), *bounds])


def rules() -> str:
    """The targets and their descriptions, as Snakemake lists them."""
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    target = r"^((?:fig|table)_\w+|all|explorer|paper\w*)(?: \((.+)\))?$"
    names = re.findall(target, listed, re.MULTILINE)
    lines = ["| target | what it makes |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {text} |" for name, text in names)])


def rule_files() -> str:
    """The first comment of each file of rules: its purpose, inputs and outputs."""
    parts = []
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        sections: dict[str, list[str]] = {"": [], "in": [], "out": []}
        section = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            match = re.match(r"#\s+(in|out)\s{2,}(.*)", line)
            section = match[1] if match else ("" if line == "#" else section)
            sections[section].append(match[2] if match else line.removeprefix("#").strip())
        texts = {section: " ".join(filter(None, lines)) for section, lines in sections.items()}
        parts.append(f"### `{path.name}`\n\n{texts['']}\n")
        files = [("reads", texts["in"]), ("makes", texts["out"])]
        parts.append("\n".join(f"- {verb}: `{which}`" for verb, which in files if which) + "\n")
    return "\n".join(parts)


def command_line() -> str:
    """Every command: what it does, how it is called, its options and examples."""
    from typer.main import get_command

    from actadd.cli import app

    group = get_command(app)
    commands = typing.cast(dict[str, Any], group.commands)  # type: ignore[attr-defined]
    listed = [f"| [`{name}`](#{name}) | {_first(each.help)} |" for name, each in commands.items()]
    return "\n".join(
        ["| command | what it does |", "|---|---|", *listed, *map(_command, commands.values())]
    )


def _first(text: str) -> str:
    """The first sentence of a help text."""
    return text.split("\n\n")[0].replace("\n", " ")


def _command(command: Any) -> str:
    """The section of one command."""
    from typer import Context

    context = Context(command, info_name=f"actadd {command.name}")
    pieces = command.collect_usage_pieces(context)
    usage = re.sub(r"{(\w+)}", lambda match: match[1].upper(), " ".join(pieces))
    paragraphs = [" ".join(part.split()) for part in command.help.split("\n\n")]
    rows = ["| argument or option | what it is | default |", "|---|---|---|"]
    for each in command.params:
        if each.name == "help":
            continue
        option = each.param_type_name == "option"
        names = ", ".join(f"`{name}`" for name in [*each.opts, *each.secondary_opts])
        names = names if option else f"`{each.name.upper()}`"
        hint = each.type_descriptor.annotation
        hints = typing.get_args(hint) if is_union(hint) else (hint,)
        literal = next((part for part in hints if typing.get_origin(part) is typing.Literal), None)
        choices = typing.get_args(literal)
        values = "one of " + ", ".join(f"`{value}`" for value in choices) if choices else ""
        text = " ".join(filter(None, [each.help, f"({values})" * bool(values)]))
        plain = each.default is None or each.default is False or callable(each.default)
        default = "required" if each.required else "" if plain else f"`{each.default}`"
        rows.append("| " + " | ".join(c.replace("|", "\\|") for c in (names, text, default)) + " |")
    parts = [f"## {command.name}", *paragraphs, f"```text\nactadd {command.name} {usage}\n```"]
    parts += ["\n".join(rows)] if len(rows) > 2 else []
    if command.epilog:
        heading, *examples = command.epilog.split("\n\n")
        parts += [heading, "\n".join(["```sh", *examples, "```"])]
    return "\n" + "\n\n".join(parts) + "\n"


def gallery() -> str:
    """The pictures, commands and times of docs/measured/figures.csv."""
    parts, last = [], ""
    for row in read("figures.csv"):
        if row["part"] != last:
            last = row["part"]
            parts.append(f"## {'The default run' if last == 'default run' else 'The laboratory'}")
        name, target = row["figure"], "fig_" + row["figure"].replace("-", "_").replace(".", "_")
        parts += [
            f"### {row['title']}",
            FIGURES[name],
            f"![{row['title']}](images/gallery/{name}.png)",
            f"```sh\nsnakemake --cores all {target}\n```",
            f"{_minutes(float(row['seconds']))} on one core, in a fresh clone.",
        ]
    return "\n\n".join(parts)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"


def models() -> str:
    """The table of models, from docs/measured/models.csv."""
    columns = ("steered minus random", "steered", "random", "prompting", "unsteered")
    lines = [f"| steered towards | model and setting | {' | '.join(columns)} | prompts |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for row in read("models.csv"):
        metric = _code(row["metric"])
        strength = f"layer {row['layer']}, c = {row['coefficient'].replace('-', '−')}"
        setting = [row["model"].replace("-", "‑"), row["vector"].replace("-", "‑"), strength]
        cells = [f"{row['steered towards']}<br>{metric}", "<br>".join(setting)]
        cells += [row[name].replace("-", "−") or "not measured" for name in columns]
        lines.append("| " + " | ".join([*cells, row["prompts"]]) + " |")
    commits = ", ".join(sorted({f"`{row['made with']}`" for row in read("models.csv")}))
    return "\n".join(lines) + f"\n\nMade with the commits {commits} of this repository."


def run() -> str:
    """The end of a default run."""
    return _printed((MEASURED / "run.txt").read_text(encoding="utf-8").splitlines())


def trial() -> str:
    """The completions of the quick start's `actadd try`, in short."""
    kept = re.compile(r"(unsteered|steered|random) 1 |mean vader")
    lines = (MEASURED / "try.txt").read_text(encoding="utf-8").splitlines()
    printed = [re.sub(r" distinct\S+", "", line) for line in lines if kept.match(line)]
    return _printed(line.replace("\t", "  ") for line in printed)


def _printed(lines: Iterable[str]) -> str:
    """What a command prints, in lines of a page's width."""
    wrapped = (textwrap.fill(line, 88, subsequent_indent="    ") for line in lines)
    return "\n".join(["```text", *wrapped, "```"])


def citation() -> str:
    """CITATION.cff as BibTeX."""
    import yaml

    entry = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    authors = " and ".join(
        "{" + each["name"] + "}"
        if "name" in each
        else f"{each['family-names']}, {each['given-names']}"
        for each in entry["authors"]
    )
    fields = {
        "title": "{" + entry["title"] + "}",
        "author": authors,
        "year": str(entry["date-released"])[:4],
        "version": entry["version"],
        "license": entry["license"],
    }
    lines = [f"  {name:<7} = {{{value}}}," for name, value in fields.items()]
    return "\n".join(["```bibtex", "@software{actadd_pipeline,", *lines, "}", "```"])


GENERATED: dict[str, Callable[[], str]] = {
    "config_keys": config_keys,
    "operations": operations,
    "rules": rules,
    "rule_files": rule_files,
    "command_line": command_line,
    "gallery": gallery,
    "models": models,
    "run": run,
    "trial": trial,
    "citation": citation,
}
