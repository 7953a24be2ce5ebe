"""Models: made ready once as plain safetensors with a tokenizer, then loaded in a moment."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError, named
from actadd.base.files import canonical_json, digest, relative_link, whole_folder, write_json
from actadd.models import own_tokenizer
from actadd.models.checkpoints import (
    candidates,
    check_causal,
    check_folder,
    check_whole,
    load_gguf,
    load_whole,
    vocabulary,
    weight_files,
)
from actadd.store.sums import sha256

# What is linked of a checkpoint beside its weights: text.
LINKED = (".json", ".txt", ".jinja", ".model")
# What a checkpoint may bring along to be run, if `trust_remote_code` allows it.
CODE = ".py"


def prepare(spec: dict, source: Path, target: Path) -> dict[str, Any]:
    """Makes the folder `target` a checkpoint that loads without any of the source's peculiarities.

    spec: name, format (transformers, gguf or llama2c), layers, parameters (None if nobody has
    said), bos, pad and, if they are given, stop, chat_template, chat_variables and chat_date;
    trust_remote_code: whether the checkpoint's own Python files come along, default no.
    target gets the weights as safetensors, tokenizer.json, and model.json: ids of the special
    tokens, depth, width and a digest of the weights. Returns those facts.
    Raises UserError if the depth, the number of parameters or a token is not as the config says.
    """
    with whole_folder(target) as folder:
        make = {"transformers": _link, "gguf": _from_gguf, "llama2c": _from_llama2c}
        make[spec["format"]](spec, source, folder)
        facts, tokenizer = _facts(spec, source, folder)
        write_json(folder / "model.json", facts)
        if tokenizer is not None:
            own_tokenizer.check(spec, folder, tokenizer)
    return facts


def _link(spec: dict, source: Path, folder: Path) -> None:
    """A checkpoint that is already in Hugging Face form: links, not copies."""
    trusted = spec.get("trust_remote_code", False)
    check_folder(source, f"models.{spec['name']}")
    # An adapter's file would have a loader look for the adapter.
    weights = ("adapter_config.json", "model.safetensors.index.json")
    endings = (*LINKED, CODE) if trusted else LINKED
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix in endings and path.name not in weights:
            relative_link(folder / path.name, path)
    _link_weights(spec, source, folder)


def _link_weights(spec: dict, source: Path, folder: Path) -> None:
    """Links the weights that a loader reads, the first set that is whole if there are two."""
    failed: list[UserError] = []
    sets = candidates(source)
    for first in sets:
        read = {*(path.name for path in weight_files(source, first)), first}
        for name in read:
            relative_link(folder / name, source / name)
        try:
            if len(sets) > 1:
                checked(folder, spec)
        except UserError as error:
            failed.append(error)
            for name in read:
                (folder / name).unlink()
            continue
        if others := {path.name for path in source.glob("*.safetensors")} - read:
            print(f"models.{spec['name']}: not read: {', '.join(sorted(others))}", flush=True)
        return
    raise failed[0]


def checked(folder: Path, spec: dict):
    """The model of a folder on the device meta, loaded as `load` does.

    Raises UserError if it is no causal language model or its weights are not whole.
    """
    from transformers import AutoModelForCausalLM

    trusted, key = spec.get("trust_remote_code", False), f"models.{spec['name']}"
    with readable(f"{key}: {folder / 'config.json'}"):
        config = whole_config(folder, trusted, spec["name"])
    check_causal(config, key, trusted)
    return check_whole(AutoModelForCausalLM, folder, key, trusted)


def _from_gguf(spec: dict, source: Path, folder: Path) -> None:
    """Dequantises to float32, exactly what transformers loads from the GGUF itself."""

    key = f"models.{spec['name']}"
    loaded, _ = load_gguf(source, key)
    config = loaded.config
    # save_pretrained refuses a model that was loaded from a GGUF; a fresh one with the same
    # weights is saved instead.
    del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict(), strict=True)
    model.save_pretrained(folder)


def _from_llama2c(spec: dict, source: Path, folder: Path) -> None:
    from actadd.models.llama2c import convert

    key = f"models.{spec['name']}"
    files = sorted(source.glob("*.data")) + sorted(source.glob("*.bin"))
    if len(files) != 1:
        other = any(source.glob("*.safetensors")) or any(source.glob("*.gguf"))
        remedy = "write format: transformers or gguf" if other else "name it as the source's path"
        raise UserError(f"{key}: one .data or .bin file was expected in {source}; {remedy}")
    with named(key):
        convert(files[0], folder)


def _tokenizer(spec: dict, source: Path, folder: Path) -> Any:
    """The tokenizer as transformers loads it, written to the folder; None of a llama2c model."""
    if spec["format"] == "llama2c":
        return None
    trusted = spec["format"] == "transformers" and spec.get("trust_remote_code", False)
    files = [path.name for path in sorted(source.glob("*.gguf"))]
    options = {"gguf_file": files[0]} if spec["format"] == "gguf" else {}
    tokenizer = own_tokenizer.load(spec["name"], source, trusted, **options)
    if options:
        tokenizer.save_pretrained(folder)
    own_tokenizer.write(tokenizer, folder)
    return tokenizer


def _facts(spec: dict, source: Path, folder: Path) -> tuple[dict[str, Any], Any]:
    """What model.json says, and the tokenizer as transformers loads it."""
    from transformers import AutoModelForCausalLM

    trusted = spec.get("trust_remote_code", False)
    key = f"models.{spec['name']}"
    with readable(f"{key}: {folder / 'config.json'}"):
        config = whole_config(folder, trusted, spec["name"])
    check_causal(config, key, trusted)
    config = config.get_text_config()
    depth = getattr(config, "num_hidden_layers", None)
    if depth != spec["layers"]:
        raise UserError(f"{key}.layers: {spec['layers']} is wrong, the model has {depth}")
    model = check_whole(AutoModelForCausalLM, folder, key, trusted)
    counted = model.num_parameters()
    said = spec.get("parameters")
    if said is not None and abs(said - counted) > 0.1 * counted:
        raise UserError(
            f"{key}.parameters: {said} is more than a tenth off, the model has {counted:_}"
        )
    tokenizer = _tokenizer(spec, source, folder)
    of_tokens, beside = own_tokenizer.facts(spec, folder, tokenizer, config, vocabulary(model))
    weights = {path.name: sha256(path) for path in weight_files(folder)}
    facts = {
        "layers": spec["layers"],
        "d_model": config.hidden_size,
        **of_tokens,
        "context": getattr(config, "max_position_embeddings", None),
        "weights": digest(weights),
        "config": sha256(folder / "config.json"),
        "tokenizer": sha256(folder / "tokenizer.json"),
    }
    if trusted:
        facts["code"] = digest({path.name: sha256(path) for path in folder.glob(f"*{CODE}")})
    # What the model computes with, its name aside; the key of every cell holds it.
    return {"model": spec["name"], **facts, "identity": digest(facts), **beside}, tokenizer


@contextmanager
def readable(what: str) -> Iterator[None]:
    """A UserError that names `what` where a library cannot read a checkpoint's file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Whatever the class: that of tokenizers is Exception itself.
        raise UserError(f"{what} cannot be read ({str(error)[:200]}); get it anew") from error


