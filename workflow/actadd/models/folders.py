"""Folders of checkpoints: their kind, and the files that a loader reads."""

import json
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError, error_context
from actadd.base.files import read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("pytorch_model*.bin*", "*.pth", "*.pt", "*.ckpt", "*.pkl", "model*.bin")
# Files of other programs -> what they are, and the remedy.
FOREIGN = {
    "*.gguf": "a GGUF file; write format: gguf",
    "*.onnx": "ONNX weights, which cannot be steered; take the PyTorch checkpoint",
    "onnx/*.onnx": "ONNX weights, which cannot be steered; take the PyTorch checkpoint",
    "tf_model*.h5": "TensorFlow weights; take a revision that has safetensors",
    "flax_model*.msgpack": "Flax weights; take a revision that has safetensors",
    "*.npz": "MLX weights; take the checkpoint that they were converted from",
    "openvino_model.*": "OpenVINO weights; take the checkpoint that they were converted from",
}
LFS = b"version https://git-lfs.github.com/spec/"


def origin(folder: Path) -> Path:
    """The folder that the links in a folder point to, for messages; the folder itself if none."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and path.is_file():
            target = path.resolve()
            # A hub cache stores files under their sums, which say nothing to a user.
            return folder if target.parent.name == "blobs" else target.parent
    return folder


def check_folder(folder: Path, key: str, pickled: str | None = None) -> None:
    """Raises UserError, which describes the folder, unless it has a config and safetensors.

    key: the config entry in the message. pickled: the remedy for pickled weights, by default to
    convert them; "" allows them.
    """
    if not folder.is_dir():
        raise UserError(f"{key}: {folder} is not a folder; name the checkpoint's folder")
    files = [path for path in folder.iterdir() if path.is_file()]
    if not any(folder.iterdir()):
        raise UserError(f"{key}: {folder} is empty; name the folder of a checkpoint")
    where = origin(folder)
    if pointers := sorted(path.name for path in files if is_pointer(path)):
        raise UserError(
            f"{key}: {where} holds git-lfs pointers in place of {some(pointers)}; run "
            f"`git lfs pull` in it"
        )
    if reason := _what_it_is(folder, where):
        raise UserError(f"{key}: {where} holds {reason}")
    config = _config(folder, where, key)
    if names := candidates(folder):
        with error_context(key):
            for name in names:
                _check_files(folder, name)
        for part in (config, config.get("text_config") or {}):
            for field in ("quantization_config", "compression_config", "quantization"):
                if part.get(field):
                    _refuse_quantized(key, where, field, part[field])
        return
    if names := sorted({path.name for glob in PICKLED for path in folder.glob(glob)}):
        if pickled == "":
            return
        remedy = pickled or (
            "Take a revision that has safetensors, or convert them:\n"
            'python -c "from transformers import AutoModelForCausalLM as M; '
            f"M.from_pretrained('{where}').save_pretrained('NEW')\""
        )
        raise UserError(
            f"{key}: {where} has no safetensors weights; weights in pickle form "
            f"({some(names)}) can run code and are not loaded. {remedy}"
        )
    raise UserError(f"{key}: {where} holds {_other_weights(folder)}")


def is_pointer(path: Path) -> bool:
    return path.stat().st_size < 1024 and path.read_bytes().startswith(LFS)


def some(names: list[str] | set[str], most: int = 3) -> str:
    """The first few names, and the number of further ones."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(names: set[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}"


def _what_it_is(folder: Path, where: Path) -> str | None:
    """What a folder without config.json is, and the remedy; None if it has one."""

    def has(name: str) -> bool:
        return (folder / name).exists()

    if has("model_index.json"):
        return "a diffusers pipeline, which has no language model; name a checkpoint of one"
    if has("config.json"):
        return None
    if has("adapter_config.json"):
        return _adapter(folder, where)
    for glob, kind in FOREIGN.items():
        if any(folder.glob(glob)):
            return kind
    inner = [path.parent for path in sorted(folder.glob("**/config.json")) if path.is_file()]
    inner = [path for path in inner if len(path.relative_to(folder).parts) <= 4]
    if inner:
        checkpoint = origin(inner[0])
        if checkpoint == inner[0]:
            checkpoint = where / inner[0].relative_to(folder)
        several = f" (one of {len(inner)} that hold one)" if len(inner) > 1 else ""
        return f"no config.json, its folder {checkpoint}{several} does; name that folder"
    if any(folder.glob("**/adapter_config.json")):
        return "adapters of a model in its folders; merge one into its model, and name the result"
    if has("params.json"):
        return (
            "a checkpoint in its author's own form (params.json); take the one with config.json, "
            "or convert it with the script that transformers has for it"
        )
    if has("config.yaml") and any(folder.glob("*.nemo")):
        return "a NeMo checkpoint; convert it to transformers' form"
    return (
        "no config.json, so it is not a checkpoint of transformers; name the folder that "
        "save_pretrained wrote"
    )


