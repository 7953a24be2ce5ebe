"""Preparation of a model: plain safetensors with a tokenizer and model.json."""

from pathlib import Path
from typing import Any

from actadd.base.errors import UserError, error_context
from actadd.base.files import digest, relative_link, whole_folder, write_json
from actadd.models import tokenizer_export
from actadd.models.configs import check_causal, readable, whole_config
from actadd.models.folders import candidates, check_folder, weight_files
from actadd.models.gguf_models import load_gguf
from actadd.models.weights import check_whole, vocabulary
from actadd.store.sums import sha256

# Suffixes of a checkpoint's files that are linked besides its weights.
LINKED = (".json", ".txt", ".jinja", ".model")
# Suffix of a checkpoint's own code, which is linked if `trust_remote_code` allows it.
CODE = ".py"


def prepare(spec: dict[str, Any], source: Path, target: Path) -> dict[str, Any]:
    """Write a checkpoint to the folder `target` that loads in the same way for every source.

    spec: name, format (transformers, gguf or llama2c), layers, parameters (None if unknown), bos,
    pad and optionally stop, chat_template, chat_variables and chat_date; trust_remote_code: whether
    to link the checkpoint's own Python files, default no.
    target gets the weights as safetensors, tokenizer.json, and model.json: ids of the special
    tokens, depth, width and a digest of the weights. Returns the content of model.json.
    Raises UserError if the depth, the number of parameters or a token differs from the config.
    """
    with whole_folder(target) as folder:
        make = {"transformers": _link, "gguf": _from_gguf, "llama2c": _from_llama2c}
        make[spec["format"]](spec, source, folder)
        facts, tokenizer = _facts(spec, source, folder)
        write_json(folder / "model.json", facts)
        if tokenizer is not None:
            tokenizer_export.check(spec, folder, tokenizer)
    return facts


def _link(spec: dict[str, Any], source: Path, folder: Path) -> None:
    """Link the files of a checkpoint in Hugging Face form."""
    trusted = spec.get("trust_remote_code", False)
    check_folder(source, f"models.{spec['name']}")
    # With an adapter's file, a loader would look for the adapter.
    weights = ("adapter_config.json", "model.safetensors.index.json")
    endings = (*LINKED, CODE) if trusted else LINKED
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix in endings and path.name not in weights:
            relative_link(folder / path.name, path)
    _link_weights(spec, source, folder)


def _link_weights(spec: dict[str, Any], source: Path, folder: Path) -> None:
    """Link the weights that a loader reads; of two sets, the first that is complete."""
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


def _from_gguf(spec: dict[str, Any], source: Path, folder: Path) -> None:
    """Dequantize to float32, exactly as transformers loads the GGUF file itself."""

    key = f"models.{spec['name']}"
    loaded, _ = load_gguf(source, key)
    config = loaded.config
    # save_pretrained refuses a model that was loaded from a GGUF file, so a new one with the same
    # weights is saved instead.
    del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict(), strict=True)
    model.save_pretrained(folder)


def _from_llama2c(spec: dict[str, Any], source: Path, folder: Path) -> None:
    from actadd.models.llama2c import convert

    key = f"models.{spec['name']}"
    files = sorted(source.glob("*.data")) + sorted(source.glob("*.bin"))
    if len(files) != 1:
        other = any(source.glob("*.safetensors")) or any(source.glob("*.gguf"))
        remedy = "write format: transformers or gguf" if other else "name it as the source's path"
        raise UserError(f"{key}: one .data or .bin file was expected in {source}; {remedy}")
    with error_context(key):
        convert(files[0], folder)


def _tokenizer(spec: dict[str, Any], source: Path, folder: Path) -> Any:
    """Write the tokenizer as transformers loads it and return it; None for a llama2c model."""
    if spec["format"] == "llama2c":
        return None
    trusted = spec["format"] == "transformers" and spec.get("trust_remote_code", False)
    files = [path.name for path in sorted(source.glob("*.gguf"))]
    options = {"gguf_file": files[0]} if spec["format"] == "gguf" else {}
    tokenizer = tokenizer_export.load(spec["name"], source, trusted, **options)
    if options:
        tokenizer.save_pretrained(folder)
    tokenizer_export.write(tokenizer, folder)
    return tokenizer


def _facts(spec: dict[str, Any], source: Path, folder: Path) -> tuple[dict[str, Any], Any]:
    """The content of model.json, and the tokenizer as transformers loads it."""
    key = f"models.{spec['name']}"
    model = checked(folder, spec)
    config = model.config.get_text_config()
    depth = getattr(config, "num_hidden_layers", None)
    if depth != spec["layers"]:
        raise UserError(f"{key}.layers: {spec['layers']} is wrong, the model has {depth}")
    counted = model.num_parameters()
    stated = spec.get("parameters")
    if stated is not None and abs(stated - counted) > 0.1 * counted:
        raise UserError(
            f"{key}.parameters: {stated} is more than a tenth off, the model has {counted:_}"
        )
    tokenizer = _tokenizer(spec, source, folder)
    token_facts, others = tokenizer_export.facts(spec, folder, tokenizer, config, vocabulary(model))
    weights = {path.name: sha256(path) for path in weight_files(folder)}
    facts = {
        "layers": spec["layers"],
        "d_model": config.hidden_size,
        **token_facts,
        "context": getattr(config, "max_position_embeddings", None),
        "weights": digest(weights),
        "config": sha256(folder / "config.json"),
        "tokenizer": sha256(folder / "tokenizer.json"),
    }
    if spec.get("trust_remote_code", False):
        facts["code"] = digest({path.name: sha256(path) for path in folder.glob(f"*{CODE}")})
    # Everything that the model computes with, except its name; part of the key of every cell.
    return {"model": spec["name"], **facts, "identity": digest(facts), **others}, tokenizer


def checked(folder: Path, spec: dict[str, Any]) -> Any:
    """The model of a folder on the device meta.

    Raises UserError if it is not a causal language model, or if its weights are not complete.
    """
    from transformers import AutoModelForCausalLM

    trusted, key = spec.get("trust_remote_code", False), f"models.{spec['name']}"
    with readable(f"{key}: {folder / 'config.json'}"):
        config = whole_config(folder, trusted, spec["name"])
    check_causal(config, key, trusted)
    return check_whole(AutoModelForCausalLM, folder, key, trusted)


def parameters_of(folder: Path) -> int:
    """The number of parameters of a prepared model; tied ones count once."""
    return int(checked(folder, {"name": folder.name}).num_parameters())
