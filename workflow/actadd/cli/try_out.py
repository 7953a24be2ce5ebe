"""`actadd try`: completions of one prompt with and without a vector."""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from actadd.base.errors import UserError, quote
from actadd.base.names import nearest, some, unknown
from actadd.cli.project import configured
from actadd.cli.trial import Trial, configured_scorers
from actadd.cli.trial_model import Settings, TrialModel
from actadd.config.licences import accepting, unaccepted
from actadd.config.sections.rules import HOW_TO
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.placement import Alignment
from actadd.models import tokenizer_export
from actadd.pipeline import layout


@contextmanager
def model_folder(model: str, results: Path, bos: str | None = None) -> Iterator[Path]:
    """The folder of a prepared model, or a Hugging Face folder that is prepared temporarily.

    bos: the token in front of every text, for a folder that names none.
    """
    prepared = layout.output("model", "folder", results, model=model)
    checkpoint = Path(model).expanduser()
    for folder in (prepared, checkpoint):
        if (folder / "model.json").is_file():
            if bos is not None:
                raise UserError(f"--bos: {folder} is prepared, with a BOS; leave the option out")
            yield folder
            return
    if not (checkpoint / "config.json").is_file():
        if checkpoint.exists():
            from actadd.models.folders import check_folder

            check_folder(checkpoint, "--model")
        raise UserError(_unknown(model, results))
    from actadd.models.preparation import prepare

    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / checkpoint.resolve().name
        with redirect_stdout(sys.stderr):
            prepare(_entry(checkpoint, bos), checkpoint, target)
        yield target


def _unknown(model: str, results: Path) -> str:
    """The message for an unknown model: the prepared ones, or the command that prepares it."""
    folders = layout.on_disk("model", "folder", results)
    names = [name for (name,), folder in folders.items() if (folder / "model.json").exists()]
    parent = layout.output("model", "folder", results).parent
    lines = [
        f"--model: {quote(model)} is neither a prepared model nor a Hugging Face folder"
        f"{nearest(model, names)}.",
        f"prepared in {parent}: {', '.join(names) or 'none'}",
    ]
    try:
        config = configured()
    except UserError:
        # Not in a workflow's folder, or its config has a mistake, so its models are unknown.
        return "\n".join([*lines, "models of a config are made ready in the workflow's folder"])
    if model not in config["models"]:
        models = f"models of the config: {some(config['models'])}"
        models = f"{models}; {HOW_TO['model']} says how to add one"
        return "\n".join([*lines, models])
    command = f"snakemake --cores all {layout.output('model', 'folder', model=model)}"
    if missing := unaccepted(config, [model]):
        command += f" --config 'licences_accepted=[{accepting(config, missing)}]'"
        entry = config["models"][model]
        lines.append(f"its terms ({entry['licence']}) are at {entry['licence_terms']}")
        return "\n".join([*lines, f"if you accept them, this makes it ready: {command}"])
    return "\n".join([*lines, f"this makes {model} ready: {command}"])


def _entry(folder: Path, bos: str | None) -> dict[str, Any]:
    """The config entry of a Hugging Face folder, from its own files."""
    from actadd.models.configs import read_config, readable

    tokenizer_export.check_present("--model", folder)
    with readable(f"--model: {folder / 'config.json'}"):
        config = read_config(folder, trusted=False, name=folder.name)
    tokenizer = tokenizer_export.load(folder.name, folder, trusted=False)
    bos = bos or _bos(folder, tokenizer, config)
    single = [
        pad for pad in (" ", "▁") if len(tokenizer.encode(pad, add_special_tokens=False)) == 1
    ]
    entry = {
        "name": folder.name,
        "format": "transformers",
        "layers": config.num_hidden_layers,
        "bos": bos,
        "pad": [*single, bos][0],
    }
    if not tokenizer_export.stop_ids(folder, tokenizer, config):
        typer.echo(f"{folder} names no token that ends a text (eos_token_id): none does", err=True)
        entry["stop"] = []
    return entry


