"""Checkpoints: what a folder holds, which of its files a loader reads, and loading them whole."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError, named
from actadd.base.files import read_json, system_error

if TYPE_CHECKING:
    import torch

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("pytorch_model*.bin*", "*.pth", "*.pt", "*.ckpt", "*.pkl", "model*.bin")
# Files of other programs, and what they are.
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
# Tensors that old checkpoints hold and that follow from the config: masks and positions.
DERIVED = re.compile(
    r"(^|\.)(rotary_emb\.inv_freq|inv_freq|position_ids|token_type_ids|num_batches_tracked|"
    r"(attn|attention|self_attention)\.(bias|masked_bias)|masked_bias|embed_positions\._float_tensor)$"
)
# Parts of a checkpoint beside the model that is run: other heads, towers, further predictions.
OTHER_PARTS = re.compile(
    r"^((model|transformer|language_model)\.)?"
    r"(mtp|mtp_layers|pooler|score|classifier|qa_outputs|cls|v_head|value_head|multiple_choice_head|"
    r"lm_head|predictions|vision_\w+|visual|vision|audio_\w+|multi_modal_projector|mm_projector)\."
)
PLAIN = ("F64", "F32", "F16", "BF16")
# Names that wrappers put into a tensor's name: what it is, and how to save without it.
WRAPPERS = {
    "_orig_mod.": ("a compiled model", "save model._orig_mod"),
    "_fsdp_wrapped_module.": ("an FSDP model", "save its full state dict"),
    "_checkpoint_wrapped_module.": ("activation checkpointing", "save the model inside"),
    "base_model.model.": ("a PEFT model", "save what model.merge_and_unload() returns"),
    "module.": ("a DataParallel model", "save model.module"),
}
QUANTIZED = re.compile(r"(qweight|qzeros|scales|SCB|absmax|weight_scale\w*|weight_packed)$")


def origin(folder: Path) -> Path:
    """The folder that a folder of links was made from, as far as the links tell; else itself."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and path.is_file():
            target = path.resolve()
            # A hub cache keeps files elsewhere, under their sums.
            return folder if target.parent.name == "blobs" else target.parent
    return folder


def check_folder(folder: Path, key: str, pickled: str | None = None) -> None:
    """Raises UserError, which says what the folder is, unless it has a config and safetensors.

    key: the config entry in the message. pickled: what to do where the weights are pickled, if it
    is not to convert them; "" where they may be read.
    """
    if not folder.is_dir():
        raise UserError(f"{key}: {folder} is no folder; name the checkpoint's folder")
    files = [path for path in folder.iterdir() if path.is_file()]
    if not any(folder.iterdir()):
        raise UserError(f"{key}: {folder} is empty; name the folder of a checkpoint")
    where = origin(folder)
    if pointers := sorted(path.name for path in files if _is_pointer(path)):
        raise UserError(
            f"{key}: {where} holds git-lfs pointers in place of {_some(pointers)}; run "
            f"`git lfs pull` in it"
        )
    if reason := _what_it_is(folder, where):
        raise UserError(f"{key}: {where} holds {reason}")
    config = _config(folder, where, key)
    if names := candidates(folder):
        with named(key):
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
            f"({_some(names)}) can run code and are not loaded. {remedy}"
        )
    raise UserError(f"{key}: {where} holds {_other_weights(folder)}")


def _is_pointer(path: Path) -> bool:
    return path.stat().st_size < 1024 and path.read_bytes().startswith(LFS)


