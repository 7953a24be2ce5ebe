"""Sentence encoders, read from the files of sentence-transformers.

sentence-transformers writes modules.json (the chain of modules), a folder for each module,
sentence_bert_config.json (tokenization) and config_sentence_transformers.json (the prompt before
each text). As there, a folder without modules.json is a plain transformer with mean pooling.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actadd.base.errors import UserError, quote
from actadd.base.files import read_json
from actadd.models.folders import check_folder
from actadd.models.weights import last_hidden_state, load_whole

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 64
LIBRARY = "sentence_transformers."
WHOLE = "config_sentence_transformers.json"
# Names of the file with the tokenization; earlier versions had one for each family.
TOKENS = [
    f"sentence_{model}_config.json"
    for model in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
]
# The old form of a pooling, one key for each mode, in the order in which modes are concatenated.
MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass
class Encoder:
    """A loaded encoder.

    options: arguments of its tokenizer. prompt: the text before each text. skipped: number of the
    prompt's tokens to leave out of the pooling. modes: of the pooling, concatenated. after: the
    modules after the pooling. width: numbers of the embedding to keep, None for all.
    """

    tokenizer: Any
    model: Any
    options: dict[str, Any]
    prompt: str
    skipped: int
    modes: list[str]
    after: "list[nn.Module]"
    width: int | None


def embed(texts: list[str], folder: Path, device: str) -> np.ndarray:
    """Normalised embeddings by a sentence encoder, float32 [texts, width].

    NaN for a text without any token. Raises UserError if the folder's files need a module or
    setting that is not supported, or if its weights are not safetensors.
    """
    import torch

    encoder = _encoder(folder, device)
    tokenizer = encoder.tokenizer
    encoded = [tokenizer(encoder.prompt + text, **encoder.options) for text in texts]
    lengths = [len(row["input_ids"]) for row in encoded]
    order = sorted((i for i, n in enumerate(lengths) if n), key=lambda i: (-lengths[i], i))
    padding = {"input_ids": tokenizer.pad_token_id or 0, "attention_mask": 0}
    padding["token_type_ids"] = tokenizer.pad_token_type_id
    result: np.ndarray | None = None
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        width = lengths[batch[0]]
        inputs = {
            key: torch.tensor(
                [encoded[i][key] + [padding[key]] * (width - lengths[i]) for i in batch]
            )
            for key in padding
            if key in encoded[batch[0]]
        }
        mask = inputs["attention_mask"]
        with torch.inference_mode():
            hidden = encoder.model(
                **{key: value.to(device) for key, value in inputs.items()}
            ).last_hidden_state.cpu()
            pooled = _pooled(hidden.float(), mask, encoder)
            for module in encoder.after:
                pooled = module(pooled)
            pooled = pooled[:, : encoder.width]
        if result is None:
            result = np.full((len(texts), pooled.shape[-1]), np.nan, np.float32)
        result[batch] = torch.nn.functional.normalize(pooled.float(), dim=-1).numpy()
    return np.full((len(texts), 1), np.nan, np.float32) if result is None else result


def _pooled(hidden: "Tensor", mask: "Tensor", encoder: Encoder) -> "Tensor":
    """The pooled states, float32 [rows, modes * width].

    hidden: [rows, tokens, width]. mask: int64 [rows, tokens], padded on the right.
    """
    import torch

    rows = torch.arange(len(mask))
    weights = torch.arange(1, mask.shape[1] + 1)
    last = mask.sum(1) - 1
    mask = mask.clone()
    mask[:, : encoder.skipped] = 0
    total = (hidden * mask[..., None]).sum(1)
    count = mask.sum(1, keepdim=True)
    vectors = []
    for mode in encoder.modes:
        if mode == "mean":
            vectors.append(total / count.clamp(min=1))
        elif mode == "mean_sqrt_len_tokens":
            vectors.append(total / count.clamp(min=1).sqrt())
        elif mode == "cls":
            vectors.append(hidden[rows, mask.argmax(1)])
        elif mode == "max":
            vectors.append(hidden.masked_fill(mask[..., None] == 0, float("-inf")).amax(1))
        elif mode == "lasttoken":
            vectors.append(hidden[rows, last])
        elif mode == "weightedmean":
            weighted = (mask * weights)[..., None].float()
            vectors.append((hidden * weighted).sum(1) / weighted.sum(1).clamp(min=1e-9))
    return torch.cat(vectors, dim=-1)


@lru_cache(maxsize=1)
def _encoder(folder: Path, device: str) -> Encoder:
    """The encoder, loaded once for all cells of a job."""
    from transformers import (
        MODEL_FOR_TEXT_ENCODING_MAPPING,
        AutoConfig,
        AutoModel,
        AutoModelForTextEncoding,
        AutoTokenizer,
    )
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    transformer, pooling, after = _modules(folder)
    key = f"sources.{folder.name}"
    check_folder(transformer, key, pickled="Take a revision that has safetensors")
    description = _description(folder)
    tokenizer = AutoTokenizer.from_pretrained(transformer, trust_remote_code=False)
    config = AutoConfig.from_pretrained(transformer, trust_remote_code=False)
    if pooling is None:
        pooling = {"pooling_mode": _plain_mode(folder, config, tokenizer)}
    modes = _modes(folder, pooling)
    _set_up(tokenizer, config, _settings(folder, transformer))
    # T5 and similar models have a class for their encoder alone.
    has_encoder = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    kind = AutoModelForTextEncoding if has_encoder else AutoModel
    # Reading pickled weights can run code.
    model = load_whole(kind, transformer, key, output=last_hidden_state, use_safetensors=True)
    options = encoded_length(model, tokenizer)
    prompt, skipped = _prompt(folder, description), 0
    if prompt and not pooling.get("include_prompt", True):
        ids = tokenizer(prompt, **options)["input_ids"]
        skipped = len(ids) - (ids[-1] in tokenizer.all_special_ids)
    model, width = model.to(device).eval(), description.get("truncate_dim")
    return Encoder(tokenizer, model, options, prompt, skipped, modes, after, width)


def _read(folder: Path, file: str) -> dict[str, Any]:
    """One of the folder's JSON files; {} if it does not exist."""
    path = folder / file
    return read_json(path) if path.is_file() else {}


