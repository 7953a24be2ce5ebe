"""`actadd try`: completions of one prompt with and without a vector."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from actadd.base.errors import UserError, quote
from actadd.base.files import read_json
from actadd.base.names import nearest, some, unknown
from actadd.cli.project import configured
from actadd.cli.trial import Trial, configured_scorers, scores
from actadd.config.licences import accepting, unaccepted
from actadd.config.sections.rules import HOW_TO
from actadd.engine.placement import Alignment, aligned
from actadd.engine.tokens import Tokens
from actadd.models import tokenizer_export
from actadd.pipeline import layout
from actadd.vectors.activations import REFERENCE, contrast_ids, late
from actadd.vectors.prompts import as_prompt


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


def named_vector(name: str, model: str, results: Path) -> tuple[dict[str, Any], Path]:
    """A vector's config entry, and its file in the folder of results, which may not exist.

    Raises UserError if the config has no such vector, or if it is not of kind pair and has no file.
    """
    config = configured()
    if name not in config["vectors"]:
        raise UserError(f"--vector: {unknown('vector', name, config['vectors'])}")
    entry = {"name": name, **config["vectors"][name]}
    file = layout.output("vectors", "vector", results, model=model, vector=name)
    if entry["kind"] != "pair" and not file.is_file():
        target = layout.output("vectors", "vector", model=model, vector=name)
        raise UserError(
            f"--vector: {file} does not exist, and `try` derives vectors of kind pair only; "
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
    dtype: str = "float32",
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
    facts = read_json(model_dir / "model.json")
    tokenizer = Tokens(model_dir)
    if isinstance(prompt, str):
        ids, text, noise_key = tokenizer.encode(prompt), prompt, prompt
    else:
        ids = tokenizer.prompt(as_prompt(prompt))
        text, noise_key = tokenizer.decode(ids), str(prompt.get("chat", ids))
    if layer >= facts["layers"]:
        raise UserError(
            f"--layer: {layer} is beyond {facts['model']}, whose layers are 0 to "
            f"{facts['layers'] - 1}"
        )
    contrast, rows, names, late_words = {}, None, [], []
    if vector["kind"] == "pair":
        contrast = contrast_ids(vector, tokenizer)
        positive, negative = contrast["0.positive"], contrast["0.negative"]
        names = [
            " / ".join(repr(tokenizer.token(i)) for i in side)
            for side in zip(positive, negative, strict=True)
        ]
        late_words = late(contrast, [tokenizer.token(i) for i in positive])
    elif file is not None:
        from actadd.vectors.vector_files import read_vector

        rows = read_vector(file, [layer])[layer]
        rows = rows[0] if rows.ndim == 3 else rows
        names = [f"row {number}" for number in range(len(rows))]
    try:
        aligned(position, len(names), len(ids))
    except UserError as error:
        if position == "all":
            raise UserError(f"--position: {error}") from error
        raise UserError(f"{error}; write a longer prompt or shorter contrast prompts") from error
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

    from actadd.engine.additions import Addition
    from actadd.engine.batching import left_pad, padded_width
    from actadd.engine.decoding.generation import generate
    from actadd.engine.decoding.sampling import BROKEN, FINISHED, Sampling, draws
    from actadd.engine.hooks import record_activations
    from actadd.engine.structure import input_device
    from actadd.measure.measures import TOO_LARGE
    from actadd.models.dtypes import AUTO, for_trial
    from actadd.models.loading import load
    from actadd.vectors.derivation import dwarfing, norms_beside
    from actadd.vectors.draws import gaussian
    from actadd.vectors.kinds import VECTOR_KINDS

    with redirect_stdout(sys.stderr):
        if dtype == AUTO:
            dtype = for_trial(model_dir, {"device": device, "threads": threads})
        model = load(model_dir, dtype=dtype, device=device, threads=threads)
    device_of_inputs = input_device(model)

    def stream(row: list[int]) -> np.ndarray:
        activations = record_activations(model, torch.tensor([row], device=device_of_inputs))
        return activations[layer, 0].float().cpu().numpy()

    if rows is None:
        rows = VECTOR_KINDS["pair"]({name: stream(row) for name, row in contrast.items()}, None)
    reference = stream([tokenizer.bos_id, *tokenizer.pieces(REFERENCE)])
    norms = norms_beside(rows, reference, layer)
    vectors = {"steered": rows}
    if control:
        # Of a key that no vector of kind random has, whose seed is its key.
        generator = np.random.Generator(np.random.Philox(key=seed % 2**64 + 2**64))
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        vectors["random"] = gaussian(generator, lengths, rows.shape[1]).astype(np.float32)
    additions = [
        [Addition(torch.from_numpy(each), layer, coefficient, position)]
        for each in vectors.values()
    ]
    arms = ["unsteered", *vectors]
    noise = np.stack([draws(seed, noise_key, sample, tokens) for sample in range(samples)])
    drawn = generate(
        model,
        *left_pad([ids] * len(arms), width=padded_width(len(ids))),
        additions=[[], *additions],
        sampling=Sampling(**(sampling or {})),
        uniforms=torch.from_numpy(np.concatenate([noise] * len(arms))),
        max_new_tokens=tokens,
        stop_ids=tokenizer.stop_ids,
        samples=samples,
    ).tolist()
    if any(BROKEN in row for row in drawn):
        raise UserError(TOO_LARGE)
    texts = [
        tokenizer.continuation(ids, [token for token in row if token != FINISHED]) for row in drawn
    ]
    by_arm = {arm: texts[n * samples : (n + 1) * samples] for n, arm in enumerate(arms)}
    sizes = (abs(coefficient) * norms["ratio"]).tolist()
    return Trial(
        text,
        layer,
        by_arm,
        list(zip(names, sizes, strict=True)),
        [*late_words, *dwarfing(norms)],
        scores(text, by_arm, configured_scorers()),
    )
