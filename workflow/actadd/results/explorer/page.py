"""The page as text: data, packed parts, scripts."""

import base64
import gzip
import hashlib
import html
import json
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

ASSETS = Path(__file__).parent
# Parts of the page's one script, in this order.
SCRIPTS = (
    "state",
    "numbers",
    "parts",
    "data",
    "choices",
    "fields",
    "setting",
    "plots",
    "charts",
    "marks",
    "rows",
    "completions",
    "tokens",
    "copying",
    "keys",
    "start",
)


class Parts:
    """Packed parts of the page, by number."""

    def __init__(self) -> None:
        self.packed: list[str] = []

    def add(self, content: Any) -> int:
        """Pack a part; returns its number."""
        self.packed.append(packed(_json(content)))
        return len(self.packed) - 1

    def elements(self) -> str:
        """Script elements that no browser runs; base64 cannot end them."""
        kind = "application/octet-stream"
        return "\n".join(
            f'<script type="{kind}" id="part-{number}">{text}</script>'
            for number, text in enumerate(self.packed)
        )


def packed(text: str) -> str:
    """A text, compressed, as base64; the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def page(data: dict[str, Any], parts: Parts) -> str:
    """The page as text, the same for the same data; only scripts whose digest it holds may run."""
    script = page_script()
    plotly = get_plotlyjs()
    return Template((ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(data["title"]),
        allowed=" ".join(map(_source, (script, plotly))),
        style=(ASSETS / "page.css").read_text(encoding="utf-8"),
        # Without "<" no text in the JSON can end the script element.
        data=_json(data).replace("<", "\\u003c"),
        parts=parts.elements(),
        script=script,
        plotly=packed(plotly),
    )


def page_script() -> str:
    """The page's own script."""
    files = (ASSETS / f"{name}.js" for name in SCRIPTS)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _source(script: str) -> str:
    """A script's name in a content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
