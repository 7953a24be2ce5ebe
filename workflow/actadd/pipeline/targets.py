"""Why Snakemake can make no file of a target's name: which name in its path the config lacks."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from actadd.base.names import unknown
from actadd.measure.measures import MEASURES
from actadd.pipeline import layout

# Name in a path -> section of the config that holds it.
SECTIONS = {
    "source": "sources",
    "model": "models",
    "dataset": "datasets",
    "vector": "vectors",
    "experiment": "experiments",
    "scorer": "scorers",
    "lens": "lenses",
    "pair_check": "pair_checks",
    "overhead": "overheads",
    "method_comparison": "method_comparisons",
}
NAME = re.compile(r"\{(\w+)\}")


def problem(target: str, config: Mapping[str, Any], rules: Collection[str]) -> str:
    """What is wrong with a target; "" if nothing is known to be.

    target: of the command line, a rule or a path from the working directory. config: a checked one.
    rules: the names of rules without wildcards.
    """
    if "/" not in target and "." not in target:
        return "" if target in rules else unknown("target", target, rules)
    if not target.startswith(f"{layout.RESULTS}/"):
        return ""
    path = target.removeprefix(f"{layout.RESULTS}/").rstrip("/")
    candidates = [list(problems) for problems in _problems(path, config)]
    # The pattern with the fewest unknown names is the one that was meant.
    return f"{target}: {nearest[0]}" if (nearest := min(candidates, key=len, default=[])) else ""


def _problems(path: str, config: Mapping[str, Any]) -> Iterator[Iterator[str]]:
    """The unknown names of each pattern of the layout that a path fits."""
    for stage, about in layout.STAGES.items():
        for pattern in filter(None, about.outputs.values()):
            names = NAME.findall(pattern)
            parts = map(re.escape, NAME.split(pattern)[::2])
            if match := re.fullmatch("([^/.]+)".join(parts), path):
                yield _unknown(stage, dict(zip(names, match.groups(), strict=True)), config)


def _unknown(stage: str, names: Mapping[str, str], config: Mapping[str, Any]) -> Iterator[str]:
    for key, name in names.items():
        noun, known = key.replace("_", " "), None
        if key in SECTIONS:
            known = config[SECTIONS[key]]
        elif key == "display":
            noun, known = stage, config[f"{stage}s"]
        elif key == "measure":
            known = MEASURES
        if known is not None and name not in known:
            yield unknown(noun, name, known)
