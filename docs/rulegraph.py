"""Draws docs/images/rulegraph.svg, the rules of the default run. Needs Graphviz."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGE = ROOT / "docs" / "images" / "rulegraph.svg"
# Mid-grey is visible on white and on black.
STYLE = """
    graph [bgcolor=transparent, rankdir=LR, margin=0, nodesep=0.15, ranksep=0.35];
    node [shape=box, style=rounded, fontname="sans-serif", fontsize=12, color="#888888",
          fontcolor="#888888", height=0.35];
    edge [color="#888888", arrowsize=0.6];
"""


def rules() -> list[tuple[str, str]]:
    """(above, below) of Snakemake's rule graph, with the rules of models and of shards merged."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph"]
    dot = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    labels = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    rule = {
        node: re.sub(r"^(activations|vectors)_.*|_(shard|gather)$", r"\1", label)
        for node, label in labels.items()
    }
    edges = re.findall(r"(\d+) -> (\d+)", dot)
    return sorted({(rule[a], rule[b]) for a, b in edges if rule[a] != rule[b] and rule[b] != "all"})


def main() -> None:
    edges = rules()
    # The choice on one experiment is an input of another, which makes a cycle of rules.
    forward = [f'"{above}" -> "{below}";' for above, below in edges if above != "choice"]
    back = [
        f'"choice" -> "{below}" [style=dashed, constraint=false];'
        for above, below in edges
        if above == "choice"
    ]
    graph = "\n".join(["digraph rules {", STYLE, *forward, "}"])
    for command in (["tred"], ["dot", "-Tsvg"]):
        result = subprocess.run(command, input=graph, capture_output=True, text=True, check=True)
        graph = result.stdout
        if command == ["tred"]:
            graph = "\n".join([graph[: graph.rindex("}")], *back, "}"])
    IMAGE.write_text(graph, encoding="utf-8")


if __name__ == "__main__":
    main()
