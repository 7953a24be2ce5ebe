"""The transformers config of a checkpoint, and the check that it is a causal language model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn any error in the block into a UserError that names `what`, which cannot be read."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Any class, since tokenizers raises Exception itself.
        raise UserError(f"{what} cannot be read ({str(error)[:200]}); get it anew") from error


@contextmanager
def _code_refused(name: str, trusted: bool) -> Iterator[None]:
    """Turn the error of a checkpoint that needs untrusted code of its own into a UserError."""
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


def read_config(folder: Path, trusted: bool, name: str) -> Any:
    """The text part of a checkpoint's transformers config; see `whole_config`."""
    return whole_config(folder, trusted, name).get_text_config()


def whole_config(folder: Path, trusted: bool, name: str) -> Any:
    """A checkpoint's transformers config. trusted: whether its own code may run.

    Raises UserError if the checkpoint needs code of its own and is not trusted.
    """
    from transformers import AutoConfig

    with _code_refused(name, trusted):
        return AutoConfig.from_pretrained(folder, trust_remote_code=trusted)


def check_causal(config: Any, key: str, trusted: bool) -> None:
    """Raises UserError unless a transformers config is that of a causal language model.

    transformers' own tables decide. Encoder families count as encoders unless the config says
    is_decoder.
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
            f"{key}: {kind} is not a causal language model of transformers (AutoModelForCausalLM), "
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

    tasks = ["SEQUENCE_CLASSIFICATION", "TOKEN_CLASSIFICATION", "QUESTION_ANSWERING"]
    tasks += ["MULTIPLE_CHOICE", "MASKED_LM", "NEXT_SENTENCE_PREDICTION"]
    mappings = [getattr(tables, f"MODEL_FOR_{task}_MAPPING_NAMES") for task in tasks]
    causal = set(tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    return {name for table in mappings for name in table.values()} - causal
