"""What other operations than addition cost in a grid, and directions of many pairs."""

import time
from itertools import product

from benchmarks.common import PROMPTS, Result, Setup, in_turn, ratio, uniforms

ITEM = "operations"
LAYER_SHARES = (6 / 30, 12 / 30, 18 / 30, 24 / 30)
STRENGTHS = {
    "add": (1.0, 2.0, 3.0, 4.0),
    "add_preserving_norm": (1.0, 2.0, 3.0, 4.0),
    "rotate": (5.0, 10.0, 20.0, 40.0),
    "clamp": (0.5, 1.0, 2.0, 4.0),
}
STEPS, ROWS, ROUNDS = 24, 128, 5
PAIRS = 160
KINDS = ("mean_difference", "pca", "lda", "logistic")
NAMES = ("Ann", "Ben", "My aunt", "The boy", "A man", "The cook", "Our guide", "The girl")
PLACES = ("at home", "in town", "by the sea", "at work", "in the garden")
FEELINGS = (("happy", "sad"), ("calm", "angry"), ("proud", "ashamed"), ("kind", "cruel"))


def run(setup: Setup) -> list[Result]:
    return [_grid(setup), *_directions(setup)]


def _grid(setup: Setup) -> Result:
    """4 operations x 4 layers x 4 strengths, 4 prompts each, against as many additions."""
    import torch

    from actadd.engine.additions import Addition
    from actadd.engine.batching import left_pad
    from actadd.engine.decoding.generation import generate
    from actadd.engine.decoding.sampling import Sampling
    from actadd.engine.structure import blocks

    model, tokens = setup.load(), setup.tokens()
    layers = [round(share * len(blocks(model))) for share in LAYER_SHARES]
    vectors = {layer: torch.from_numpy(setup.vectors()[layer]) for layer in layers}
    prompts = [tokens.encode(text) for text in PROMPTS[:4]]
    noise = uniforms(ROWS, STEPS)

    def draw(operations: list[str]) -> None:
        """Rows of all settings in the order of the grid, as the pipeline fills its batches."""
        rows = [
            (prompt, [Addition(vectors[layer], layer, strength, operation=name)])
            for name, place in zip(operations, STRENGTHS, strict=True)
            for layer, strength, prompt in product(layers, STRENGTHS[place], prompts)
        ]
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            ids, mask = left_pad([prompt for prompt, _ in part])
            generate(
                model,
                ids,
                mask,
                additions=[additions for _, additions in part],
                sampling=Sampling(top_p=0.3, frequency_penalty=1.0),
                uniforms=noise[: len(part)],
                max_new_tokens=STEPS,
            )

    arms = {
        "operations": lambda: draw(list(STRENGTHS)),
        "additions": lambda: draw(["add"] * len(STRENGTHS)),
    }
    draw(["add"] * len(STRENGTHS))
    seconds = in_turn(arms, ROUNDS, setup.device)
    what = "64 settings of 4 operations, over as many additions"
    return ratio(
        ITEM, what, seconds["operations"], seconds["additions"], target=1.15, bound="at most"
    )


def _directions(setup: Setup) -> list[Result]:
    """Seconds for the directions of all layers from cached activations, with what they separate."""
    from actadd.vectors.activations import cache_activations
    from actadd.vectors.derivation import derive_all_layers

    settings = {"dtype": setup.dtype, "compute": {"device": setup.device, "threads": 1}}
    pairs = [
        [f"{name} felt {feelings[side]} {place}" for side in (0, 1)]
        for feelings, place, name in product(FEELINGS, PLACES, NAMES)
    ]
    assert len(pairs) == PAIRS
    positive, negative = map(list, zip(*pairs, strict=True))
    entry = {"name": "feelings", "positive": positive, "negative": negative}
    folder = setup.scratch / "directions"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"layer_{layer:02d}.safetensors" for layer in range(len(setup.vectors()))]
    start = time.perf_counter()
    contrast = {**entry, "kind": "mean_difference"}
    cache_activations({"contrast": contrast, **settings}, setup.model, files)
    print(f"  activation pass: {time.perf_counter() - start:.1f} s", flush=True)
    results = []
    for kind in KINDS:
        start = time.perf_counter()
        vector = {**entry, "kind": kind, "seed": 0}
        derive_all_layers(
            {"vector": vector}, files, folder / "vector.safetensors", folder / "n.csv"
        )
        seconds = time.perf_counter() - start
        print(f"  {kind}: {seconds:.1f} s", flush=True)
        what = f"{kind} of {PAIRS} pairs at {len(files)} layers, beyond the activation pass"
        results.append(Result(ITEM, what, seconds, "seconds", 60, "at most"))
    return results