def _adapter(folder: Path, where: Path) -> str:
    try:
        settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        base = settings.get("base_model_name_or_path")
    except (ValueError, AttributeError):
        base = None
    return (
        f"an adapter{f' of {base}' if base else ''}, not a model. Merge it, save the tokenizer "
        "beside it, and name that folder:\n"
        'python -c "from peft import AutoPeftModelForCausalLM as M; '
        f"M.from_pretrained('{where}').merge_and_unload().save_pretrained('MERGED')\""
    )


def _other_weights(folder: Path) -> str:
    """What a checkpoint holds instead of safetensors that a loader reads, and the remedy."""
    shards = sorted(path.name for path in folder.glob("model-*-of-*.safetensors"))
    if shards:
        return f"{some(shards)} but no {INDEX}, which says what is where; get that file too"
    for glob, kind in FOREIGN.items():
        if any(folder.glob(glob)):
            return kind
    if (folder / "adapter_config.json").exists():
        return _adapter(folder, origin(folder))
    if others := sorted(path.name for path in folder.glob("*.safetensors")):
        return f"{some(others)}, but no {SINGLE} or {INDEX}; rename it if that is the model"
    return f"no weights; get {SINGLE}, or {INDEX} and what it names"


def _config(folder: Path, where: Path, key: str) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{key}: {where}/config.json is not valid JSON ({error}); get it anew"
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise UserError(
            f"{key}: {where}/config.json names no model_type, such as gpt2 or llama; add it, or "
            "get the file anew"
        )
    from transformers import CONFIG_MAPPING, __version__

    if config["model_type"] not in CONFIG_MAPPING and not config.get("auto_map"):
        raise UserError(
            f"{key}: {where}/config.json has the model_type {config['model_type']!r}, which "
            f"transformers {__version__} does not know; take a model that it knows"
        )
    return config


def _check_files(folder: Path, first: str) -> None:
    """Raises UserError, which names the file, unless every file is readable and complete."""
    from safetensors import SafetensorError, safe_open

    for path in weight_files(folder, first):
        try:
            with safe_open(path, "numpy"):
                pass
        except SafetensorError as error:
            raise UserError(
                f"{path} cannot be read, it is cut short or damaged ({path.stat().st_size:_} "
                f"bytes; {error}); get it anew"
            ) from error


def _refuse_quantized(key: str, where: Path, field: str, settings: Any) -> None:
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    if isinstance(settings, dict) and not method:
        bits = settings.get("bits") or (8 if settings.get("load_in_8bit") else 4)
        method = "MLX" if field == "quantization" else f"{bits} bits"
    raise UserError(
        f"{key}: the weights in {where} are quantized ({field}: {method}), and only float16, "
        "bfloat16, float32 and float64 are read; take the checkpoint that they were made from "
        "(quantization: 8bit holds it in a byte a number)"
    )


def candidates(folder: Path) -> list[str]:
    """Names of the files that represent all weights, in the order in which loaders try them."""
    path, names = folder / "config.json", [SINGLE, INDEX]
    if path.is_file() and (chosen := read_json(path).get("transformers_weights")):
        names = [chosen]
    return [name for name in names if "/" not in name and (folder / name).is_file()]


def weight_files(folder: Path, first: str | None = None) -> list[Path]:
    """The safetensors files that a loader reads, by name: the single one, or the index's shards.

    first: which of the candidates; the default is the one that transformers takes.
    Raises UserError, which names the file, if an index is damaged or names a missing file.
    """
    path = folder / (first or next(iter(candidates(folder)), SINGLE))
    if path.suffix != ".json":
        return [path]
    try:
        names = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not an index of weights; get it anew") from error
    absent = {name for name in names if "/" in name or not (folder / name).is_file()}
    if absent or not names:
        raise UserError(f"{path} names what is not there: {some(absent)}; get every file")
    return [folder / name for name in sorted(names)]
