"""Loading of a prepared model on the devices of the config."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.base.files import canonical_json
from actadd.models.weights import load_whole

# Of dtypes: products in bfloat16, all else in float32.
MIXED = "mixed"


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
) -> Any:
    """A prepared model, ready for inference, as a transformers causal language model.

    The last model is cached, so that the cells of a job load it once.
    dtype: a torch dtype's name, or mixed: float32 with products in bfloat16, see
    `packed_products.mix`. device: "cpu" or "cuda"; threads: torch threads of this process.
    gpus: number of GPUs that the model needs. device_map: the device of each module, as
    transformers takes it; the default is all on one device, or "auto" with several GPUs.
    quantization: "8bit" stores the blocks' weight matrices in one byte a number (LLM.int8, Dettmers
    et al. 2022).
    Raises UserError if devices are missing, or if the model does not fit on them.
    """
    if device_map is None and gpus > 1:
        device_map = "auto"
    # As text, since a mapping cannot be a key of the cache.
    device_json = canonical_json(device_map)
    return _load(
        model_dir, dtype, device, threads, gpus, device_json, quantization, trust_remote_code
    )


@lru_cache(maxsize=1)
def _load(
    model_dir: Path,
    dtype: str,
    device: str,
    threads: int,
    gpus: int,
    device_json: str,
    quantization: str | None,
    trust_remote_code: bool,
) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    check_devices(device, gpus)
    device_map = json.loads(device_json)
    options = _placement(device, device_map, quantization)
    key = f"models.{model_dir.name}"
    try:
        model = load_whole(
            AutoModelForCausalLM,
            model_dir,
            key,
            dtype=torch.float32 if dtype == MIXED else getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            **options,
        )
    except UserError as error:
        if not options or error.__cause__ is None:
            raise
        settings = [f"device_map: {device_json}"] if device_map else []
        settings += [f"quantization: {quantization}"] if quantization else []
        why = f"{', '.join(settings)} does not work: {error.__cause__}"
        raise UserError(f"{key}: {why}") from error
    model = (model if options else model.to(device)).eval()
    if dtype == MIXED:
        from actadd.engine.packed_products import mix

        mix(model)
    print(f"loaded {model_dir.name} in {quantization or dtype} on {device}", flush=True)
    return model


def check_devices(device: str, gpus: int = 1) -> None:
    """Raises UserError unless torch sees the requested GPUs."""
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
    """The arguments of `from_pretrained` about devices; {} for a whole model on one device."""
    if quantization and device_map is None:
        device_map = {"": "cpu" if device == "cpu" else 0}
    if device_map is None:
        return {}
    options: dict[str, Any] = {"device_map": device_map}
    if device == "cpu":
        import psutil

        # Otherwise transformers would use GPUs that the config does not mention.
        options["max_memory"] = {"cpu": psutil.virtual_memory().available}
    if quantization:
        import logging

        from transformers import BitsAndBytesConfig

        # It warns at every product that it rounds to float16, which is intended.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    return options
