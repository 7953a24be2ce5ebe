"""`actadd try`: one prompt, continued with and without a vector."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from actadd.activations import REFERENCE, contrast_ids
from actadd.alignment import Position, aligned
from actadd.cli.project import configured
from actadd.cli.shown import on_terminal
from actadd.errors import UserError
from actadd.files import read_json
from actadd.licences import accepting, unaccepted
from actadd.tokens import Tokens


@dataclass(frozen=True)
class Trial:
    """Completions of a prompt, sample by sample, and how large what was added is.

    ratios: by position of the contrast, (its tokens, norm of coefficient times vector over the
    residual stream's usual norm at the layer).
    """

    prompt: str
    layer: int
    unsteered: list[str]
    steered: list[str]
    ratios: list[tuple[str, float]]
    warnings: list[str]


@contextmanager
def model_folder(model: str, results: Path) -> Iterator[Path]:
    """The prepared model of a name, or a Hugging Face folder made ready for as long as needed."""
    prepared, given = results / "models" / model, Path(model).expanduser()
    for folder in (prepared, given):
        if (folder / "model.json").is_file():
            yield folder
            return
    if not (given / "config.json").is_file():
        raise UserError(_unknown(model, results))
    from actadd.models import prepare

    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / given.resolve().name
        prepare(_entry(given), given, target)
        yield target


def _unknown(model: str, results: Path) -> str:
    """What to name instead of something that is no model, or how that is made ready."""
    there = sorted(path.parent.name for path in results.glob("models/*/model.json"))
    said = [
        f"--model: {model!r} is neither a prepared model nor a Hugging Face folder.",
        f"prepared in {results / 'models'}: {', '.join(there) or 'none'}",
    ]
    try:
        config = configured()
    except UserError:
        # Not in the workflow's folder, or its config has a mistake: no name of it helps here.
        return "\n".join([*said, "models of a config are made ready in the workflow's folder"])
    if model not in config["models"]:
        return "\n".join([*said, f"models of the config: {', '.join(config['models'])}"])
    command = f"snakemake --cores all {Path('results/models') / model}"
    if missing := unaccepted(config, [model]):
        command += f" --config 'licences_accepted=[{accepting(config, missing)}]'"
        entry = config["models"][model]
        said.append(f"its terms ({entry['licence']}) stand at {entry['licence_terms']}")
        return "\n".join([*said, f"if you accept them, this makes it ready: {command}"])
    return "\n".join([*said, f"this makes {model} ready: {command}"])


def _entry(folder: Path) -> dict[str, Any]:
    """What the config would say of a Hugging Face folder, from its own files."""
    from tokenizers import Tokenizer

    from actadd.models import read_config, readable

    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"--model: {folder} holds no tokenizer.json; save its tokenizer there")
    with readable(f"--model: {folder / 'tokenizer.json'}"):
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with readable(f"--model: {folder / 'config.json'}"):
        config = read_config(folder, trusted=False, name=folder.name)
    ends = config.eos_token_id
    stops = [tokenizer.id_to_token(i) for i in (ends if isinstance(ends, list) else [ends])]
    first = config.eos_token_id if config.bos_token_id is None else config.bos_token_id
    if None in stops or not isinstance(first, int):
        raise UserError(f"--model: {folder}/config.json names no bos_token_id or eos_token_id")
    bos = tokenizer.id_to_token(first)
    pads = (" ", "▁")
    single = [pad for pad in pads if len(tokenizer.encode(pad, add_special_tokens=False).ids) == 1]
    return {
        "name": folder.name,
        "format": "transformers",
        "layers": config.num_hidden_layers,
        "bos": bos,
        "stop": stops,
        "pad": [*single, bos][0],
        "chat_template": False,
    }


def compare(
    model_dir: Path,
    pair: dict[str, Any],
    prompt: str,
    *,
    layer: int,
    coefficient: float,
    position: Position = "front",
    samples: int = 3,
    tokens: int = 40,
    seed: int = 0,
    sampling: dict[str, float] | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    threads: int = 1,
) -> Trial:
    """Continues a prompt with and without a contrast pair's vector, with the same noise.

    pair: a vector's config entry of kind pair. Sample i has the noise that the workflow's sample i
    of the same prompt and seed has.
    Raises UserError, before the weights are loaded, if the vector is longer than the prompt, the
    layer is beyond the model or the text longer than it reads.
    """
    facts = read_json(model_dir / "model.json")
    tokenizer = Tokens(model_dir)
    ids = tokenizer.encode(prompt)
    contrast = contrast_ids(pair, tokenizer)
    rows = len(contrast["0.positive"])
    try:
        aligned(position, rows, len(ids))
    except UserError as error:
        raise UserError(f"{error}; write a longer prompt or shorter contrast prompts") from error
    if layer >= facts["layers"]:
        raise UserError(
            f"--layer: {layer} is beyond {facts['model']}, whose layers are 0 to "
            f"{facts['layers'] - 1}"
        )
    if facts["context"] and len(ids) + tokens > facts["context"]:
        raise UserError(
            f"--tokens: {len(ids)} tokens of the prompt and {tokens} more are beyond the "
            f"{facts['context']} that {facts['model']} reads; write a smaller number"
        )
    # Torch then asks for large pages, as in the workflow's programs.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    import numpy as np
    import torch

    from actadd.batching import left_pad, padded_width
    from actadd.experiment import TOO_LARGE
    from actadd.generation import BROKEN, FINISHED, generate
    from actadd.models import load
    from actadd.sampling import Sampling, draws
    from actadd.steering import Addition, input_device, record_activations
    from actadd.vectors import derive, dwarfing, norms_beside

    with redirect_stdout(sys.stderr):
        model = load(model_dir, dtype=dtype, device=device, threads=threads)
    place = input_device(model)

    def stream(row: list[int]) -> np.ndarray:
        found = record_activations(model, torch.tensor([row], device=place))
        return found[layer, 0].float().cpu().numpy()

    vector = derive("pair", {name: stream(row) for name, row in contrast.items()})
    reference = stream([tokenizer.bos_id, *tokenizer.pieces(REFERENCE)])
    norms = norms_beside(vector, reference, layer)
    addition = Addition(torch.from_numpy(vector), layer, coefficient, position)
    noise = np.stack([draws(seed, prompt, sample, tokens) for sample in range(samples)] * 2)
    drawn = generate(
        model,
        *left_pad([ids, ids], width=padded_width(len(ids))),
        additions=[[], [addition]],
        sampling=Sampling(**(sampling or {})),
        uniforms=torch.from_numpy(noise),
        max_new_tokens=tokens,
        stop_ids=tokenizer.stop_ids,
        samples=samples,
    ).tolist()
    if any(BROKEN in row for row in drawn):
        raise UserError(TOO_LARGE)
    texts = [
        tokenizer.continuation(ids, [token for token in row if token != FINISHED]) for row in drawn
    ]
    sides = zip(contrast["0.positive"], contrast["0.negative"], strict=True)
    names = [" / ".join(repr(tokenizer.token(i)) for i in side) for side in sides]
    sizes = (abs(coefficient) * norms["ratio"]).tolist()
    return Trial(
        prompt,
        layer,
        texts[:samples],
        texts[samples:],
        list(zip(names, sizes, strict=True)),
        dwarfing(norms),
    )


def show(trial: Trial) -> None:
    """Prints a trial: side by side on a terminal, else one line for each completion."""
    for line in trial.warnings:
        typer.echo(f"warning: {line}", err=True)
    sizes = ", ".join(f"{ratio:.2g} ({tokens})" for tokens, ratio in trial.ratios)
    said = f"added at layer {trial.layer}, in norms of the residual stream: {sizes}"
    pairs = list(zip(trial.unsteered, trial.steered, strict=True))
    if not on_terminal():
        for number, texts in enumerate(pairs, start=1):
            for name, text in zip(("unsteered", "steered"), texts, strict=True):
                line = f"{trial.prompt}{text}".replace("\n", "\\n")
                typer.echo(f"{name} {number}\t{line}")
        typer.echo(said, err=True)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table("unsteered", "steered", header_style="bold", show_lines=True, expand=True)
    for texts in pairs:
        shown.add_row(*(Text.assemble((trial.prompt, "dim"), text) for text in texts))
    Console().print(shown)
    Console(stderr=True).print(Text(said, style="dim"))