def parameters_of(folder: Path) -> int:
    """Numbers in a prepared model's weights, tied ones once."""
    return checked(folder, {"name": folder.name}).num_parameters()


@contextmanager
def _own_code_named(name: str, trusted: bool) -> Iterator[None]:
    """A UserError where a checkpoint needs code of its own that is not trusted."""
    try:
        yield
    except ValueError as error:
        if trusted or "trust_remote_code" not in str(error):
            raise
        raise UserError(
            f"models.{name}: the checkpoint needs Python code of its own; read its .py files, and "
            f"if you trust them write models.{name}.trust_remote_code: true, and *.py in the "
            "source's files"
        ) from error


def read_config(folder: Path, trusted: bool, name: str):
    """The text part of a checkpoint's transformers config; see `whole_config`."""
    return whole_config(folder, trusted, name).get_text_config()


def whole_config(folder: Path, trusted: bool, name: str):
    """A checkpoint's transformers config; `trusted`: its own code may be run.

    Raises UserError if the checkpoint needs code of its own and is not trusted.
    """
    from transformers import AutoConfig

    with _own_code_named(name, trusted):
        return AutoConfig.from_pretrained(folder, trust_remote_code=trusted)


def load(
    model_dir: Path,
    *,
    dtype: str,
    device: str,
    threads: int,
    gpus: int = 1,
    device_map: str | dict[str, int | str] | None = None,
    quantization: str | None = None,
    trust_remote_code: bool = False,
):
    """A prepared model, ready for inference, as a transformers causal language model.

    The last one is kept: a job that asks for it again, cell by cell, loads it once.
    dtype: a torch dtype's name; device: "cpu" or "cuda"; threads: torch threads of this process.
    gpus: how many the model needs. device_map: where its modules lie, as transformers takes it;
    the default is all on the device, or "auto" with several GPUs. quantization: "8bit" holds the
    blocks' weight matrices in one byte a number (LLM.int8, Dettmers et al. 2022).
    Raises UserError if the devices are not there or the model does not go onto them.
    """
    if device_map is None and gpus > 1:
        device_map = "auto"
    # As text, since a mapping cannot be looked up in the cache.
    placed = canonical_json(device_map)
    return _load(model_dir, dtype, device, threads, gpus, placed, quantization, trust_remote_code)


