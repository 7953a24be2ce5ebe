"""Language models in GGUF files, dequantized."""

import re
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.models.configs import check_causal
from actadd.models.folders import is_pointer, origin, some
from actadd.models.weights import load_whole

SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


def gguf_file(folder: Path, key: str) -> tuple[Path, str, dict[str, int]]:
    """The one GGUF file of a language model in a folder, its architecture and tensors' sizes.

    Raises UserError, which describes the content, if there is no such file, or if it is a part of a
    split one, truncated, or not a language model.
    """
    paths = sorted(folder.glob("*.gguf"))
    where = origin(folder)
    if not paths:
        inner = sorted(folder.glob("**/*.gguf"))
        if inner:
            raise UserError(f"{key}: {where} holds no .gguf file, {inner[0].parent} does; name it")
        kind = "a checkpoint with config.json; write format: transformers"
        kind = kind if (folder / "config.json").exists() else "no .gguf file; name one"
        raise UserError(f"{key}: {where} holds {kind}")
    if len(paths) > 1 and not SPLIT.search(paths[0].name):
        raise UserError(
            f"{key}: one .gguf file was expected in {where}, and there are {len(paths)}: "
            f"{some({path.name for path in paths})}; name one of them as the source's path"
        )
    path = paths[0]
    if is_pointer(path):
        raise UserError(f"{key}: {path.name} is a git-lfs pointer; run `git lfs pull` in {where}")
    metadata, elements = _gguf_header(path, key)
    parts = metadata.get("split.count", 0)
    if parts > 1 or (not parts and SPLIT.search(path.name)):
        raise UserError(
            f"{key}: {path.name} is a part of a split file{f' of {parts}' if parts else ''}; join "
            f"the parts with llama.cpp (llama-gguf-split --merge {path.name} WHOLE.gguf), and name "
            "what it writes"
        )
    architecture, kind = metadata["architecture"], metadata.get("general.type", "model")
    if architecture == "clip" or "mmproj" in kind:
        kind = "the vision projector of a multimodal model"
    if kind != "model":
        raise UserError(
            f"{key}: {path.name} holds {kind}, not a language model; name the model's own file"
        )
    if not elements:
        raise UserError(
            f"{key}: {path.name} holds a vocabulary and no weights; name a model's file"
        )
    return path, architecture, elements


def _gguf_header(path: Path, key: str) -> tuple[dict[str, Any], dict[str, int]]:
    """A GGUF file's metadata except lists, and the number of elements of each tensor."""
    from gguf import GGUFReader, GGUFValueType

    try:
        reader = GGUFReader(path)
        metadata = {
            name: field.contents()
            for name, field in reader.fields.items()
            if field.types[:1] != [GGUFValueType.ARRAY]
        }
        architecture = metadata["general.architecture"]
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise UserError(
            f"{key}: {path.name} is not a GGUF file, or is cut short or damaged "
            f"({path.stat().st_size:_} bytes; {str(error)[:100]}); get it anew"
        ) from error
    names = ("general.type", "split.count")
    values = {name: metadata[name] for name in names if name in metadata}
    elements = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
    return {"architecture": architecture, **values}, elements


def load_gguf(folder: Path, key: str) -> tuple[Any, Path]:
    """The language model of a folder's one GGUF file, dequantized to float32, and its file.

    Raises UserError as `gguf_file` and `load_whole` do, and if the file holds a tensor that the
    loader leaves out.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    path, architecture, elements = gguf_file(folder, key)
    options: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **options)
    except Exception as error:
        raise UserError(
            f"{key}: {path.name} is of the architecture {architecture}, which "
            f"transformers does not read from GGUF ({str(error)[:120]}); take the model's "
            "safetensors with format: transformers"
        ) from error
    check_causal(config, key, trusted=False)
    model = load_whole(AutoModelForCausalLM, folder, key, **options)
    if model.num_parameters() != sum(elements.values()):
        left = {name for name in elements if "rope_" in name}
        raise UserError(
            f"{key}: {path.name} holds {sum(elements.values()):_} numbers and transformers loads "
            f"{model.num_parameters():_} of them"
            f"{f' (not {some(left)})' if left else ''}, so it is another model; take its "
            "safetensors with format: transformers"
        )
    return model, path
