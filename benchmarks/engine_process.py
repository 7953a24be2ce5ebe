"""Another inference engine as a process that loads once and draws when its turn comes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.common import PROMPTS, Setup

SAMPLING = {"temperature": 1, "top_p": 0.3, "frequency_penalty": 1}


class NotRun(Exception):
    """An engine that cannot be run, and why."""


class Engine:
    """A script of `peers/`, loaded and warmed up; a context, which ends the process.

    Raises NotRun if the process ends, with its last line.
    """

    def __init__(self, setup: Setup, name: str, script: Path, python: Path, **task: Any):
        folder = (setup.scratch / "engines").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self.task = {
            "model": str(setup.model.absolute()),
            "prompts": [setup.tokens().encode(prompt) for prompt in PROMPTS],
            "sampling": SAMPLING,
            "threads": setup.threads,
            **task,
        }
        self.log = folder / f"{name}.log"
        file = folder / f"{name}.json"
        file.write_text(json.dumps(self.task))
        environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [python, script, "--task", file],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                env=environment,
            )
        self.about = self._answer()

    def draw(self) -> None:
        """All samples of all prompts, exactly as many tokens of each as the task says."""
        assert self.process.stdin is not None
        self.process.stdin.write("draw\n")
        answer = self._answer()
        rows = len(self.task["prompts"]) * self.task["samples"]
        assert answer == {"rows": rows, "lengths": [self.task["tokens"]]}, answer

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            lines = self.log.read_text().strip().splitlines() or ["no message"]
            raise NotRun("\n".join(lines[-15:]))
        return json.loads(line)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        # The end of its input ends it, and what it started.
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