@lru_cache(maxsize=1)
def _load(
    model_dir: Path,
    dtype: str,
    device: str,
    threads: int,
    gpus: int,
    placed: str,
    quantization: str | None,
    trust_remote_code: bool,
):
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    check_devices(device, gpus)
    device_map = json.loads(placed)
    options = _placement(device, device_map, quantization)
    key = f"models.{model_dir.name}"
    try:
        model = load_whole(
            AutoModelForCausalLM,
            model_dir,
            key,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            **options,
        )
    except UserError as error:
        if not options or error.__cause__ is None:
            raise
        settings = [f"device_map: {placed}"] if device_map else []
        settings += [f"quantization: {quantization}"] if quantization else []
        why = f"{', '.join(settings)} does not work: {error.__cause__}"
        raise UserError(f"{key}: {why}") from error
    model = (model if options else model.to(device)).eval()
    print(f"loaded {model_dir.name} in {quantization or dtype} on {device}", flush=True)
    return model


def check_devices(device: str, gpus: int = 1) -> None:
    """Raises UserError unless torch sees the GPUs that are asked for."""
    import torch

    if device != "cuda":
        return
    if not torch.cuda.is_available():
        raise UserError("compute.device: cuda, but torch sees no GPU; write cpu")
    if torch.cuda.device_count() < gpus:
        raise UserError(
            f"models.*.gpus: {gpus}, but torch sees {torch.cuda.device_count()}; write less"
        )


def _placement(device: str, device_map: Any, quantization: str | None) -> dict[str, Any]:
    """What `from_pretrained` has to be told of the devices; nothing for a whole model on one."""
    if quantization and device_map is None:
        device_map = {"": "cpu" if device == "cpu" else 0}
    if device_map is None:
        return {}
    options: dict[str, Any] = {"device_map": device_map}
    if device == "cpu":
        import psutil

        # Else transformers would take GPUs that the config does not speak of.
        options["max_memory"] = {"cpu": psutil.virtual_memory().available}
    if quantization:
        import logging

        from transformers import BitsAndBytesConfig

        # It says at each product that it rounds to float16, which is the point of it.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    return options
