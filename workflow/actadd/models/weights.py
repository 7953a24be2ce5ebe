"""Complete loading of checkpoints: every tensor of the model comes from the files, or an error."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.base.files import system_error
from actadd.models.folders import candidates, counted, origin, some, weight_files

if TYPE_CHECKING:
    import torch

# Tensors in old checkpoints that follow from the config: masks and positions.
DERIVED = re.compile(
    r"(^|\.)(rotary_emb\.inv_freq|inv_freq|position_ids|token_type_ids|num_batches_tracked|"
    r"(attn|attention|self_attention)\.(bias|masked_bias)|masked_bias|embed_positions\._float_tensor)$"
)
# Parts of a checkpoint besides the language model: other heads, towers, further predictions.
OTHER_PARTS = re.compile(
    r"^((model|transformer|language_model)\.)?"
    r"(mtp|mtp_layers|pooler|score|classifier|qa_outputs|cls|v_head|value_head|multiple_choice_head|"
    r"lm_head|predictions|vision_\w+|visual|vision|audio_\w+|multi_modal_projector|mm_projector)\."
)
PLAIN = ("F64", "F32", "F16", "BF16")
# Prefix of tensor names by a wrapper -> the wrapper, and how to save without it.
WRAPPERS = {
    "_orig_mod.": ("a compiled model", "save model._orig_mod"),
    "_fsdp_wrapped_module.": ("an FSDP model", "save its full state dict"),
    "_checkpoint_wrapped_module.": ("activation checkpointing", "save the model inside"),
    "base_model.model.": ("a PEFT model", "save what model.merge_and_unload() returns"),
    "module.": ("a DataParallel model", "save model.module"),
}
QUANTIZED = re.compile(r"(qweight|qzeros|scales|SCB|absmax|weight_scale\w*|weight_packed)$")


def load_whole(
    auto: Any,
    folder: Path,
    key: str,
    *,
    output: "Callable[[Any], torch.Tensor] | None" = None,
    **options: Any,
) -> Any:
    """A transformers model; UserError unless all of its tensors come from the checkpoint.

    auto: the auto class. key: the config entry in messages. output: computes the tensor of the
    model that will be used; parameters that it does not depend on may be missing.
    options: of `from_pretrained`; trust_remote_code is False by default.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    options = {"trust_remote_code": False, **options}
    trusted = options.pop("trust_remote_code")
    with _loading(key, folder):
        model, loading = auto.from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=trusted,
            **options,
        )
    missing = set(loading["missing_keys"])
    if missing and output is not None:
        unused = _unused(model, missing, output)
        if unused:
            print(f"{key}: {some(unused)} is not in {folder}, and is not used", flush=True)
        missing -= unused
    _check(model, folder, key, missing, set(loading["unexpected_keys"]), loading["mismatched_keys"])
    return model


def check_whole(auto: Any, folder: Path, key: str, trusted: bool) -> Any:
    """The model of a folder on the device meta, checked like `load_whole`.

    Tied tensors that the files hold twice are compared, and every number is checked to be finite.
    Needs memory for the largest tensor only, unless tied tensors have to be compared.
    """
    options: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": trusted}
    model = load_whole(auto, folder, key, device_map="meta", **options)
    tied = model.all_tied_weights_keys.items()
    if any(model.get_parameter(a) is not model.get_parameter(b) for a, b in tied):
        # Whether they differ shows only with their numbers.
        model = load_whole(auto, folder, key, dtype="auto", **options)
    _check_numbers(weight_files(folder), key)
    return model


@contextmanager
def _loading(key: str, folder: Path) -> Iterator[None]:
    """Turn an error of a library in the block into a UserError, but not a system error."""
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
    """An encoder's output for a short artificial text: [1, tokens, width]."""
    import torch

    ids = torch.arange(4)[None] % model.config.vocab_size
    state: torch.Tensor = model(
        input_ids=ids, attention_mask=torch.ones_like(ids)
    ).last_hidden_state
    return state


def _unused(model: Any, names: set[str], output: "Callable[[Any], torch.Tensor]") -> set[str]:
    """Names of the parameters that the output does not depend on."""
    import torch

    parameters = dict(model.named_parameters())
    missing = sorted(name for name in names if name in parameters)
    if not missing:
        return set()
    with torch.enable_grad():
        gradients = torch.autograd.grad(
            output(model).float().sum(),
            [parameters[name] for name in missing],
            allow_unused=True,
        )
    return {name for name, gradient in zip(missing, gradients, strict=True) if gradient is None}


def _check(
    model: Any, folder: Path, key: str, missing: set[str], unexpected: set[str], mismatched: Any
) -> None:
    """Raises UserError for missing and unexpected tensors; prints those that are not read."""
    head = f"{key}: the weights in {origin(folder)} are not those of a {type(model).__name__}"
    if missing:
        # A missing head says most about the mistake, so it comes first.
        first = sorted(missing, key=lambda name: (name.startswith(model.base_model_prefix), name))
        listed = ", ".join(first[:2])
        why = _diagnosis(model, missing, unexpected)
        raise UserError(f"{head}: it lacks {counted(missing)}, such as {listed}.\n{why}")
    if mismatched:
        name, stored, shape = min(mismatched, key=lambda item: item[0])
        raise UserError(
            f"{head}: {name} has the shape {list(stored)}, and config.json asks for {list(shape)}"
            f"{f' ({len(mismatched)} such tensors)' if len(mismatched) > 1 else ''}; take the "
            "config.json that belongs to the weights"
        )
    prefixed = bool(unexpected) and _prefixed(folder, f"{model.base_model_prefix}.")
    strange = {name for name in unexpected if _changes(model, name, prefixed)}
    if strange:
        message = f"{head}: it has no room for {counted(strange)}, such as {some(strange, 2)}."
        raise UserError(f"{message}\n{_diagnosis(model, missing, strange)}")
    if unexpected:
        print(f"{key}: not read, as the model has no such part: {some(unexpected)}", flush=True)


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
    """Whether an unexpected tensor shows that the checkpoint is of another model.

    It does if it belongs to a module of the model, such as a bias of a linear layer or one more
    block, or if it is unknown. prefixed: whether the names mark tensors of the base model, so that
    the others belong to other heads and towers.
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
    separate = prefixed and "." in name and top not in {base, *dict(model.named_children())}
    # A classifier's base may have been saved with a pooler that it does not use.
    return not (separate or OTHER_PARTS.match(name.removeprefix(f"{base}.")))


def _diagnosis(model: Any, missing: set[str], strange: set[str]) -> str:
    """What the names of unexpected tensors suggest, and the remedy."""
    if any("lora_" in name for name in strange):
        return "They hold a LoRA that was not merged; save what model.merge_and_unload() returns"
    for prefix, (kind, remedy) in WRAPPERS.items():
        if any(prefix in name for name in strange):
            return f"Their names hold {prefix!r}, as those of {kind} do; {remedy}"
    if any(QUANTIZED.search(name) for name in strange):
        return "They look quantized; take the checkpoint that they were made from"
    expected = sorted(missing - {"lm_head.weight"})[:9]
    for name in sorted(strange):
        for ending in expected:
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
    unknown = f"; what they hold instead: {some(strange, 2)}" if missing and strange else ""
    return f"Get the weights anew, or the config.json that belongs to them{unknown}"


def vocabulary(model: Any) -> int:
    """The number of token ids that a model both reads and predicts."""
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    return min(int(table.weight.shape[0]) for table in tables if table is not None)


def _check_numbers(paths: list[Path], key: str) -> None:
    """Raises UserError for tensors of an unsupported dtype, or with NaN or infinity."""
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
