"""What steering costs: a forward pass timed with and without it (paper, figure of inference time).

Unlike in the paper's measurement, the device is waited for, passes before the first timed one warm
it up, and the arms take turns in an order that is drawn anew for each repeat, so that a machine
that grows slower or faster does not count for or against steering.
"""

import inspect
import re
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.base.files import write_with
from actadd.base.intervals import median_interval

UNSTEERED = "unsteered"
STEERED = "steered"
WITH_PASSES = "steered with its vector's passes"
ARMS = (UNSTEERED, STEERED, WITH_PASSES)


def measure(spec: dict[str, Any], *, model_dir: Path | None, output: Path) -> dict[str, Any]:
    """Time forward passes over one batch of random token ids and tabulates every repeat.

    spec: name, shape, rows and tokens of the batch, repeats, warmup (untimed rounds), layer (a
    number, or "middle": half the depth), positive and negative (the contrast pair), seed, dtype,
    compute. shape: {layers, d_model, heads, vocabulary} of a GPT-2 with random weights, for which
    no model is needed, since time does not depend on weights; its pair is random ids, one for each
    word or punctuation mark of the longer text and one for BOS. Otherwise shape is null and
    model_dir a prepared model.

    output: Parquet, one row for each repeat and arm: model, random_weights, parameters, layers,
    d_model, layer, device, threads, dtype, rows, tokens, repeat, order (0 is first in its repeat),
    arm, seconds. Arm "steered" has the vector at hand and includes placing and removing the hooks,
    as each new batch needs; "steered with its vector's passes" also runs the contrast pair's own
    forward pass inside the timed block, which is how the paper counts. Only the last position's
    logits are computed where a model can do so: a full unembedding would hide the premium.
    Raises UserError if the layer does not exist or the batch is shorter than the pair.
    """
    import torch

    from actadd.engine.additions import Addition
    from actadd.engine.hooks import record_activations
    from actadd.engine.steering import steer
    from actadd.engine.structure import blocks, input_device, model_inputs

    rng = np.random.Generator(np.random.Philox(key=spec["seed"]))
    model, pair = _model_and_pair(spec, model_dir, rng)
    config = model.config.get_text_config()
    depth = len(blocks(model))
    layer = depth // 2 if spec["layer"] == "middle" else spec["layer"]
    if not 0 <= layer < depth:
        raise UserError(
            f"overheads.*.layer: {layer} does not exist in {spec['name']}; write middle, or a "
            f"number from 0 to {depth - 1}"
        )
    if spec["tokens"] < len(pair[0]):
        raise UserError(
            f"overheads.*.tokens: {spec['tokens']} is less than the contrast pair's {len(pair[0])} "
            f"tokens in {spec['name']}; write more tokens or a shorter pair"
        )
    device = input_device(model)
    size = (spec["rows"], spec["tokens"])
    batch = torch.from_numpy(rng.integers(0, config.vocab_size, size)).to(device)
    mask = torch.ones_like(batch)
    pair_ids = torch.tensor(pair, device=device)
    inputs: dict[str, Any] = model_inputs(model, batch, mask)
    if "logits_to_keep" in inspect.signature(type(model).forward).parameters:
        inputs["logits_to_keep"] = 1

    def pair_vector() -> torch.Tensor:
        positive, negative = record_activations(model, pair_ids)[layer]
        return positive - negative

    at_hand = pair_vector()

    def forward(arm: str) -> None:
        steering: Any = nullcontext()
        if arm != UNSTEERED:
            vector = at_hand if arm == STEERED else pair_vector()
            steering = steer(model, [[Addition(vector, layer, 1.0)]] * len(batch), mask)
        with steering:
            model(**inputs, use_cache=False)

    def seconds(arm: str) -> float:
        wait = torch.cuda.synchronize if device.type == "cuda" else _nothing
        wait()
        start = time.perf_counter()
        forward(arm)
        wait()
        return time.perf_counter() - start

    timed = []
    with torch.inference_mode():
        for repeat in range(-spec["warmup"], spec["repeats"]):
            for order, arm in enumerate(rng.permutation(ARMS).tolist()):
                timed.append((repeat, order, arm, seconds(arm)))
    table = pd.DataFrame(timed, columns=["repeat", "order", "arm", "seconds"])
    table = table[table["repeat"] >= 0].reset_index(drop=True)
    about = {
        "model": spec["name"],
        "random_weights": spec.get("shape") is not None,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": depth,
        "d_model": config.hidden_size,
        "layer": layer,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": spec["compute"]["threads"],
        "dtype": spec["dtype"],
        "rows": spec["rows"],
        "tokens": spec["tokens"],
    }
    table = pd.concat([pd.DataFrame(about, index=table.index), table], axis=1)
    write_with(output, lambda path: table.to_parquet(path, index=False))
    medians = table.groupby("arm")["seconds"].median()
    return {"parameters": about["parameters"], "median_seconds": medians.round(6).to_dict()}


