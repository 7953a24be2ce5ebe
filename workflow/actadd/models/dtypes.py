"""The dtype that `dtype: auto` takes, decided once, when a model is verified on its device.

It is the faster of the device's dtypes (`FASTER`) where there are instructions for it, where it
moves the log-probabilities of `TEXTS` by no more than `BOUND`, and where the model holds every
property of its verification in it; float32 elsewhere. So the same config may take another dtype on
another machine; the record of the verification says which one, and why.
"""

from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.base.files import read_json
from actadd.models.loading import MIXED

AUTO = "auto"
# What is taken elsewhere, and compared with.
EXACT = "float32"
# Device -> how it computes with bfloat16. On a CPU a model wholly in bfloat16 is hardly faster than
# its products alone, and less exact: a residual stream with an attention sink loses digits in it.
FASTER = {"cpu": MIXED, "cuda": "bfloat16"}
# Nats that a token's log-probability may differ by, in the mean over all tokens of TEXTS.
BOUND = 0.05
TEXTS = (
    "The train was late again, so we shared a taxi with two students and a man with a cello.",
    "Water boils at a lower temperature on a mountain, because the pressure of the air is lower.",
    '"I never said that," she answered, and put the letter back into the drawer.',
    "To reset the clock, hold both buttons for three seconds and wait until the light is green.",
    "In 1911 the town had 4,200 inhabitants, two schools, a brewery and a small harbour.",
    "I loved the first half of the film, but the ending was slow and made no sense to me.",
    "Once upon a time there was a little dog who lived in a red house near the forest.",
    "The bill was rejected by 41 votes to 38 after a debate that lasted until midnight.",
)


def instructions(device: str) -> str | None:
    """What of a device multiplies numbers in bfloat16; None if nothing does."""
    import torch

    if device == "cuda":
        usable = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.cuda.get_device_name() if usable else None
    features = {
        "amx_bf16": torch.cpu._is_amx_tile_supported(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
    }
    return next((name for name, present in features.items() if present), None)


def decide(model_dir: Path, compute: dict[str, Any]) -> dict[str, Any]:
    """The dtype that a prepared model is to be computed in on this machine, and why.

    compute: as `loading.load` takes it. Returns dtype, the device's instructions, the mean absolute
    difference of the log-probabilities of TEXTS in nats (None if it was not measured), its bound,
    and "because", the reason in words. Raises UserError if float32 does not fit in memory.
    """
    processor = instructions(compute["device"])
    decision = {
        "dtype": EXACT,
        "instructions": processor,
        "difference": None,
        "bound": BOUND,
        "because": f"the {compute['device']} has no instructions for bfloat16",
    }
    if processor is None:
        return decision
    faster = FASTER[compute["device"]]
    difference = _difference(faster, model_dir, compute)
    measured = f"a token's log-probability differs by {difference:.2g} nats"
    decision["difference"] = difference
    # NaN is not within the bound.
    if not difference <= BOUND:
        return {**decision, "because": f"in {faster} {measured}, allowed {BOUND}"}
    return {**decision, "dtype": faster, "because": f"{processor}; {measured}, allowed {BOUND}"}


def refused(decision: dict[str, Any], broken: str) -> dict[str, Any]:
    """The decision for float32 where a property does not hold in the dtype that was decided for."""
    why = f"in {decision['dtype']} its property {broken!r} does not hold"
    return {**decision, "dtype": EXACT, "because": why}


def for_trial(model_dir: Path, dtype: str | None, compute: dict[str, Any]) -> str:
    """The dtype of a trial: the one that is named, or that in which the model was made ready.

    dtype: as a config has it; None takes float32 for a model that was not made ready.
    """
    path = model_dir / "verification.json"
    record = read_json(path) if path.is_file() else {}
    ready = record.get("dtype") if record.get("device") == compute["device"] else None
    if dtype is None:
        return str(ready or EXACT)
    if dtype != AUTO:
        return dtype
    return str(ready if "auto" in record and ready else decide(model_dir, compute)["dtype"])


def taken(record: Path) -> str:
    """The dtype in which a model was verified. record: the model's folder, or the file beside it.

    Raises UserError if the model was not verified.
    """
    path = record / "verification.json" if record.is_dir() else record
    if not path.is_file():
        raise UserError(f"dtype: auto, but {path} is missing; write a dtype, such as float32")
    return str(read_json(path)["dtype"])


def _difference(faster: str, model_dir: Path, compute: dict[str, Any]) -> float:
    """How far a dtype moves the log-probability of a token of TEXTS, in nats, in the mean."""
    import torch

    from actadd.engine.batching import is_out_of_memory
    from actadd.engine.logprobs import token_logprobs
    from actadd.engine.tokens import Tokens
    from actadd.models import loading

    tokens = Tokens(model_dir)
    rows = [tokens.encode(text)[: tokens.context] for text in TEXTS]
    logprobs = {}
    for dtype in (EXACT, faster):
        # The other one is freed first: both together may not fit in a GPU.
        loading._load.cache_clear()
        try:
            model = loading.load(model_dir, dtype=dtype, **compute)
            measured = [token_logprobs(model, [row])[0][0] for row in rows]
            del model
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(
                f"models.{model_dir.name}.dtype: auto compares with float32, which does not fit in "
                "memory; write bfloat16"
            ) from error
        logprobs[dtype] = torch.cat(measured)
    return float((logprobs[faster] - logprobs["float32"]).abs().mean())