def _refused(folder: Path, file: str, what: str) -> UserError:
    return UserError(
        f"sources.{folder.name}: {file} {what}; take another encoder, or one whose files are "
        "plain: Transformer, Pooling, Dense, LayerNorm, Normalize"
    )


def _modules(folder: Path) -> "tuple[Path, dict[str, Any] | None, list[nn.Module]]":
    """The transformer's folder, the pooling's settings, if any, and the modules after it."""
    if not (folder / "modules.json").is_file():
        # Folders of modules without their list mean that the list was not fetched.
        others = sorted(path.name for path in folder.glob("[0-9]*_*") if path.is_dir())
        if set(others) - {"1_Pooling", "2_Normalize"}:
            raise UserError(
                f"sources.{folder.name}: it has {', '.join(others)}, but no modules.json that says "
                "in which order; add modules.json to the source's files"
            )
        return folder, _read(folder, "1_Pooling/config.json") or None, []
    listed = read_json(folder / "modules.json")
    chain = []
    for module in listed:
        kind, path = str(module["type"]), Path(module["path"])
        name = kind.rsplit(".", 1)[-1]
        if not kind.startswith(LIBRARY) or path.is_absolute() or ".." in path.parts:
            raise _refused(folder, "modules.json", f"names the module {quote(kind)}")
        chain.append((name, folder / path))
    names = [name for name, _ in chain]
    if names[:2] != ["Transformer", "Pooling"] or set(names[2:]) - set(AFTER):
        raise _refused(folder, "modules.json", f"lists {', '.join(names)}")
    (_, transformer), (_, pooling), *rest = chain
    # Every embedding is normalised at the end.
    if names[-1] == "Normalize":
        rest.pop()
    for _, path in chain[1:]:
        if path.name.endswith("Normalize") or (path / "config.json").is_file():
            continue
        raise UserError(
            f"sources.{folder.name}: modules.json names {path.name}, and {path.name}/config.json "
            "is not there; add that folder to the source's files"
        )
    after = [AFTER[name](folder, path) for name, path in rest]
    return transformer, read_json(pooling / "config.json"), after


def _dense(folder: Path, path: Path) -> "nn.Module":
    from torch import nn

    config = read_json(path / "config.json")
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    function = getattr(nn, activation.rsplit(".", 1)[-1], None)
    if not activation.startswith("torch.nn.") or not isinstance(function, type):
        what = f"has the activation function {quote(activation)}"
        raise _refused(folder, f"{path.name}/config.json", what)
    for key in ("module_input_name", "module_output_name", "use_residual"):
        if config.get(key, False) not in (False, None, "sentence_embedding"):
            raise _refused(folder, f"{path.name}/config.json", f"has {key}: {config[key]}")
    linear = nn.Linear(config["in_features"], config["out_features"], config.get("bias", True))
    return nn.Sequential(_filled(linear, folder, path, "linear."), function())


def _layer_norm(folder: Path, path: Path) -> "nn.Module":
    from torch import nn

    width = read_json(path / "config.json")["dimension"]
    return _filled(nn.LayerNorm(width), folder, path, "norm.")