def _nothing() -> None:
    """A CPU is done when the call returns."""


def _model_and_pair(
    spec: dict[str, Any], model_dir: Path | None, rng: np.random.Generator
) -> tuple[Any, list[list[int]]]:
    """The model, ready for inference, and the pair's token ids: two lists of one length."""
    from actadd.models import loading

    shape: Any = spec.get("shape")
    if (shape is None) == (model_dir is None):
        raise UserError(
            f"overheads: {spec['name']} must be a prepared model or a shape, one of the two"
        )
    if shape is None and model_dir is not None:
        from actadd.engine.tokens import Tokens
        from actadd.vectors.activations import contrast_ids

        entry = {name: spec[name] for name in ("name", "positive", "negative")}
        ids = contrast_ids({**entry, "kind": "pair"}, Tokens(model_dir))
        model = loading.load(model_dir, dtype=spec["dtype"], **spec["compute"])
        return model, [ids["0.positive"], ids["0.negative"]]

    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    if shape["d_model"] % shape["heads"]:
        raise UserError(
            f"overheads.*.shapes.{spec['name']}.heads: {shape['heads']} does not divide "
            f"d_model {shape['d_model']}; write a number that does"
        )
    device = spec["compute"]["device"]
    loading.check_devices(device)
    # As `models.load` does, so that shapes and prepared models can stand in one figure.
    torch.set_num_threads(spec["compute"]["threads"])
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(spec["seed"])
    config = GPT2Config(
        vocab_size=shape["vocabulary"],
        n_embd=shape["d_model"],
        n_layer=shape["layers"],
        n_head=shape["heads"],
        n_positions=max(1024, spec["tokens"]),
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config).to(device, getattr(torch, spec["dtype"])).eval()
    sides = (re.findall(r"\w+|[^\w\s]", spec[side]) for side in ("positive", "negative"))
    length = 1 + max(len(side) for side in sides)
    return model, rng.integers(0, shape["vocabulary"], (2, length)).tolist()


def summarise(tables: list[Path] | pd.DataFrame) -> pd.DataFrame:
    """What each model's arms cost, from the tables of `measure`.

    One row for each model (and device, dtype, batch) and arm: the settings' columns, arm, seconds
    (the median), premium, low, high, n. premium is the median, over repeats, of an arm's time over
    that of the same repeat's unsteered pass, minus 1; low and high bound its 95 % percentile
    bootstrap interval over repeats; all three are NaN for the unsteered arm. n: repeats.
    """
    if not isinstance(tables, pd.DataFrame):
        tables = pd.concat([pd.read_parquet(path) for path in tables], ignore_index=True)
    settings = [name for name in tables if name not in ("repeat", "order", "arm", "seconds")]
    rows = []
    for values, part in tables.groupby(settings, sort=False):
        times = part.pivot(index="repeat", columns="arm", values="seconds")
        for arm in ARMS:
            premium: tuple[float, ...] = (float("nan"),) * 3
            if arm != UNSTEERED:
                premium = median_interval((times[arm] / times[UNSTEERED]).to_numpy() - 1)
            rows.append((*values, arm, float(times[arm].median()), *premium, len(times)))
    columns = [*settings, "arm", "seconds", "premium", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)
