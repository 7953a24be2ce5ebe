"""What `dtype: auto` takes, and products in bfloat16."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from actadd.base.errors import UserError
from actadd.cli.try_out import compare
from actadd.config.checks import checked
from actadd.engine.packed_products import MixedLinear, packed, precision
from actadd.engine.token_trees import takes_trees
from actadd.engine.tokens import Tokens
from actadd.models import dtypes, loading
from actadd.models.batch_rows import size_of
from actadd.models.loading import MIXED, load
from actadd.models.verification.verify import verified
from actadd.pipeline.decisions import decided, resolved
from actadd.pipeline.resources import assumed_size
from builders import tiny

CPU = {"device": "cpu", "threads": 1}
AUTO = {"dtype": "auto", "compute": CPU}

needs_instructions = pytest.mark.skipif(
    dtypes.instructions("cpu") is None, reason="this processor has no instructions for bfloat16"
)


@pytest.fixture
def model(prepared, tmp_path):
    """A prepared model to change."""
    return shutil.copytree(prepared, tmp_path / "tiny", symlinks=False)


def scaled(folder, name: str, factor: float) -> None:
    """Multiply a tensor of a prepared model's weights, without the link to its source."""
    path = folder / "model.safetensors"
    tensors = load_file(path.resolve())
    tensors[name] = tensors[name] * factor
    path.unlink()
    save_file(tensors, path, metadata={"format": "pt"})


# --- the decision ---------------------------------------------------------------------------------


@needs_instructions
def test_what_is_near_float32_is_taken_where_there_are_instructions(model):
    decision = dtypes.decide(model, CPU)
    assert decision["dtype"] == MIXED and decision["instructions"] in decision["because"]
    assert 0 < decision["difference"] <= decision["bound"] == dtypes.BOUND


@needs_instructions
def test_what_is_far_from_float32_is_not_taken(model):
    # Logits a hundred times as large differ by a hundred times as much.
    scaled(model, "transformer.ln_f.weight", 100.0)
    decision = dtypes.decide(model, CPU)
    assert decision["dtype"] == "float32" and decision["difference"] > dtypes.BOUND
    assert str(dtypes.BOUND) in decision["because"]


def test_without_instructions_nothing_is_compared(model, monkeypatch):
    monkeypatch.setattr(dtypes, "instructions", lambda _device: None)
    decision = dtypes.decide(model, CPU)
    assert decision["dtype"] == "float32" and decision["difference"] is None
    assert "no instructions" in decision["because"]


def test_the_record_says_what_was_taken_and_is_reproducible(model):
    records = []
    for name in ("one.json", "two.json"):
        verified(AUTO, model, model / name)
        records.append((model / name).read_text())
    assert records[0] == records[1]
    record = json.loads(records[0])
    assert record["dtype"] == record["auto"]["dtype"] == dtypes.decide(model, CPU)["dtype"]
    assert all(check["passed"] for check in record["properties"].values())
    verified({**AUTO, "dtype": "float32"}, model, model / "three.json")
    assert "auto" not in json.loads((model / "three.json").read_text())


def test_a_property_that_fails_in_what_was_decided_for_leaves_float32():
    decision = {"dtype": MIXED, "instructions": "avx512_bf16", "because": "near", "bound": 0.05}
    refused = dtypes.refused(decision, "padding")
    assert refused["dtype"] == "float32" and refused["instructions"] == "avx512_bf16"
    assert MIXED in refused["because"] and "'padding'" in refused["because"]


# --- the jobs -------------------------------------------------------------------------------------


def test_a_job_computes_with_what_was_decided(model):
    (model / "verification.json").write_text(json.dumps({"dtype": MIXED}))
    whole = resolved({"dtype": "auto", "name": "e"}, None, model)
    assert whole == {"dtype": MIXED, "name": "e"}
    assert decided({"dtype": "auto"}, whole) == {"dtype": MIXED}
    # A GPU's record is a file of its own; a scorer's model has its dtype in the scorer's entry.
    record = shutil.copy(model / "verification.json", model.with_name("tiny.verification.json"))
    spec = {"scorer": {"dtype": "auto", "kind": "perplexity"}}
    whole = resolved(spec, None, record)
    assert whole["scorer"] == {"dtype": MIXED, "kind": "perplexity"}
    assert decided(spec, whole) == {"dtype": MIXED}
    stated = {"dtype": "float32"}
    assert resolved(stated, None, model) == stated and not decided(stated, stated)


