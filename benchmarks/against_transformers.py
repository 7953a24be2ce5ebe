"""Steered sampling against transformers' own `generate` without steering."""

from benchmarks.common import PROMPTS, Result, Setup, in_turn, ratio

ITEM = "plain transformers"
ROWS, STEPS = 128, 40


def run(setup: Setup) -> list[Result]:
    """Ours, steered, 128 rows x 40 tokens: 16 samples of 8 prompts, and 128 prompts of one sample.

    The other arm has the same rows, dtype and sampling. `generate` computes the prompt of each row
    separately, also for samples of one prompt, so one arm of it represents both.
    """
    import torch
    from transformers import LogitsProcessorList

    from actadd.engine.batching import left_pad, padded_width
    from benchmarks.peers.common import FrequencyPenalty

    model, tokens = setup.load(), setup.tokens()
    encoded = [tokens.encode(prompt) for prompt in PROMPTS]
    width = padded_width(max(map(len, encoded)))

    def ours(prompts: list[list[int]], samples: int, steps: int = STEPS) -> None:
        written = setup.draw(prompts, samples, steps, width)
        assert written.shape == (ROWS, steps)

    def theirs(steps: int = STEPS) -> None:
        ids, mask = left_pad(encoded * (ROWS // len(encoded)))
        device = model.get_input_embeddings().weight.device
        with torch.inference_mode():
            written = model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                do_sample=True,
                top_p=0.3,
                top_k=0,
                logits_processor=LogitsProcessorList([FrequencyPenalty(1.0)]),
                min_new_tokens=steps,
                max_new_tokens=steps,
            )
        assert written.shape == (ROWS, ids.shape[1] + steps)

    arms = {
        "ours, 8 prompts x 16 samples": lambda: ours(encoded, ROWS // len(encoded)),
        "ours, 128 prompts": lambda: ours(encoded * (ROWS // len(encoded)), 1),
        "model.generate, unsteered": theirs,
    }
    ours(encoded, ROWS // len(encoded), 2)
    theirs(2)
    seconds = in_turn(arms, 2, setup.device)
    shared, distinct, plain = seconds.values()
    bounds = {"target": 2.0 if setup.device == "cpu" else 1.0, "bound": "at least"}
    speed = Result(
        ITEM,
        "tokens per second, steered",
        ROWS * STEPS / min(shared),
        "tokens/s",
        note="best round",
    )
    return [
        ratio(ITEM, "16 samples of 8 prompts, over model.generate", plain, shared, **bounds),
        ratio(ITEM, "128 prompts, one sample each, over model.generate", plain, distinct, **bounds),
        speed,
    ]