def _some(names: list[str] | set[str], most: int = 3) -> str:
    """The first few names, and how many there are beyond them."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _counted(names: set[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}"


def _what_it_is(folder: Path, where: Path) -> str | None:
    """What a folder without config.json at its top is, and what to name or do."""

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
        named = origin(inner[0])
        if named == inner[0]:
            named = where / inner[0].relative_to(folder)
        several = f" (one of {len(inner)} that hold one)" if len(inner) > 1 else ""
        return f"no config.json, its folder {named}{several} does; name that folder"
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
        "no config.json, so it is no checkpoint of transformers; name the folder that "
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
    """What stands where a checkpoint with a config has no safetensors that a loader reads."""
    shards = sorted(path.name for path in folder.glob("model-*-of-*.safetensors"))
    if shards:
        return f"{_some(shards)} but no {INDEX}, which says what is where; get that file too"
    for glob, kind in FOREIGN.items():
        if any(folder.glob(glob)):
            return kind
    if (folder / "adapter_config.json").exists():
        return _adapter(folder, origin(folder))
    if others := sorted(path.name for path in folder.glob("*.safetensors")):
        return f"{_some(others)}, but no {SINGLE} or {INDEX}; rename it if that is the model"
    return f"no weights; get {SINGLE}, or {INDEX} and what it names"


def _config(folder: Path, where: Path, key: str) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{key}: {where}/config.json is no JSON ({error}); get it anew") from error
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
    """Raises UserError, which names the file, unless each can be opened and is whole."""
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


# --- the files that are read --------------------------------------------------------------------


def candidates(folder: Path) -> list[str]:
    """Names of the files that stand for whole weights, in the order in which loaders take them."""
    path, names = folder / "config.json", [SINGLE, INDEX]
    if path.is_file() and (chosen := read_json(path).get("transformers_weights")):
        names = [chosen]
    return [name for name in names if "/" not in name and (folder / name).is_file()]


def weight_files(folder: Path, first: str | None = None) -> list[Path]:
    """The safetensors files that a loader reads, by name: the single one, or the index's shards.

    first: which of the candidates; the default is what transformers takes.
    Raises UserError, which names the file, if an index is damaged or names what is not there.
    """
    path = folder / (first or next(iter(candidates(folder)), SINGLE))
    if path.suffix != ".json":
        return [path]
    try:
        names = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no index of weights; get it anew") from error
    absent = {name for name in names if "/" in name or not (folder / name).is_file()}
    if absent or not names:
        raise UserError(f"{path} names what is not there: {_some(absent)}; get every file")
    return [folder / name for name in sorted(names)]


# --- GGUF -----------------------------------------------------------------------------------


def gguf_file(folder: Path, key: str) -> tuple[Path, str, dict[str, int]]:
    """The one GGUF file of a language model in a folder, its architecture and tensors' sizes.

    Raises UserError, which says what is there instead, also if the file is a part of a split one,
    is cut short, or is of an architecture that transformers does not read.
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
    if len(paths) > 1 and not _SPLIT.search(paths[0].name):
        raise UserError(
            f"{key}: one .gguf file was expected in {where}, and there are {len(paths)}: "
            f"{_some({path.name for path in paths})}; name one of them as the source's path"
        )
    path = paths[0]
    if _is_pointer(path):
        raise UserError(f"{key}: {path.name} is a git-lfs pointer; run `git lfs pull` in {where}")
    metadata, elements = _gguf_header(path, key)
    parts = metadata.get("split.count", 0)
    if parts > 1 or (not parts and _SPLIT.search(path.name)):
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


_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


def _gguf_header(path: Path, key: str) -> tuple[dict[str, Any], dict[str, int]]:
    """A GGUF file's metadata that are no lists, and the numbers in each of its tensors."""
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
            f"{key}: {path.name} is no GGUF file, or cut short or damaged "
            f"({path.stat().st_size:_} bytes; {str(error)[:100]}); get it anew"
        ) from error
    kept = ("general.type", "split.count")
    values = {name: metadata[name] for name in kept if name in metadata}
    elements = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
    return {"architecture": architecture, **values}, elements


