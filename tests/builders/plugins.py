"""Plugins: files with kinds from outside the repository, as the how-tos show them."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actadd.base.kinds import PLUGINS, Kinds, load_plugin
from actadd.store import digests, syntax
from builders import tiny


def example(page: str) -> str:
    """The first file in Python that a page shows."""
    text = (tiny.ROOT / page).read_text(encoding="utf-8")
    return re.split(r"```python.*\n", text)[1].split("```")[0]


LENGTH = example("docs/how-to/scorer.md")
PARAGRAPHS = example("docs/how-to/data.md")
REFLECT = example("docs/how-to/operation.md")
HEAT = example("docs/how-to/figure.md")
MEDIAN = example("docs/how-to/vector.md")


@contextmanager
def loaded(*paths: Path) -> Iterator[None]:
    """Plugins that are loaded as a run loads them, and forgotten afterwards."""
    try:
        for path in paths:
            load_plugin(path)
        yield
    finally:
        for name in [name for name in sys.modules if name.startswith(f"{PLUGINS}.")]:
            del sys.modules[name]
        for family in Kinds.families:
            family.forget_plugins()
        for cached in (digests.module_file, digests.reached, digests.code_digest, syntax.read):
            cached.cache_clear()
