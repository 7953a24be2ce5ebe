"""Made-up divergences by dose: what the figure and the table of doses are made from."""

from itertools import product

from builders.rows import row, unsteered

LAYERS, DOSES, TEXTS = (0, 1), (0.5, 1.0, 2.0), range(4)
OPTIONS = {
    "condition": "actadd",
    "effect": "probability happy",
    "damage": "kl_over_entropy",
    "limit": 1,
    "marks": {"claimed to work": 0.7, "claimed to collapse": 1.9},
}


def sources(failing: bool = False) -> dict[str, list[dict]]:
    """The effect is largest at a dose of 1; half a dose further a quarter more damage is done."""
    rows = []
    for text in TEXTS:
        rows += _text(unsteered(failed=None), text, 0.0, 0.2)
        for layer, dose in product(LAYERS, DOSES):
            place = {"layer": float(layer), "source_layer": float(layer), "coefficient": dose}
            lost = {"failed": "non-finite numbers"} if failing and (layer, dose) == (1, 2) else {}
            happy = 0.2 + 0.1 * (layer + 1) * min(dose, 2 - dose) * (1 + text / 10)
            steered = row(**place, **{"failed": None, **lost})
            rows += _text(steered, text, dose * (1 + layer / 2), happy)
            control = row(**place, condition="random", vector="random", failed=None)
            rows += _text(control, text, dose / 2, 0.2)
    norms = [
        {"layer": layer, "position": 0, "token": "last tokens", "vector_norm": 2.0, "ratio": 1.0}
        for layer in LAYERS
    ]
    streams = [{"model": "one", "layer": layer, "residual_norm": 8.0} for layer in LAYERS]
    return {
        "tables/one/e.parquet": rows,
        "norms/one/v.csv": norms,
        "norms/one/random.csv": norms,
        "stream_norms/one.csv": streams,
    }


def _text(shared: dict, text: int, damage: float, happy: float) -> list[dict]:
    """One text of a cell: a position before the last, and the last with the watched token."""
    shared = {
        **shared,
        **{"text_id": text, "entropy": 4.0, "modified": False, "kl": 4 * damage},
        "cell": f"{shared['condition']}{shared.get('layer')}{shared.get('coefficient')}",
    }
    last = {"token_ids": [5], "tokens": [" happy"], "watched": [True]}
    before = {"token_ids": None, "tokens": None, "watched": None, "before": None, "after": None}
    return [{**shared, **before}, {**shared, **last, "before": [0.2], "after": [happy]}]
