"""The time that a shared prefill saves, and that a shared pass below a layer would save of it."""

from benchmarks.common import PROMPTS, Result, Setup, in_turn, ratio

ITEM = "prefill once"
SAMPLES, STEPS = 16, 30


def run(setup: Setup) -> list[Result]:
    """16 samples of 8 prompts x 30 tokens: one prefill of each prompt, or one of each row."""
    from actadd.engine.batching import left_pad, padded_width
    from actadd.engine.shared_layers import outputs_below, resumed_at
    from actadd.engine.steering import steer
    from actadd.engine.structure import model_inputs

    model, tokens = setup.load(), setup.tokens()
    encoded = [tokens.encode(prompt) for prompt in PROMPTS]
    width = padded_width(max(map(len, encoded)))
    addition = setup.addition(12, 5.0)

    def drawn(prompts: list[list[int]], samples: int, steps: int) -> None:
        setup.draw(prompts, samples, steps, width)

    repeated = [row for row in encoded for _ in range(SAMPLES)]
    drawn(encoded, SAMPLES, 2)
    arms = {
        "one prefill of each prompt": lambda: drawn(encoded, SAMPLES, STEPS),
        "one prefill of each row": lambda: drawn(repeated, 1, STEPS),
        "the prefills of 8 prompts alone": lambda: drawn(encoded, 1, 1),
    }
    shared, single, alone = in_turn(arms, 2, setup.device).values()

    # Eight coefficients at layer 12 of the prefill: a whole pass each, or the lower blocks once.
    ids, mask = left_pad(encoded, width=width)
    device = model.get_input_embeddings().weight.device
    inputs = model_inputs(model, ids.to(device), mask.to(device))

    def prefills(sharing: bool) -> None:
        import torch

        with torch.inference_mode():
            below = outputs_below(model, inputs, [12] if sharing else [])
            for _ in range(8):
                with resumed_at(model, 12, below), steer(model, [[addition]] * 8, mask):
                    model(**inputs, use_cache=False, logits_to_keep=1)

    whole, upper = in_turn(
        {"whole prefills": lambda: prefills(False), "from layer 12": lambda: prefills(True)},
        3,
        setup.device,
    ).values()
    part = min(alone) / min(shared)
    saved = part * (1 - min(upper) / min(whole))
    return [
        ratio(
            ITEM,
            "samples share their prompt's prefill, over one for each row",
            single,
            shared,
            target=1.0,
            bound="at least",
            note="kept",
        ),
        Result(ITEM, "part of the time that is prefill, when shared", 100 * part, "%"),
        Result(
            ITEM,
            "what sharing the blocks below layer 12 too would save",
            100 * saved,
            "%",
            note="not done: it would tie cells of one prompt to each other for this",
        ),
    ]