def load_gguf(folder: Path, key: str):
    """The language model of a folder's one GGUF file, dequantized to float32, and its file.

    Raises UserError as `gguf_file` and `load_whole` do, and if the file holds a tensor that the
    loader leaves out.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    path, architecture, elements = gguf_file(folder, key)
    options = {"gguf_file": path.name, "trust_remote_code": False}
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
            f"{f' (not {_some(left)})' if left else ''}, so it is another model; take its "
            "safetensors with format: transformers"
        )
    return model, path


# --- which models ----------------------------------------------------------------------------


def check_causal(config: Any, key: str, trusted: bool) -> None:
    """Raises UserError unless a transformers config is that of a causal language model.

    By transformers' own tables. Families of encoders are taken as what they are trained to be
    unless the config says is_decoder.
    """
    from transformers.models.auto import modeling_auto as tables

    kind = config.model_type
    if trusted and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        return
    if getattr(config, "is_encoder_decoder", False):
        raise UserError(
            f"{key}: {kind} is an encoder-decoder, and steering needs a causal language model; "
            "take one such as gpt2, llama or qwen2"
        )
    if kind not in tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"{key}: {kind} is no causal language model of transformers (AutoModelForCausalLM), "
            "which steering needs; take one such as gpt2, llama or qwen2"
        )
    encoders = {*tables.MODEL_FOR_MASKED_LM_MAPPING_NAMES, "bert-generation"}
    if kind in encoders and not getattr(config, "is_decoder", False):
        raise UserError(
            f"{key}: {kind} is an encoder (its config.json does not say is_decoder), and steering "
            "needs a causal language model; take one such as gpt2, llama or qwen2"
        )
    for name in getattr(config, "architectures", None) or []:
        if name in _other_tasks():
            raise UserError(
                f"{key}: it was saved as {name}, and steering needs a causal language model; take "
                "the language model that it was made from"
            )


def _other_tasks() -> set[str]:
    """Names of the classes that transformers has for classifying and labelling text."""
    from transformers.models.auto import modeling_auto as tables

    tasks = ("SEQUENCE_CLASSIFICATION", "TOKEN_CLASSIFICATION", "QUESTION_ANSWERING")
    tasks += ("MULTIPLE_CHOICE", "MASKED_LM", "NEXT_SENTENCE_PREDICTION")
    mappings = [getattr(tables, f"MODEL_FOR_{task}_MAPPING_NAMES") for task in tasks]
    causal = set(tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    return {name for table in mappings for name in table.values()} - causal


# --- loading ------------------------------------------------------------------------------------


def load_whole(
    auto: Any,
    folder: Path,
    key: str,
    *,
    output: "Callable[[Any], torch.Tensor] | None" = None,
    **options: Any,
):
    """A transformers model whose every tensor comes from the checkpoint, or a UserError.

    auto: the auto class. key: the config entry in messages. output: the tensor of a model that
    will be used, from parameters that require a gradient; what cannot change it may be missing.
    options: of `from_pretrained`; trust_remote_code is False unless they say otherwise.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    options = {"trust_remote_code": False, **options}
    trusted = options.pop("trust_remote_code")
    with _loading(key, folder):
        model, told = auto.from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=trusted,
            **options,
        )
    missing = set(told["missing_keys"])
    if missing and output is not None:
        unused = _unused(model, missing, output)
        if unused:
            print(f"{key}: {_some(unused)} is not in {folder}, and is not used", flush=True)
        missing -= unused
    _check(model, folder, key, missing, set(told["unexpected_keys"]), told["mismatched_keys"])
    return model


def check_whole(auto: Any, folder: Path, key: str, trusted: bool):
    """The model of a folder without its numbers (on the device meta), checked as `load_whole` does.

    Tensors that the model ties and that the files hold twice are compared. The files' headers are
    read and every number is looked at once; memory for the largest tensor is all that it takes.
    """
    options = {"use_safetensors": True, "trust_remote_code": trusted}
    model = load_whole(auto, folder, key, device_map="meta", **options)
    tied = model.all_tied_weights_keys.items()
    if any(model.get_parameter(a) is not model.get_parameter(b) for a, b in tied):
        # Which of them differ can only be told from the numbers.
        model = load_whole(auto, folder, key, dtype="auto", **options)
    _check_numbers(weight_files(folder), key)
    return model


@contextmanager
def _loading(key: str, folder: Path) -> Iterator[None]:
    """A UserError where a library cannot load a checkpoint; the system's own errors pass."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        import torch

        if system_error(error) or isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            raise
        why = " ".join(str(error).split())[:300] or type(error).__name__
        if "automatic conversion" in why:
            why = (
                "tensors that are joined while loading, such as experts, are missing or do not fit"
            )
        raise UserError(f"{key}: {origin(folder)} cannot be loaded: {why}") from error


def last_hidden_state(model: Any) -> "torch.Tensor":
    """An encoder's output for a short made-up text: [1, tokens, width]."""
    import torch

    ids = torch.arange(4)[None] % model.config.vocab_size
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state


def _unused(model: Any, names: set[str], output: "Callable[[Any], torch.Tensor]") -> set[str]:
    """The names of the parameters that the output does not depend on."""
    import torch

    parameters = dict(model.named_parameters())
    named = sorted(name for name in names if name in parameters)
    if not named:
        return set()
    with torch.enable_grad():
        gradients = torch.autograd.grad(
            output(model).float().sum(), [parameters[name] for name in named], allow_unused=True
        )
    return {name for name, gradient in zip(named, gradients, strict=True) if gradient is None}


