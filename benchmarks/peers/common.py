"""Shared by all scripts of the comparison, so that only the library under test differs.

One contrast pair, one prompt, a grid of settings (layer, coefficient), several samples of each, all
sampled by transformers' own `generate`. A script implements its library's steering as a `Peer` and
passes it to `main`. Works with transformers 4.57 and 5, since not every library supports 5.
"""

import argparse
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

# Logits must change by more than this to count as steered, and by less to count as equal; the order
# of additions changes float32 logits about a hundred times less.
NOTICEABLE = 1e-2
# The coefficient of the check that a library steers.
PROBE = 8.0
SEED = 0
OLD_TRANSFORMERS = int(transformers.__version__.split(".")[0]) < 5


class Setting(NamedTuple):
    """One cell of the grid. The residual stream is changed at the input of block `layer`."""

    layer: int
    coefficient: float


@dataclass(frozen=True)
class Task:
    """The work to be timed, as in the task file."""

    model: Path
    scratch: Path
    positive: str
    negative: str
    prompt: str
    bos: str
    settings: list[Setting]
    samples: int
    tokens: int
    sampling: dict[str, float]
    threads: int

    @classmethod
    def read(cls, path: Path) -> "Task":
        """The task in a JSON file."""
        values = json.loads(path.read_text(encoding="utf-8"))
        values["model"], values["scratch"] = Path(values["model"]), Path(values["scratch"])
        values["settings"] = [Setting(*setting) for setting in values["settings"]]
        return cls(**values)

    @property
    def layers(self) -> list[int]:
        """The layers of the grid, each once."""
        return sorted({setting.layer for setting in self.settings})


class FrequencyPenalty(LogitsProcessor):
    """Subtracts the penalty for each occurrence of a token in the row, including prompt and BOS.

    transformers has no frequency penalty; its repetition penalty is different.
    """

    def __init__(self, penalty: float):
        self.penalty = penalty

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        subtracted = scores.new_full((1, 1), -self.penalty).expand(input_ids.shape)
        return scores.scatter_add(1, input_ids, subtracted)


class FirstLogits(LogitsProcessor):
    """Records the logits after the prompt, for any library that wraps `generate`."""

    def __init__(self) -> None:
        self.logits: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.logits is None:
            self.logits = scores.clone()
        return scores


