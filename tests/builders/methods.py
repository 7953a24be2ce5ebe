"""A comparison of methods on the tiny model."""

import copy

from builders import tiny

COMPARISON = {
    "title": "methods",
    "models": ["tiny"],
    "prompts": {"dataset": "prompts"},
    "samples": 2,
    "max_new_tokens": 4,
    "methods": {
        "add": {
            "method": "actadd",
            "additions": [{"vector": "love-hate", "layer": [1, 2], "coefficient": [2, 4, 8]}],
        },
        "dosed": {
            "method": "actadd",
            "additions": [{"vector": "calm", "depth": 0.5, "dose": [0.5, 1]}],
        },
        "turned": {
            "method": "actadd",
            "additions": [
                {"vector": "calm", "operation": "rotate", "layer": 1, "degrees": [20, 60]}
            ],
        },
        "prompting": {"method": "prompting", "prefix": "The wedding"},
    },
    "effect": {"metric": "mood.probability", "direction": "min"},
    "damage": {
        "disfluency": {"metric": "fluency.perplexity", "at": [1.01, 1.2]},
        "divergence": {"at": [0.01, 1000]},
        "knowledge": {"dataset": "questions", "at": [0.1]},
    },
    "draws": 2,
}
QUESTIONS = "text,target\nThe ship left the, port\nThey danced until the, morning\n"


def config(**changes) -> dict:
    """The tiny config with the comparison `c`, of which some keys are others."""
    result = copy.deepcopy(tiny.CONFIG)
    result["datasets"]["questions"] = {"title": "questions", "file": "questions.csv"}
    result["dose"] = {"dataset": "texts"}
    result["method_comparisons"] = {"c": {**copy.deepcopy(COMPARISON), **changes}}
    result["figures"]["c"] = {"kind": "equal_damage", "title": "C", "method_comparison": "c"}
    result["tables"] = {"c": {"kind": "equal_damage", "title": "C", "method_comparison": "c"}}
    return result
