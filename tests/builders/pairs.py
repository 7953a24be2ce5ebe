"""Activations of contrast pairs."""

import numpy as np


def synthetic(count: int = 24, width: int = 40, shift: float = 0.6, seed: int = 7) -> np.ndarray:
    """float32 [pairs, 2, width], positive first: what a pair shares, noise, and a shift of some.

    The numbers differ in size and go together, as those of a residual stream do.
    """
    noise = np.random.default_rng(seed)
    mixing = noise.standard_normal((width, width)) * np.exp(noise.standard_normal(width))
    common, own = noise.standard_normal((count, 1, width)), noise.standard_normal((count, 2, width))
    direction = noise.standard_normal(width)
    sizes = 1 + noise.standard_normal((count, 1, 1)) / 2
    sides = np.array([1.0, -1.0])[None, :, None]
    return ((common + own / 2) @ mixing + 3 + shift * sides * sizes * direction).astype(np.float32)


def streams(activations: np.ndarray, length: int = 3) -> dict[str, np.ndarray]:
    """Prompt name -> a stream [length, width] that ends in the pair's activations."""
    noise = np.random.default_rng(0).standard_normal((length - 1, activations.shape[2]))
    return {
        f"{index}.{side}": np.concatenate([noise.astype(np.float32), row[None]])
        for index, pair in enumerate(activations)
        for side, row in zip(("positive", "negative"), pair, strict=True)
    }