def test_without_a_record_the_remedy_is_a_dtype(model):
    with pytest.raises(UserError, match=r"dtype: auto.*verification\.json.*write a dtype"):
        resolved({"dtype": "auto"}, None, model)


def test_memory_is_asked_for_what_may_be_taken(model):
    known = (134_515_008, 30)
    exact, mixed, auto = (assumed_size(*known, dtype) for dtype in ("float32", MIXED, "auto"))
    assert auto == mixed and mixed.token == exact.token
    assert mixed.weights == 1.5 * exact.weights
    assert size_of(model, MIXED).weights == 1.5 * size_of(model, "float32").weights


@pytest.mark.parametrize(
    ("device", "changes", "words"),
    [
        ("cpu", {"dtype": "float8"}, ["'float8'", "auto"]),
        ("cuda", {"dtype": MIXED}, ["mixed", "write bfloat16"]),
        ("cpu", {"dtype": "auto", "quantization": "8bit"}, ["auto", "write float16"]),
        ("cpu", {"dtype": MIXED, "quantization": "8bit"}, ["mixed", "write float16"]),
        ("cpu", {"dtype": "auto", "device_map": {"": "cpu"}}, ["device_map", "write float32"]),
    ],
)
def test_a_wrong_dtype_is_refused_with_its_key_and_a_remedy(
    device, changes, words, tmp_path, monkeypatch
):
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = tiny.config()
    settings["compute"]["device"] = device
    settings["models"]["tiny"] |= changes
    with pytest.raises(UserError) as error:
        checked(settings)
    for word in ("models.tiny.dtype", *words):
        assert word in str(error.value)


def test_a_trial_takes_what_the_model_was_made_ready_in(model, capsys):
    pair = {"name": "pair", "kind": "pair", "positive": "Love", "negative": "Hate"}
    verified(AUTO, model, model / "verification.json")
    recorded = json.loads((model / "verification.json").read_text())
    sizes = {"layer": 1, "coefficient": 1.0, "samples": 1, "tokens": 3}
    loading._load.cache_clear()
    trial = compare(model, pair, "The ship left", dtype="auto", **sizes)
    assert f"in {recorded['dtype']} on cpu" in capsys.readouterr().err
    assert trial == compare(model, pair, "The ship left", dtype=recorded["dtype"], **sizes)


# --- products in bfloat16 -------------------------------------------------------------------------


@needs_instructions
def test_products_alone_are_in_bfloat16(prepared):
    ids = torch.tensor([Tokens(prepared).encode("The ship left the port with its cargo")])
    models = {name: load(prepared, dtype=name, **CPU) for name in ("float32", MIXED, "bfloat16")}
    mixed = models[MIXED]
    # GPT-2: four products a block, and the unembedding.
    assert sum(isinstance(module, MixedLinear) for module in mixed.modules()) == 4 * tiny.LAYERS + 1
    assert {each.dtype for each in mixed.parameters()} == {torch.float32}
    assert packed(mixed) is mixed
    # The judge reads trees of tokens, whose numbers differ from plain rows by this rounding.
    assert precision(mixed) > precision(models["float32"]) and takes_trees(mixed, 96)
    with torch.inference_mode():
        logits = {name: each(ids).logits for name, each in models.items()}
        stream = mixed.transformer.h[1](mixed.transformer.wte(ids))
    stream = stream[0] if isinstance(stream, tuple) else stream
    assert stream.dtype == logits[MIXED].dtype == torch.float32
    off = {
        name: float((logits[name].float() - logits["float32"]).norm() / logits["float32"].norm())
        for name in (MIXED, "bfloat16")
    }
    assert 1e-5 < off[MIXED] < off["bfloat16"] < 0.1


def test_a_trial_that_names_no_dtype_takes_that_of_the_record(model):
    record = model / "verification.json"
    record.unlink(missing_ok=True)
    assert dtypes.for_trial(model, None, CPU) == "float32"
    record.write_text(json.dumps({"dtype": MIXED, "device": "cpu"}))
    assert dtypes.for_trial(model, None, CPU) == MIXED
    assert dtypes.for_trial(model, None, {**CPU, "device": "cuda"}) == "float32"
    assert dtypes.for_trial(model, "bfloat16", CPU) == "bfloat16"