def _check(
    model: Any, folder: Path, key: str, missing: set[str], unexpected: set[str], mismatched: Any
) -> None:
    """Raises UserError for what a loader could not place; says what it left out."""
    head = f"{key}: the weights in {origin(folder)} are not those of a {type(model).__name__}"
    if missing:
        # A head says most.
        first = sorted(missing, key=lambda name: (name.startswith(model.base_model_prefix), name))
        listed = ", ".join(first[:2])
        why = _diagnosis(model, missing, unexpected)
        raise UserError(f"{head}: it lacks {_counted(missing)}, such as {listed}.\n{why}")
    if mismatched:
        name, stored, wanted = min(mismatched, key=lambda item: item[0])
        raise UserError(
            f"{head}: {name} has the shape {list(stored)}, and config.json asks for {list(wanted)}"
            f"{f' ({len(mismatched)} such tensors)' if len(mismatched) > 1 else ''}; take the "
            "config.json that belongs to the weights"
        )
    prefixed = unexpected and _prefixed(folder, f"{model.base_model_prefix}.")
    strange = {name for name in unexpected if _changes(model, name, prefixed)}
    if strange:
        message = f"{head}: it has no room for {_counted(strange)}, such as {_some(strange, 2)}."
        raise UserError(f"{message}\n{_diagnosis(model, missing, strange)}")
    if unexpected:
        print(f"{key}: not read, as the model has no such part: {_some(unexpected)}", flush=True)


def _prefixed(folder: Path, prefix: str) -> bool:
    """Whether the names of a folder's tensors begin with the base model's name."""
    from safetensors import safe_open

    if not candidates(folder):
        return True
    for path in weight_files(folder):
        with safe_open(path, "pt") as tensors:
            if any(name.startswith(prefix) for name in tensors.keys()):  # noqa: SIM118
                return True
    return False


def _changes(model: Any, name: str, prefixed: bool) -> bool:
    """Whether a tensor that a model has no room for shows that another model was saved.

    It does where it belongs to a module that the model has, such as a bias of a linear layer or
    one more block, and where nothing is known of it. prefixed: whether the names say what belongs
    to the base model, so that the rest are other heads and towers.
    """
    if "lora_" in name or QUANTIZED.search(name):
        return True
    if DERIVED.search(name):
        return False
    modules = {path for path, _ in model.named_modules()} - {""}
    base, parent = model.base_model_prefix, name.rpartition(".")[0]
    if parent in modules or f"{base}.{parent}" in modules:
        return True
    top = name.split(".")[0]
    beside = prefixed and "." in name and top not in {base, *dict(model.named_children())}
    # A classifier's base may have been saved with the pooler that it does without.
    return not (beside or OTHER_PARTS.match(name.removeprefix(f"{base}.")))


def _diagnosis(model: Any, missing: set[str], strange: set[str]) -> str:
    """What the names of tensors look like, and what to do."""
    if any("lora_" in name for name in strange):
        return "They hold a LoRA that was not merged; save what model.merge_and_unload() returns"
    for prefix, (kind, remedy) in WRAPPERS.items():
        if any(prefix in name for name in strange):
            return f"Their names hold {prefix!r}, as those of {kind} do; {remedy}"
    if any(QUANTIZED.search(name) for name in strange):
        return "They look quantized; take the checkpoint that they were made from"
    wanted = sorted(missing - {"lm_head.weight"})[:9]
    for name in sorted(strange):
        for ending in wanted:
            if name.endswith(f".{ending}"):
                prefix = name.removesuffix(ending)
                return f"Their names begin with {prefix!r}; save the model without what wraps it"
    if missing and all("lm_head" in name or "embed_out" in name for name in missing):
        return (
            "It was saved without its output head: save the whole model (AutoModelForCausalLM), or "
            'write "tie_word_embeddings": true into config.json if the head is the embedding'
        )
    base = f"{model.base_model_prefix}."
    if missing and all(not name.startswith(base) or ".pooler." in name for name in missing):
        return f"It was saved without this head; take a checkpoint of a {type(model).__name__}"
    unknown = f"; what they hold instead: {_some(strange, 2)}" if missing and strange else ""
    return f"Get the weights anew, or the config.json that belongs to them{unknown}"


def vocabulary(model: Any) -> int:
    """How many token ids a model both reads and predicts."""
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    return min(table.weight.shape[0] for table in tables if table is not None)


def _check_numbers(paths: list[Path], key: str) -> None:
    """Raises UserError for tensors of a dtype that is no weight's, or with NaN or infinity."""
    from safetensors import safe_open

    for path in paths:
        with safe_open(path, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                if DERIVED.search(name):
                    continue
                dtype = tensors.get_slice(name).get_dtype()
                if dtype not in (*PLAIN, "I64", "BOOL"):
                    raise UserError(
                        f"{key}: {path.name} holds {name} as {dtype}, and only float16, bfloat16, "
                        "float32 and float64 are read; take the checkpoint in one of them"
                    )
                tensor = tensors.get_tensor(name)
                if not tensor.numel() or not tensor.is_floating_point():
                    continue
                low, high = tensor.aminmax()
                if not bool(low.isfinite() & high.isfinite()):
                    raise UserError(
                        f"{key}: {name} in {path.name} holds NaN or infinity; get the file anew"
                    )
