"""Shared by the scripts of other engines: a process that loads once and draws when its turn comes.

Of the standard library only, since it runs in every engine's environment.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = dict[str, Any]
Rows = list[list[int]]


def take_turns(start: Callable[[Task], tuple[Callable[[int], Rows], dict[str, Any]]]) -> None:
    """Load, say what was loaded, then draw once for each line that is read.

    start: takes the task; returns a function, which draws so many tokens for every row, and what
    it draws with. Standard output has the answers only, a line of JSON each; what the engine
    prints goes to standard error.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", type=Path, required=True)
    task = json.loads(parser.parse_args().task.read_text(encoding="utf-8"))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    draw, about = start(task)
    draw(2)
    print(json.dumps(about), file=answers)
    for _ in sys.stdin:
        rows = draw(task["tokens"])
        lengths = sorted({len(row) for row in rows})
        print(json.dumps({"rows": len(rows), "lengths": lengths}), file=answers)
