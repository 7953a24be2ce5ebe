"""Draws docs/images/rulegraph.svg: what the rules of the default run hand on. Needs Graphviz."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGE = ROOT / "docs" / "images" / "rulegraph.svg"
# Mid-grey shows on white and on black.
STYLE = """
    graph [bgcolor=transparent, rankdir=LR, margin=0, nodesep=0.15, ranksep=0.35];
    node [shape=box, style=rounded, fontname="sans-serif", fontsize=12, color="#888888",
          fontcolor="#888888", height=0.35];
    edge [color="#888888", arrowsize=0.6];
"""


def rules() -> list[tuple[str, str]]:
    """(above, below) as Snakemake gives them: whatever the model, shards with what they are of."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph"]
    given = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', given))
    one = {
        key: re.sub(r"^(activations|vectors)_.*|_(shard|gather)$", r"\1", name)
        for key, name in names.items()
    }
    edges = re.findall(r"(\d+) -> (\d+)", given)
    return sorted({(one[a], one[b]) for a, b in edges if one[a] != one[b] and one[b] != "all"})


def main() -> None:
    edges = rules()
    # What is chosen on one experiment goes into another, which closes a circle of rules.
    forth = [f'"{above}" -> "{below}";' for above, below in edges if above != "choice"]
    back = [
        f'"choice" -> "{below}" [style=dashed, constraint=false];'
        for above, below in edges
        if above == "choice"
    ]
    graph = "\n".join(["digraph rules {", STYLE, *forth, "}"])
    for command in (["tred"], ["dot", "-Tsvg"]):
        done = subprocess.run(command, input=graph, capture_output=True, text=True, check=True)
        graph = done.stdout
        if command == ["tred"]:
            graph = "\n".join([graph[: graph.rindex("}")], *back, "}"])
    IMAGE.write_text(graph, encoding="utf-8")


if __name__ == "__main__":
    main()
