"""The authors' own code on a small GPT-2: their stored log-probabilities and greedy tokens."""

import json
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from actadd.engine.additions import Addition
from actadd.engine.batching import left_pad
from actadd.engine.hooks import record_activations
from actadd.engine.steering import steer

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())
CASES = GOLDEN["cases"]
POSITION = {"front": "front", "mid": "middle", "back": "back"}


@pytest.fixture(scope="module")
def model():
    return GPT2LMHeadModel.from_pretrained(FOLDER / "tiny-gpt2").eval()


@pytest.fixture(scope="module")
def additions(model):
    """Each case's addition."""
    streams = {}

    def stream(ids):
        key = tuple(ids)
        if key not in streams:
            streams[key] = record_activations(model, torch.tensor([ids]))[:, 0]
        return streams[key]

    return [
        Addition(
            stream(case["positive_ids"])[case["layer"]]
            - stream(case["negative_ids"])[case["layer"]],
            case["layer"],
            case["coefficient"],
            POSITION[case["position"]],
            case["first_dims"],
        )
        for case in CASES
    ]


def check(model, cases, rows):
    ids, mask = left_pad([case["prompt_ids"] for case in cases])
    with torch.no_grad(), steer(model, rows, mask):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = model(ids, attention_mask=mask, position_ids=positions).logits[:, -1]
    expected = torch.tensor([case["last_logprobs"] for case in cases])
    assert (logits.log_softmax(-1) - expected).abs().max() < 1e-4
    assert greedy_as_stored(model, cases, rows) == [case["greedy_ids"] for case in cases]


def greedy_as_stored(model, cases, rows):
    """Greedy tokens with a KV cache, at the positions that the stored outputs were made with.

    transformer-lens 3.9.0, given token ids and no tokenizer, offsets its position table by the
    cache's length *and* slices it for the whole text, so the token at index t > T - 1 of a T-token
    prompt is read at position 2t. (Its prefill, and so every stored log-probability, is right; the
    true greedy tokens are checked against tests/builders/reference.py.)
    """
    ids, mask = left_pad([case["prompt_ids"] for case in cases])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, written = None, []
    with torch.no_grad(), steer(model, rows, mask):
        for _ in range(len(cases[0]["greedy_ids"])):
            output = model(ids, attention_mask=mask, position_ids=positions, past_key_values=cache)
            cache = output.past_key_values
            ids = output.logits[:, -1:].argmax(-1)
            written.append(ids)
            positions = 2 * mask.sum(-1, keepdim=True)
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
    return torch.cat(written, dim=1).tolist()


def test_every_case_alone(model, additions):
    for case, addition in zip(CASES, additions, strict=True):
        check(model, [case], [[addition]])


def test_all_cases_in_one_mixed_batch(model, additions):
    assert len({len(case["prompt_ids"]) for case in CASES}) > 3
    check(model, CASES, [[addition] for addition in additions])


def test_norms_of_the_residual_stream(model):
    for entry in GOLDEN["norms"]:
        stream = record_activations(model, torch.tensor([entry["ids"]]))[entry["layer"], 0]
        assert stream.norm(dim=-1).tolist() == pytest.approx(entry["resid_pre_norms"], abs=1e-3)