class Peer(ABC):
    """One library with the model, and how it steers."""

    # Names in the result; the second is the distribution whose version is reported.
    name: str
    distribution: str
    # Why settings cannot be rows of one batch, for a library that has no `generate_grid`.
    no_grid = ""

    def __init__(self, task: Task, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self.task = task
        self.model = model
        self.tokenizer = tokenizer
        self.prompt_ids = encode(tokenizer, task.bos, task.prompt)

    @abstractmethod
    def derive(self) -> None:
        """Derive the vectors of the contrast pair with the library."""

    @abstractmethod
    def generate(self, setting: Setting, rows: int, options: dict[str, Any]) -> Tensor:
        """Samples of one setting as one batch: token ids [rows, prompt and new tokens]."""

    def generate_grid(
        self, settings: Sequence[Setting], samples: int, options: dict[str, Any]
    ) -> Tensor:
        """All settings as one batch, the samples of a setting next to each other."""
        raise NotImplementedError(self.no_grid)

    def inputs(self, rows: int) -> dict[str, Tensor]:
        """The prompt, `rows` times."""
        ids = torch.tensor([self.prompt_ids]).repeat(rows, 1)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def contrast_ids(self) -> Tensor:
        """Token ids [2, positions] of the pair, the shorter text padded with spaces.

        With spaces and not the pad token, as the authors of activation addition do.
        """
        sides = [
            encode(self.tokenizer, self.task.bos, text)
            for text in (self.task.positive, self.task.negative)
        ]
        (space,) = self.tokenizer.encode(" ", add_special_tokens=False)
        length = max(len(side) for side in sides)
        return torch.tensor([side + [space] * (length - len(side)) for side in sides])


def encode(tokenizer: PreTrainedTokenizerBase, bos: str, text: str) -> list[int]:
    """The text's token ids after the one BOS, which many tokenizers do not add themselves."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    return [tokenizer.convert_tokens_to_ids(bos), *ids]


def block_before(layer: int) -> int:
    """The block whose output is the residual stream that enters block `layer`."""
    if layer < 1:
        raise ValueError("a library that changes outputs of blocks cannot change the input of 0")
    return layer - 1


def row_coefficients(settings: Sequence[Setting], samples: int, layer: int) -> Tensor:
    """Float [rows, 1, 1]: the coefficient of each row that is steered at `layer`, 0 elsewhere."""
    values = [setting.coefficient * (setting.layer == layer) for setting in settings]
    return torch.tensor(values, dtype=torch.float32).repeat_interleave(samples)[:, None, None]


def load(task: Task) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, float32 with sdpa attention and ready for inference, and its tokenizer."""
    torch.set_num_threads(task.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = _adapted(task.model, task.scratch) if OLD_TRANSFORMERS else task.model
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def _adapted(source: Path, scratch: Path) -> Path:
    """A copy of the model folder that transformers 4 can read; the weights are linked."""
    folder = scratch / f"{source.name}-for-transformers-4"
    folder.mkdir(parents=True, exist_ok=True)
    config = _read_json(source / "config.json")
    # Otherwise version 4 silently uses its default theta of 10000.
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    tokenizer = _read_json(source / "tokenizer_config.json")
    tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    for name in ("model.safetensors", "tokenizer.json", "generation_config.json"):
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to((source / name).resolve())
    return folder


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def sampled(task: Task) -> dict[str, Any]:
    """Arguments of `generate` for the task's sampling.

    transformers applies processors before it divides by the temperature, so the penalty is
    multiplied by it: the task's penalty applies to logits after the division.
    """
    temperature = task.sampling["temperature"]
    penalty = FrequencyPenalty(task.sampling["frequency_penalty"] * temperature)
    return {
        "do_sample": True,
        "temperature": temperature,
        "top_p": task.sampling["top_p"],
        "top_k": 0,
        "logits_processor": LogitsProcessorList([penalty]),
        **_exactly(task.tokens),
    }


def _exactly(tokens: int) -> dict[str, Any]:
    return {"min_new_tokens": tokens, "max_new_tokens": tokens, "use_cache": True}


def first_logits(generate: Callable[[dict[str, Any]], Tensor]) -> Tensor:
    """Logits [rows, vocabulary] after the prompt, recorded within a call of `generate`."""
    processor = FirstLogits()
    greedy = {"do_sample": False, "max_new_tokens": 1}
    generate({**greedy, "logits_processor": LogitsProcessorList([processor])})
    assert processor.logits is not None, "generate did not call its logits processor"
    return processor.logits


def logits_alone(peer: Peer, setting: Setting) -> Tensor:
    """Logits [1, vocabulary] after the prompt under one setting."""
    return first_logits(lambda options: peer.generate(setting, 1, options))


def steers(peer: Peer) -> bool:
    """Whether the coefficient changes the next token's logits, at every layer."""
    differences = []
    for layer in peer.task.layers:
        steered, unsteered = (logits_alone(peer, Setting(layer, c)) for c in (PROBE, 0.0))
        differences.append(float((steered - unsteered).abs().max()))
    return min(differences) > NOTICEABLE


def rows_as_alone(peer: Peer) -> bool:
    """Whether settings that share a batch give the same logits as each one alone."""
    settings = peer.task.settings
    together = first_logits(lambda options: peer.generate_grid(settings, 1, options))
    alone = torch.cat([logits_alone(peer, setting) for setting in settings])
    return float((together - alone).abs().max()) < NOTICEABLE


def calls(peer: Peer, mode: str) -> list[list[Callable[[dict[str, Any]], Tensor]]]:
    """The calls to time, in groups; each group yields one number of seconds."""
    task = peer.task
    if mode == "best":
        return [[lambda options: peer.generate_grid(task.settings, task.samples, options)]]
    rows, times = (task.samples, 1) if mode == "batched" else (1, task.samples)
    return [
        [lambda options, s=setting: peer.generate(s, rows, options)] * times
        for setting in task.settings
    ]


def timed(peer: Peer, mode: str) -> tuple[list[float], list[Tensor]]:
    """Seconds of each group of calls, and all generated tokens."""
    groups, options = calls(peer, mode), sampled(peer.task)
    groups[0][0]({**options, **_exactly(2)})
    torch.manual_seed(SEED)
    seconds, outputs = [], []
    for group in groups:
        start = time.perf_counter()
        outputs += [call(options) for call in group]
        seconds.append(time.perf_counter() - start)
    return seconds, outputs


@torch.inference_mode()
def measure(kind: type[Peer], task: Task, mode: str) -> dict[str, Any]:
    """The result of one script: see `main`."""
    about = {
        "peer": kind.name,
        "version": version(kind.distribution),
        "transformers": transformers.__version__,
        "mode": mode,
    }
    if mode == "best" and kind.generate_grid is Peer.generate_grid:
        return {**about, "supported": False, "why": kind.no_grid}
    peer = kind(task, *load(task))
    peer.derive()
    steered = steers(peer) and (mode != "best" or rows_as_alone(peer))
    seconds, outputs = timed(peer, mode)
    new = torch.cat(outputs)[:, len(peer.prompt_ids) :]
    assert new.shape[1] == task.tokens, f"{new.shape[1]} new tokens instead of {task.tokens}"
    return {
        **about,
        "seconds": seconds,
        "completions": new.shape[0],
        "tokens": new.numel(),
        "sample": peer.tokenizer.decode(new[0], skip_special_tokens=True),
        "steered": steered,
    }


def main(kind: type[Peer]) -> None:
    """Run a script: read its arguments, print the result as JSON on the last line.

    Modes: batched, one setting at a time with its samples as one batch; single, one completion a
    call; best, all settings as rows of one batch, if the library supports that. `seconds` has one
    number for each setting, and for `best` one number in total. `steered` is measured, and for
    `best` it also means that every row is steered as it would be alone.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--mode", choices=("batched", "single", "best"), required=True)
    arguments = parser.parse_args()
    result = measure(kind, Task.read(arguments.task), arguments.mode)
    print(json.dumps(result), flush=True)