def _filled(module: "nn.Module", folder: Path, path: Path, prefix: str) -> "nn.Module":
    """A module with its weights, of which none may be missing."""
    from safetensors.torch import load_file

    file = path / "model.safetensors"
    if not file.is_file():
        raise UserError(
            f"sources.{folder.name}: {path.name} has no model.safetensors, and weights in pickle "
            "form can run code and are not loaded; convert them, or take a revision that has them"
        )
    weights = {name.removeprefix(prefix): value for name, value in load_file(file).items()}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"sources.{folder.name}: {path.name}/model.safetensors does not fit its config.json "
            f"({reason}); get the folder anew"
        ) from error
    return module.float().eval()


def _normalize(folder: Path, path: Path) -> "nn.Module":
    from torch import nn

    class Normalize(nn.Module):
        def forward(self, vectors: "Tensor") -> "Tensor":
            return nn.functional.normalize(vectors, dim=-1)

    return Normalize()


def _dropout(folder: Path, path: Path) -> "nn.Module":
    from torch import nn

    # Dropout is active only in training.
    return nn.Identity()


AFTER = {
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
    "Dropout": _dropout,
}


def _modes(folder: Path, pooling: dict[str, Any]) -> list[str]:
    """The modes of pooling, whose vectors are concatenated."""
    modes = pooling.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in MODES.items() if pooling.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if unknown := sorted(set(modes) - set(MODES.values())):
        raise _refused(folder, "1_Pooling/config.json", f"has the pooling mode {unknown[0]!r}")
    return modes


def _plain_mode(folder: Path, config: Any, tokenizer: Any) -> str:
    """The pooling mode of sentence-transformers for a folder without settings of one."""
    if tokenizer.chat_template:
        raise _refused(folder, "modules.json", "is missing, and its texts would be chat messages")
    architecture = (config.architectures or [""])[0]
    causal = architecture.endswith("ForCausalLM") and getattr(config, "is_causal", True)
    pooling = "last token" if causal else "tokens' mean"
    print(f"sources.{folder.name}: no modules.json, so a text is its {pooling}", flush=True)
    return "lasttoken" if causal else "mean"


def _description(folder: Path) -> dict[str, Any]:
    """The settings of the encoder as a whole."""
    description = _read(folder, WHOLE)
    if description.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise _refused(folder, WHOLE, f"says model_type: {description['model_type']}")
    return description


def _prompt(folder: Path, description: dict[str, Any]) -> str:
    """The text before each text: the default prompt of the encoder's files."""
    name = description.get("default_prompt_name")
    prompts = {"query": "", "document": "", None: "", **(description.get("prompts") or {})}
    if name not in prompts:
        raise _refused(folder, WHOLE, f"has default_prompt_name: {name!r}, but no such prompt")
    return prompts[name] or ""


# Settings of the transformer that are applied here, or change no embedding of a plain text.
HARMLESS = (
    "max_seq_length",
    "do_lower_case",
    "unpad_inputs",
    "query_length",
    "document_length",
    "query_expansion",
    "config_args",
)
# Required values of further settings.
PLAIN = {
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
}


def _settings(folder: Path, transformer: Path) -> dict[str, Any]:
    """The settings of the tokenization."""
    file = next((name for name in TOKENS if (transformer / name).is_file()), TOKENS[0])
    settings = _read(transformer, file)
    for key, value in settings.items():
        if key not in HARMLESS and value and value != PLAIN.get(key):
            raise _refused(folder, file, f"has {key}: {quote(value)}")
    return settings


def _set_up(tokenizer: Any, config: Any, settings: dict[str, Any]) -> None:
    """Set a tokenizer's maximum length and lower case from the encoder's settings."""
    from tokenizers import normalizers

    longest = settings.get("max_seq_length")
    if longest is None:
        rows = getattr(config, "max_position_embeddings", None)
        longest = tokenizer.model_max_length
        # XLNet writes -1 for no maximum.
        if isinstance(rows, int) and rows > 0:
            longest = min(longest, rows)
    tokenizer.model_max_length = longest
    if settings.get("do_lower_case"):
        backend = tokenizer.backend_tokenizer
        before = [] if backend.normalizer is None else [backend.normalizer]
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])


def encoded_length(model: Any, tokenizer: Any) -> dict[str, Any]:
    """A tokenizer's arguments truncation and max_length, so that texts fit the model.

    The maximum is the tokenizer's, and at most the rows of the model's table of positions, less
    those that are reserved for padding, as in RoBERTa. Without either, nothing is truncated.
    """
    from torch import nn

    longest = tokenizer.model_max_length
    rows = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and ("position" in name or name.endswith("wpe")):
            reserved = 0 if module.padding_idx is None else module.padding_idx + 1
            longest = min(longest, min(module.num_embeddings, rows or longest) - reserved)
    # For a tokenizer without a maximum, transformers has a much larger number.
    bounded = longest < 10**9
    return {"truncation": bounded, **({"max_length": int(longest)} if bounded else {})}