def _bos(folder: Path, tokenizer: Any, config: Any) -> str:
    """The BOS token that a checkpoint's own files name, or else the token that ends a text."""
    first = getattr(config, "bos_token_id", None)
    if first is not None and (token := tokenizer.convert_ids_to_tokens(first)) is not None:
        return str(token)
    if tokenizer.bos_token is not None:
        return str(tokenizer.bos_token)
    ends = tokenizer_export.stop_ids(folder, tokenizer, config)
    tokens = [str(tokenizer.convert_ids_to_tokens(i)) for i in ends]
    if len(tokens) != 1:
        alternatives = (
            f"{len(tokens)} that end a text, {', '.join(map(repr, tokens))}"
            if tokens
            else "no other"
        )
        raise UserError(
            f"--model: the files of {folder} name no BOS token (bos_token_id), and {alternatives}; "
            f"write --bos with the token to put in front of every text"
        )
    typer.echo(
        f"{folder} names no BOS token, so {tokens[0]!r}, which ends a text, is put in front of "
        "every text; --bos names another",
        err=True,
    )
    return tokens[0]


def as_entry(text: str, chat: bool, token_ids: bool) -> str | dict[str, Any]:
    """A prompt of the command line as a config entry.

    chat: a user's message in the model's chat template. token_ids: numbers; raises UserError for
    anything else.
    """
    if not token_ids:
        return {"chat": text} if chat else text
    try:
        ids = [int(word) for word in re.split(r"[\s,]+", text.strip("[] \t\n"))]
    except ValueError as error:
        raise UserError(
            f"--token-ids: {quote(text)} holds more than numbers; write them as '12 345 6'"
        ) from error
    return {"token_ids": ids}


def named_vector(
    name: str, model: str, results: Path, config: dict[str, Any] | None = None
) -> tuple[dict[str, Any], Path]:
    """A vector's config entry, and its file in the folder of results, which may not exist.

    config: that of this folder if not given. Raises UserError if the config has no such vector, or
    if it is not of kind pair and has no file.
    """
    config = configured() if config is None else config
    if name not in config["vectors"]:
        raise UserError(f"--vector: {unknown('vector', name, config['vectors'])}")
    entry = {"name": name, **config["vectors"][name]}
    file = layout.output("vectors", "vector", results, model=model, vector=name)
    if entry["kind"] != "pair" and not file.is_file():
        target = layout.output("vectors", "vector", model=model, vector=name)
        raise UserError(
            f"--vector: {file} does not exist, and only a vector of kind pair is derived here; "
            f"derive it with: snakemake --cores all {target}"
        )
    return entry, file


def compare(
    model_dir: Path,
    vector: dict[str, Any],
    prompt: str | dict[str, Any],
    *,
    file: Path | None = None,
    layer: int,
    coefficient: float,
    control: bool = True,
    position: Alignment = "front",
    samples: int = 3,
    tokens: int = 40,
    seed: int = 0,
    sampling: dict[str, float] | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    threads: int = 1,
) -> Trial:
    """Continue a prompt with and without a vector, with the same noise.

    vector: its config entry. file: its vector file, for a kind other than pair; of several draws
    the first is taken. prompt: a text, wrapped in the chat template of a model whose config asks
    for that; or a prompt in one of the other forms of a vector's entry. control: whether a random
    vector with the same norm at each position is added too, in completions of its own.
    Sample i has the noise of the workflow's sample i of the same prompt and seed.
    Raises UserError, before the weights are loaded, if the vector is longer than the prompt, the
    model has no such layer, or the text exceeds its context.
    """
    model = TrialModel(model_dir)
    settings = Settings(
        layer=layer,
        strength=coefficient,
        position=position,
        control=control,
        samples=samples,
        tokens=tokens,
        seed=seed,
        sampling=Sampling(**(sampling or {})),
    )
    plan = model.plan(vector, prompt, settings, file)
    model.load(device=device, dtype=dtype, threads=threads)
    return model.run(plan, configured_scorers())
