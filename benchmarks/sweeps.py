"""Log-probabilities in a sweep of coefficients: shared lower blocks, batches of similar length."""

import pandas as pd

from benchmarks.common import ROOT, Result, Setup, in_turn, ratio

ITEM = "log-prob sweeps"
LAYER_SHARE = 16 / 30
COEFFICIENTS = [0.25 * number for number in range(-20, 21) if number]
# The slower arms need the same time for each coefficient; this many are timed, and scaled.
TIMED = 4
TEXTS = 64


def run(setup: Setup) -> list[Result]:
    """40 coefficients at layer 16 of 30 on sentences; the numbers of all arms are also compared."""
    import torch

    from actadd.engine.batching import by_length, left_pad
    from actadd.engine.logprobs import _measured as measured
    from actadd.engine.logprobs import swept_logprobs
    from actadd.engine.steering import steer
    from actadd.engine.structure import blocks, model_inputs
    from actadd.measure.measures.logprobs import TOGETHER
    from actadd.models import batch_rows

    model, tokens = setup.load(), setup.tokens()
    device = model.get_input_embeddings().weight.device
    texts = pd.read_csv(ROOT / "workflow/data/essays.csv")["text"].sample(TEXTS, random_state=0)
    rows = [tokens.encode(text) for text in texts]
    layer = round(LAYER_SHARE * len(blocks(model)))
    additions = [setup.addition(layer, coefficient) for coefficient in COEFFICIENTS]
    batches = list(by_length([len(row) for row in rows], 128 // batch_rows.ROWS_PER_TEXT))

    def shared() -> list[dict]:
        cells = []
        for start in range(0, len(additions), TOGETHER):
            group = additions[start : start + TOGETHER]
            parts: list[dict] = [{} for _ in group]
            for batch in batches:
                conditions = [[[addition]] * len(batch) for addition in group]
                results = swept_logprobs(model, [rows[i] for i in batch], conditions)
                for part, result in zip(parts, results, strict=True):
                    part.update(zip(batch, result, strict=True))
            cells += parts
        return cells

    def whole(batches: list[list[int]]) -> list[dict]:
        """One pass of the whole model for each coefficient, with a plain hook."""
        cells = []
        for addition in additions[:TIMED]:
            part = {}
            for batch in batches:
                ids, mask = left_pad([rows[i] for i in batch])
                inputs = model_inputs(model, ids.to(device), mask.to(device))
                with torch.inference_mode(), steer(model, [[addition]] * len(batch), mask):
                    logits = model(**inputs, use_cache=False).logits
                for row, i in enumerate(batch):
                    row_ids = inputs["input_ids"][row]
                    part[i] = measured(logits[row], row_ids, len(rows[i]))
            cells.append(part)
        return cells

    numbers: dict[str, list[dict]] = {}
    arms = {
        "shared": lambda: numbers.update(shared=shared()),
        "whole": lambda: numbers.update(whole=whole(batches)),
        "alone": lambda: numbers.update(alone=whole([[i] for i in range(len(rows))])),
    }
    seconds = in_turn(arms, 2, setup.device)
    scale = len(additions) / TIMED
    note = f"the slower arm timed on {TIMED} of {len(additions)} coefficients and scaled"

    def gap(arm: str) -> float:
        """The largest difference of any token's log-probability from the shared arm's."""
        return max(
            float((part[i][0] - ours[i][0]).abs().max())
            for part, ours in zip(numbers[arm], numbers["shared"], strict=False)
            for i in range(len(rows))
        )

    return [
        ratio(
            ITEM,
            "over one full pass per coefficient, same batches",
            [scale * value for value in seconds["whole"]],
            seconds["shared"],
            target=1.5,
            bound="at least",
            note=note,
        ),
        ratio(
            ITEM,
            "over one text at a time",
            [scale * value for value in seconds["alone"]],
            seconds["shared"],
            target=3.0,
            bound="at least",
            note=note,
        ),
        Result(ITEM, "largest difference, same batches", gap("whole"), "nats", 1e-5, "at most"),
        Result(
            ITEM,
            "largest difference, one text at a time",
            gap("alone"),
            "nats",
            note="float32 rounds otherwise in batches of other shapes",
        ),
    ]
