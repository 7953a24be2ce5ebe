"""Shared by the items of the benchmark: model, prompts, timing and results."""

import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from actadd.engine.additions import Addition
from actadd.engine.batching import left_pad
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.hooks import record_activations
from actadd.engine.structure import blocks
from actadd.engine.tokens import Tokens
from actadd.models.loading import load
from actadd.vectors.activations import contrast_ids
from actadd.vectors.kinds.pair import pair

ROOT = Path(__file__).resolve().parents[1]
PAIR = {"name": "love-hate", "kind": "pair", "positive": "Love", "negative": "Hate"}
PROMPTS = [
    "I went up to my friend and said",
    "I hate you because",
    "The weather this morning was",
    "She opened the door and",
    "The best thing about the city is",
    "My brother told me that",
    "After a long day at work",
    "The recipe begins with",
]


@dataclass(frozen=True)
class Setup:
    """The model and machine settings that every arm of the benchmark shares."""

    model: Path
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    # Folder for environments of other libraries and temporary files.
    scratch: Path = Path("results/benchmark/scratch")

    def load(self):
        return load(self.model, dtype=self.dtype, device=self.device, threads=self.threads)

    def tokens(self) -> Tokens:
        return Tokens(self.model)

    @cache  # noqa: B019 - a run has one setup, which lives as long as the process
    def vectors(self) -> list[np.ndarray]:
        """The pair's vector at every layer, float32 [positions, d_model], from one pass each."""
        import torch

        model = self.load()
        ids = contrast_ids(PAIR, self.tokens())
        device = model.get_input_embeddings().weight.device
        streams = {
            name: record_activations(model, torch.tensor([row], device=device))[:, 0].float().cpu()
            for name, row in ids.items()
        }
        return [
            pair({name: stream[layer].numpy() for name, stream in streams.items()}, None)
            for layer in range(len(blocks(model)))
        ]

    def addition(self, layer: int, coefficient: float) -> Addition:
        import torch

        return Addition(torch.from_numpy(self.vectors()[layer]), layer, coefficient)

    def draw(
        self,
        prompts: list[list[int]],
        samples: int,
        steps: int,
        width: int | None = None,
        model: Any = None,
    ):
        """Steered samples of each prompt, by ours; token ids [rows, steps].

        model: by default the one that was loaded last.
        """
        ids, mask = left_pad(prompts, width=width)
        return generate(
            model or self.load(),
            ids,
            mask,
            additions=[[self.addition(6, 5.0)]] * len(prompts),
            sampling=Sampling(top_p=0.3, frequency_penalty=1.0),
            uniforms=uniforms(len(prompts) * samples, steps),
            max_new_tokens=steps,
            samples=samples,
        )


@dataclass(frozen=True)
class Result:
    """One line of the table.

    target, and whether the value must be at least or at most that; None: reported only.
    """

    item: str
    what: str
    value: float
    unit: str
    target: float | None = None
    bound: Literal["at least", "at most"] | None = None
    note: str = ""
    reached: bool | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.target is not None:
            above = self.value >= self.target
            below = self.value <= self.target
            object.__setattr__(self, "reached", above if self.bound == "at least" else below)

    def row(self) -> dict[str, Any]:
        return asdict(self)


def ratio(item: str, what: str, slower: list[float], faster: list[float], **about) -> Result:
    """The speed-up: the median over rounds of the ratio of the two times."""
    ratios = [a / b for a, b in zip(slower, faster, strict=True)]
    spread = f"rounds: {', '.join(f'{value:.2f}' for value in ratios)}"
    note = about.pop("note", "")
    return Result(
        item,
        what,
        statistics.median(ratios),
        "times",
        note=f"{note}; {spread}" if note else spread,
        **about,
    )


def in_turn(arms: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each arm in each round; every other round has the reverse order.

    So a drift of the machine's speed affects all arms equally.
    """
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        for name in list(arms) if number % 2 == 0 else list(arms)[::-1]:
            seconds[name].append(timed(arms[name], device))
            print(f"  {name}: {seconds[name][-1]:.2f} s", flush=True)
    return seconds


def timed(work: Callable[[], Any], device: str) -> float:
    """Seconds of one call, until the device has finished."""
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def uniforms(rows: int, steps: int):
    import torch

    return torch.rand(rows, steps, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def machine(setup: Setup) -> dict[str, str]:
    """The machine, model and versions of the measurement, for the table's caption."""
    import torch

    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].split(":")[1].strip() if names else processor
    device = torch.cuda.get_device_name() if setup.device == "cuda" else processor
    git = ["git", "-C", str(ROOT)]
    head = [*git, "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True).stdout.strip()
    # Code that is in no commit cannot be measured again.
    if subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py"]).returncode:
        commit += "-changed"
    packages = ("torch", "transformers", "snakemake")
    return {
        "device": f"{device}, {setup.threads} thread" + ("s" if setup.threads > 1 else ""),
        "model": setup.model.name,
        "dtype": setup.dtype,
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
        "commit": commit,
    }
