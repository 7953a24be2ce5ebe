"""Converts the library's docstrings to Markdown: examples as code, arguments as list items."""

import re
from typing import Any

import griffe

ARGUMENT = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): ")


class Markdown(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """Convert each paragraph; one that begins with an indented line stays as it is."""
    return "\n\n".join(map(_paragraph, re.split(r"\n{2,}", docstring.strip("\n"))))


def _paragraph(text: str) -> str:
    if text.startswith(">>>"):
        return f"```pycon\n{text}\n```"
    if text.startswith(" "):
        return text
    lines = text.splitlines()
    if sum(bool(ARGUMENT.match(line)) for line in lines) < 2:
        return "\n".join(line.strip() for line in lines)
    parts: list[list[str]] = [[]]
    for line in lines:
        listed = parts[-1] and parts[-1][0].startswith("- ")
        if match := ARGUMENT.match(line):
            parts.append([f"- `{match[1]}`: {line[match.end() :]}"])
        elif listed and line.startswith(("Raises ", "Returns ")):
            parts.append([line])
        else:
            parts[-1].append(f"  {line.strip()}" if listed else line.strip())
    return "\n\n".join("\n".join(part) for part in parts if part)
