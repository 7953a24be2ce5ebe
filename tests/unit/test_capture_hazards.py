"""What is captured on a GPU asks the device for nothing and copies nothing from the host."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from actadd.engine.additions import Addition
from actadd.engine.batching import left_pad
from actadd.engine.decoding import static
from actadd.engine.decoding.decoder import Decoder
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.decoding.start import Start
from builders.families import FAMILIES, tiny

# Operations of which a graph would keep what the host saw at capture, or that capture refuses.
WAITING = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "lift_fresh",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "_unique2",
}
# Falcon makes a number of its mask on the host, so it takes ordinary steps on a GPU.
NOT_CAPTURED = {"falcon"}
PROMPTS = [[0, 5, 17, 33, 2, 64], [0, 8, 9], [0, 40, 41]]


class Watch(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.met = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.__name__.split(".")[0]
        picked = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(each is not None and each.dtype == torch.bool for each in picked)
        if name in WAITING or by_mask:
            self.met.add(name)
        return function(*args, **(kwargs or {}))


def test_the_watch_sees_what_waits():
    numbers = torch.arange(3)
    with Watch() as watch:
        numbers[numbers > 1]
        int(numbers[0])
        torch.tensor(1.0)
    assert {"index", "_local_scalar_dense", "lift_fresh"} <= watch.met


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_in_a_step_waits_for_the_device(family, monkeypatch):
    monkeypatch.setattr(static, "KEPT_ON", {"cpu"})
    watch, ran = Watch(), set()

    def watched(owner, name):
        work = getattr(owner, name)

        def run(*arguments):
            ran.add(name)
            with watch:
                return work(*arguments)

        monkeypatch.setattr(owner, name, run)

    watched(Decoder, "forward")
    watched(Decoder, "choose")
    watched(Start, "read")
    model = tiny(family)
    vector = torch.randn(2, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    additions = [
        Addition(vector, 1, 3.0, phase="every_step"),
        Addition(vector[:1], 1, phase="decode", operation="ablate"),
    ]
    ids, mask = left_pad(PROMPTS, pad_id=1)
    for _ in range(2):
        generate(
            model,
            ids,
            mask,
            additions=additions,
            sampling=Sampling(0.8, 0.6, 1.0),
            max_new_tokens=6,
            stop_ids=[3, 4],
            samples=2,
            static=True,
        )
    static.forget(model)
    assert ran == {"forward", "choose", "read"}
    assert bool(watch.met) == (family in NOT_CAPTURED), watch.met
