"""Models: made ready once as plain safetensors with a tokenizer, then loaded in a moment."""

import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from actadd.errors import UserError
from actadd.files import digest, read_json, sha256_file, whole_folder, write_json
from actadd.tokens import single_token

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
# What a checkpoint is linked from: weights that run no code, and text.
LINKED = (".safetensors", ".json", ".txt", ".jinja", ".model")


def prepare(spec: dict, source: Path, target: Path) -> dict[str, Any]:
    """Makes the folder `target` a checkpoint that loads without any of the source's peculiarities.

    spec: name, format (transformers, gguf or llama2c), layers, bos, pad, stop, chat_template.
    target gets the weights as safetensors, tokenizer.json, and model.json: ids of the special
    tokens, depth, width and a digest of the weights. Returns those facts.
    Raises UserError if the depth or a token is not as the config says.
    """
    with whole_folder(target) as folder:
        {"transformers": _link, "gguf": _from_gguf, "llama2c": _from_llama2c}[spec["format"]](
            spec, source, folder
        )
        facts = _facts(spec, folder)
        write_json(folder / "model.json", facts)
    return facts


def _link(spec: dict, source: Path, folder: Path) -> None:
    """A checkpoint that is already in Hugging Face form: links, not copies."""
    for path in sorted(source.resolve().iterdir()):
        if path.is_file() and path.suffix in LINKED:
            (folder / path.name).symlink_to(path.resolve())
    if not any((folder / name).exists() for name in WEIGHTS):
        raise UserError(
            f"models.{spec['name']}: {source} holds no {' or '.join(WEIGHTS)}; weights in pickle "
            "form can run code and are not loaded. Convert them, or take a revision that has "
            "safetensors"
        )
    if not (folder / "tokenizer.json").exists():
        from transformers import AutoTokenizer

        # Elsewhere first: saving here would write through the links into the user's own files.
        with tempfile.TemporaryDirectory() as scratch:
            AutoTokenizer.from_pretrained(source).save_pretrained(scratch)
            shutil.copyfile(Path(scratch) / "tokenizer.json", folder / "tokenizer.json")


def _from_gguf(spec: dict, source: Path, folder: Path) -> None:
    """Dequantises to float32, exactly what transformers loads from the GGUF itself."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    files = sorted(source.glob("*.gguf"))
    if len(files) != 1:
        raise UserError(f"models.{spec['name']}: one .gguf file was expected in {source}")
    loaded = AutoModelForCausalLM.from_pretrained(source, gguf_file=files[0].name)
    config = loaded.config
    # save_pretrained refuses a model that was loaded from a GGUF; a fresh one with the same
    # weights is saved instead.
    del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict(), strict=True)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=files[0].name).save_pretrained(folder)


def _from_llama2c(spec: dict, source: Path, folder: Path) -> None:
    from actadd.llama2c import convert

    files = sorted(source.glob("*.data")) + sorted(source.glob("*.bin"))
    if len(files) != 1:
        raise UserError(f"models.{spec['name']}: one .data or .bin file was expected in {source}")
    convert(files[0], folder)


def _facts(spec: dict, folder: Path) -> dict[str, Any]:
    from tokenizers import Tokenizer
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder).get_text_config()
    key = f"models.{spec['name']}"
    if config.num_hidden_layers != spec["layers"]:
        raise UserError(
            f"{key}.layers: {spec['layers']} is wrong, the model has {config.num_hidden_layers}"
        )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def single(field: str, text: str) -> int:
        return single_token(tokenizer, f"{key}.{field}", text)

    chat_template = None
    if spec.get("chat_template"):
        chat_template = _chat_template(folder)
        if chat_template is None:
            raise UserError(f"{key}.chat_template: true, but the model carries no chat template")
    weights = {path.name: sha256_file(path) for path in sorted(folder.glob("*.safetensors"))}
    facts = {
        "layers": spec["layers"],
        "d_model": config.hidden_size,
        "bos_id": single("bos", spec["bos"]),
        "pad_id": single("pad", spec["pad"]),
        "stop_ids": sorted(single("stop", text) for text in spec["stop"]),
        "chat_template": chat_template,
        "context": getattr(config, "max_position_embeddings", None),
        "weights": digest(weights),
        "config": sha256_file(folder / "config.json"),
        "tokenizer": sha256_file(folder / "tokenizer.json"),
    }
    # What the model computes with, its name aside; the key of every cell holds it.
    return {"model": spec["name"], **facts, "identity": digest(facts)}


def _chat_template(folder: Path) -> str | None:
    plain = folder / "chat_template.jinja"
    if plain.exists():
        return plain.read_text(encoding="utf-8")
    settings = folder / "tokenizer_config.json"
    return read_json(settings).get("chat_template") if settings.exists() else None


@lru_cache(maxsize=1)
def load(model_dir: Path, *, dtype: str, device: str, threads: int):
    """A prepared model, ready for inference, as a transformers causal language model.

    The last one is kept: a job that asks for it again, cell by cell, loads it once.
    dtype: a torch dtype's name; device: "cpu" or "cuda"; threads: torch threads of this process.
    Raises UserError if the device is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("compute.device: cuda, but torch sees no GPU; write cpu")
    model = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=getattr(torch, dtype), use_safetensors=True
    )
    model = model.to(device).eval()
    print(f"loaded {model_dir.name} in {dtype} on {device}", flush=True)
    return model
