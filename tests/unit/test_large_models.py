"""Models spread over devices, in 16 and 8 bit, or with code of their own: the same method."""

import ast
import copy
import json
import shutil
import sys

import accelerate
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.data import datasets
from actadd.engine.additions import Addition
from actadd.engine.batching import left_pad
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.hooks import record_activations
from actadd.engine.logprobs import swept_logprobs
from actadd.engine.steering import steer
from actadd.engine.structure import device_of, input_device
from actadd.measure import measurement
from actadd.measure.measures import MEASURES
from actadd.models import batch_rows, loading, preparation
from actadd.pipeline.graph import Graph
from actadd.scorers.models.perplexity import perplexity
from actadd.vectors.activations import cache_activations
from actadd.vectors.logit_lens import readout
from builders import reference, tiny
from builders.families import FAMILIES, block_list
from builders.families import tiny as tiny_of
from builders.vectors import write_layer

CPU = {"device": "cpu", "threads": 1}
ENTRY = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
PROMPTS = [[0, 5, 17, 33, 2, 64], [0, 8, 9, 12], [0, 40, 41, 42, 43, 44, 45, 46, 47]]
STEPS = 5


# --- spread over devices ---


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def whole(family):
    return tiny_of(family)


def on_disk(model, folder):
    """The model with nothing in memory between its passes, not even its embedding."""
    places = dict.fromkeys((name for name, _ in model.named_children()), "disk")
    return accelerate.dispatch_model(copy.deepcopy(model), places, offload_dir=folder)


def partly_on_disk(model, folder):
    """The model with its first block and all around the blocks in memory, the others on disk."""
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    places = accelerate.infer_auto_device_map(
        model,
        max_memory={"cpu": 2 * size // 3, "disk": 10 * size},
        no_split_module_classes=model._no_split_modules,
    )
    assert set(places.values()) == {"cpu", "disk"}
    return accelerate.dispatch_model(copy.deepcopy(model), places, offload_dir=folder)


@pytest.mark.parametrize("spread_by", [on_disk, partly_on_disk])
def test_a_model_on_several_devices_is_the_same_bit_by_bit(whole, spread_by, tmp_path):
    spread = spread_by(whole, tmp_path)
    assert any(parameter.is_meta for parameter in spread.parameters())
    assert input_device(spread) == input_device(whole) == torch.device("cpu")
    assert device_of(spread.get_output_embeddings()) == torch.device("cpu")

    ids, mask = left_pad(PROMPTS)
    streams = [record_activations(model, ids, mask) for model in (whole, spread)]
    assert torch.equal(*streams)

    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(3, 32, dtype=torch.float64, generator=generator)
    additions = [
        [Addition(vector, 1, 3.0)],
        [Addition(vector, 0, 1.0), Addition(vector, 2, 2.0, phase="every_step")],
        [],
    ]
    uniforms = torch.rand(2 * len(PROMPTS), STEPS, dtype=torch.float64, generator=generator)
    for use_cache in (True, False):
        drawn = [
            generate(
                model,
                ids,
                mask,
                additions=additions,
                sampling=Sampling(temperature=1, top_p=0.9, frequency_penalty=1),
                uniforms=uniforms,
                max_new_tokens=STEPS,
                samples=2,
                use_cache=use_cache,
            )
            for model in (whole, spread)
        ]
        assert torch.equal(*drawn)

    conditions = [[[Addition(vector, layer, 2.0)]] * len(PROMPTS) for layer in (0, 2, 1)]
    conditions.append([[]] * len(PROMPTS))
    swept = [
        [
            number
            for rows in swept_logprobs(model, PROMPTS, conditions)
            for row in rows
            for number in row
        ]
        for model in (whole, spread)
    ]
    assert len(swept[0]) == 2 * len(PROMPTS) * len(conditions)
    assert all(torch.equal(*pair) for pair in zip(*swept, strict=True))
    assert torch.equal(readout(whole)(vector), readout(spread)(vector))


SPREAD = {"transformer.wte": "cpu", "transformer.wpe": "disk", "transformer.h.0": "cpu"}
SPREAD |= {"transformer.h.1": "disk", "transformer.h.2": "disk", "transformer.ln_f": "cpu"}
SPREAD |= {"lm_head": "cpu"}


@pytest.fixture(scope="module")
def vector_file(tmp_path_factory):
    rows = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    return write_layer(tmp_path_factory.mktemp("vectors"), "v", 1, rows)


def spec_of(compute: dict, **conditions) -> dict:
    """An experiment's spec: unsteered, and steered at block 1."""
    steered = {"vector": "v", "layer": 1, "coefficient": [1, 20]}
    return {
        "name": "e",
        "model": "tiny",
        "prompts": {"split": "all"},
        "batch_rows": 16,
        "dtype": "float32",
        "compute": compute,
        "seed": 0,
        "samples": 2,
        "max_new_tokens": STEPS,
        "sampling": {"temperature": 1, "top_p": 0.9, "frequency_penalty": 1},
        "conditions": conditions
        or {
            "unsteered": {"method": "unsteered"},
            "actadd": {"method": "actadd", "additions": [steered]},
        },
    }


def measured(spec: dict, prepared, vector_file, folder) -> list[pd.DataFrame]:
    """What the stages write with a model, without the cells' keys."""
    folder.mkdir()
    texts = ["The ship left the port with its cargo", "The bride went home"]
    datasets.prepare({"name": "t", "title": "t", "texts": texts}, None, folder / "t.parquet")
    tables = []
    for kind in MEASURES:
        measurement.measure(
            {**spec, "measure": kind},
            model_dir=prepared,
            texts_file=folder / "t.parquet",
            vector_files={"v": vector_file},
            choice=None,
            store=folder / "store",
            output=folder / "o.parquet",
        )
        tables.append(pd.read_parquet(folder / "o.parquet").drop(columns="cell"))
    tables.append(perplexity.score(tables[0], spec, prepared))
    return tables


@pytest.mark.parametrize(
    "device_map",
    [{"": "disk"}, SPREAD, "auto"],
)
def test_every_stage_is_the_same_on_any_devices(prepared, vector_file, tmp_path, device_map):
    compute = {**CPU, "device_map": device_map}
    loaded = loading.load(prepared, dtype="float32", **compute)
    assert any(p.is_meta for p in loaded.parameters()) == (device_map != "auto")
    mapped = measured(spec_of(compute), prepared, vector_file, tmp_path / "there")
    plain = measured(spec_of(CPU), prepared, vector_file, tmp_path / "here")
    assert all(one.equals(other) for one, other in zip(mapped, plain, strict=True))
    contrast = {"name": "x", "kind": "pair", "positive": "Love", "negative": "Hate"}
    files = {}
    for name, where in (("a", compute), ("b", CPU)):
        files[name] = [tmp_path / f"{name}{layer}" for layer in range(tiny.LAYERS)]
        spec = {"dtype": "float32", "compute": where, "contrast": contrast}
        cache_activations(spec, prepared, files[name])
    assert [f.read_bytes() for f in files["a"]] == [f.read_bytes() for f in files["b"]]


def test_a_missing_module_is_an_error_of_the_config(prepared):
    with pytest.raises(UserError, match=r"models\.tiny: device_map: .*transformer.*does not work"):
        loading.load(prepared, dtype="float32", **CPU, device_map={"transformer.h": "disk"})


# --- 16 bit ---


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family_16", ["gpt2", "llama", "opt", "gemma2", "bloom"])
def test_in_16_bit_a_steered_run_is_that_of_the_reference_hooks(family_16, dtype):
    model = tiny_of(family_16).to(dtype)
    pair = record_activations(model, torch.tensor([PROMPTS[0][:3], PROMPTS[2][:3]]))
    vectors = (pair[:, 0] - pair[:, 1]).float()
    prompt, places, additions = PROMPTS[2], [], []
    for layer, coefficient in ((0, 2.3), (2, -1.7)):
        additions.append(Addition(vectors[layer], layer, coefficient))
        # The reference adds in the model's own dtype, too: the vector is rounded, then added.
        places.append((layer, 0, (coefficient * vectors[layer]).to(dtype)))
    ids = torch.tensor([prompt])
    with torch.inference_mode(), steer(model, [additions], torch.ones_like(ids)):
        logits = model(ids, use_cache=False).logits[0, -1]
    blocks = block_list(model, family_16)
    by_hand = reference.steered_logits(model, blocks, prompt, places)
    assert logits.dtype == dtype and torch.equal(logits, by_hand)
    assert not torch.equal(logits, reference.steered_logits(model, blocks, prompt, []))


# --- 8 bit ---


@pytest.fixture(scope="module")
def quantized(prepared):
    return loading.load(prepared, dtype="float32", **CPU, quantization="8bit")


def test_in_8_bit_the_blocks_hold_bytes_and_the_logits_stay_close(prepared, quantized):
    kinds = {name: parameter.dtype for name, parameter in quantized.named_parameters()}
    assert kinds["transformer.h.1.mlp.c_fc.weight"] == torch.int8
    assert kinds["transformer.wte.weight"] == torch.float32
    full = AutoModelForCausalLM.from_pretrained(prepared).eval()
    ids = torch.tensor([[0, 5, 17, 33, 2, 64]])
    with torch.inference_mode():
        rough, exact = quantized(ids).logits, full(ids).logits
    assert 0 < (rough - exact).norm() < 0.05 * exact.norm()


def test_in_8_bit_a_steered_run_is_that_of_the_reference_hooks(quantized):
    vector = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([PROMPTS[0]])
    with (
        torch.inference_mode(),
        steer(quantized, [[Addition(vector, 1, 3.0)]], torch.ones_like(ids)),
    ):
        logits = quantized(ids, use_cache=False).logits[0, -1]
    places = [(1, 0, 3.0 * vector)]
    by_hand = reference.steered_logits(quantized, quantized.transformer.h, PROMPTS[0], places)
    assert torch.equal(logits, by_hand)


def test_in_8_bit_a_cell_does_not_depend_on_its_neighbours(prepared, vector_file, tmp_path):
    """Rows are rounded with those of their batch, so batches hold one cell's rows only."""
    compute = {**CPU, "quantization": "8bit"}
    together = spec_of(compute)
    tables = measured(together, prepared, vector_file, tmp_path / "together")
    for name, condition in together["conditions"].items():
        alone = spec_of(compute, **{name: condition})
        folder = tmp_path / name
        for whole, single in zip(
            tables, measured(alone, prepared, vector_file, folder), strict=True
        ):
            if "condition" in whole:
                part = whole[whole["condition"].isin(single["condition"])].reset_index(drop=True)
                pd.testing.assert_frame_equal(part, single, check_exact=True)


def test_in_8_bit_cells_with_one_label_share_no_batches(prepared, vector_file, tmp_path):
    """As those of a sweep of positions or seeds do."""
    addition = {"vector": "v", "layer": 1, "coefficient": 20, "position": ["front", "back"]}
    seeds = list(range(4))
    swept = {"method": "actadd", "additions": [addition], "seed": seeds}
    compute = {**CPU, "quantization": "8bit"}
    whole, *_ = measured(spec_of(compute, a=swept), prepared, vector_file, tmp_path / "together")
    for seed in seeds:
        alone = spec_of(compute, a={**swept, "seed": seed})
        single, *_ = measured(alone, prepared, vector_file, tmp_path / str(seed))
        part = whole[whole["seed"] == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, single, check_exact=True)


# --- numbers that float16 does not hold ---


@pytest.fixture
def loud(prepared, tmp_path):
    """The tiny model with a second block whose output float16 cannot hold."""
    folder = shutil.copytree(prepared, tmp_path / "loud", symlinks=False)
    weights = load_file(folder / "model.safetensors")
    weights["transformer.h.1.mlp.c_proj.weight"] *= 1e5
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def cached(folder, dtype, target):
    files = [target / f"layer_{layer:02d}.safetensors" for layer in range(tiny.LAYERS)]
    contrast = {"name": "love-hate", "kind": "pair", "positive": "Love", "negative": "Hate"}
    cache_activations({"dtype": dtype, "compute": CPU, "contrast": contrast}, folder, files)


def test_a_stream_that_leaves_float16_is_refused_and_not_written(loud, tmp_path):
    with pytest.raises(UserError) as caught:
        cached(loud, "float16", tmp_path)
    message = str(caught.value)
    for part in (
        *("vectors.love-hate", "on tiny in float16", "'Love'", "from layer 2 on"),
        "models.tiny.dtype: bfloat16 or float32",
    ):
        assert part in message
    assert not list(tmp_path.glob("layer_*"))
    cached(loud, "bfloat16", tmp_path)
    assert len(list(tmp_path.glob("layer_*"))) == tiny.LAYERS


def test_nonfinite_weights_are_refused_in_any_dtype(loud, tmp_path):
    weights = load_file(loud / "model.safetensors")
    weights["transformer.h.0.mlp.c_proj.bias"][3] = float("nan")
    save_file(weights, loud / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"from layer 1 on; check the weights of models\.tiny"):
        cached(loud, "float32", tmp_path)


# --- code that a checkpoint brings along ---

CONFIG_CODE = """
from transformers import GPT2Config

class OwnConfig(GPT2Config):
    model_type = "own"
"""
MODEL_CODE = """
from transformers import GPT2LMHeadModel
from .own_config import OwnConfig

class OwnModel(GPT2LMHeadModel):
    config_class = OwnConfig
"""


@pytest.fixture
def own_code(tiny_model, tmp_path, monkeypatch):
    """The tiny model as an architecture that only its own code knows."""
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "cache")
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = shutil.copytree(tiny_model, tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "own_config.OwnConfig", "AutoModelForCausalLM": "own_model.OwnModel"}
    config |= {"model_type": "own", "architectures": ["OwnModel"], "auto_map": auto_map}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own_config.py").write_text(CONFIG_CODE)
    (folder / "own_model.py").write_text(MODEL_CODE)
    return folder


def test_a_checkpoints_own_code_does_not_run_unless_it_is_trusted(own_code, tmp_path):
    (own_code / "own_config.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(UserError, match=r"models\.tiny\.trust_remote_code: true"):
        preparation.prepare(ENTRY, own_code, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trusted_checkpoint_runs_and_its_code_is_part_of_its_identity(
    own_code, tiny_model, tmp_path
):
    trusted = {**ENTRY, "trust_remote_code": True}
    facts = preparation.prepare(trusted, own_code, tmp_path / "out")
    loaded = loading.load(tmp_path / "out", dtype="float32", **CPU, trust_remote_code=True)
    assert type(loaded).__name__ == "OwnModel"
    plain = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    ids = torch.tensor([PROMPTS[0]])
    assert torch.equal(record_activations(loaded, ids), record_activations(plain, ids))
    (own_code / "own_model.py").write_text(MODEL_CODE + "\n# another version\n")
    changed = preparation.prepare(trusted, own_code, tmp_path / "changed")
    assert changed["weights"] == facts["weights"] and changed["identity"] != facts["identity"]


def test_a_model_folder_has_code_only_if_it_is_trusted(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "source")
    (folder / "own.py").write_text("")
    preparation.prepare(ENTRY, folder, tmp_path / "plain")
    preparation.prepare({**ENTRY, "trust_remote_code": True}, folder, tmp_path / "trusted")
    assert not (tmp_path / "plain/own.py").exists()
    assert (tmp_path / "trusted/own.py").is_symlink()


def test_no_checkpoint_is_read_without_saying_whether_its_code_may_run():
    result = 0
    for path in (tiny.ROOT / "workflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and getattr(node.func, "attr", None)
            if called == "from_pretrained":
                result += 1
                keywords = {keyword.arg for keyword in node.keywords}
                # None stands for **settings, which hold it.
                assert keywords & {"trust_remote_code", None}, f"{path}:{node.lineno}"
    assert result >= 6


# --- the config's keys ---


@pytest.fixture
def settings(tmp_path, monkeypatch):
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tiny.config()


LARGE = {
    "device_map": "balanced",
    "quantization": "8bit",
    "trust_remote_code": True,
}


def computes(settings: dict) -> list[dict]:
    """`compute` of every kind of job that loads the model."""
    settings = copy.deepcopy(settings)
    settings["lenses"] = {"reading": {"vectors": ["calm"], "models": ["tiny"]}}
    settings["overheads"] = {"time": {"positive": "a", "negative": "b", "models": ["tiny"]}}
    plan = Graph(checked(settings))
    plan.config["compute"]["batch_rows"] = "auto"
    jobs = [
        plan.activations("tiny", "calm"),
        plan.cells("tiny", "sweep"),
        plan.cells("tiny", "ratio"),
        plan.lens("tiny", "reading"),
        plan.overhead("time", "tiny"),
        plan.batch_rows("tiny"),
    ]
    slices = [*(job.slice for job in jobs), plan.scores("tiny", "sweep", "fluency").slice["scorer"]]
    return [entry["compute"] for entry in slices]


def test_a_models_keys_are_part_of_what_its_jobs_depend_on(settings):
    assert computes(settings) == [CPU] * 7
    settings["models"]["tiny"]["gpus"] = 2
    assert computes(settings) == [CPU] * 7, "on the CPU nobody counts GPUs"
    settings["models"]["tiny"] |= LARGE
    assert computes(settings) == [{**CPU, **LARGE}] * 7
    settings["compute"]["device"] = "cuda"
    assert computes(settings) == [{**CPU, **LARGE, "device": "cuda", "gpus": 2}] * 7


@pytest.mark.parametrize(
    ("device", "change", "text"),
    [
        (
            "cpu",
            {"device_map": "even"},
            "models.tiny.device_map: 'even' is not known; write auto",
        ),
        ("cpu", {"device_map": {"lm_head": "gpu"}}, "models.tiny.device_map"),
        ("cpu", {"device_map": {"lm_head": 0}}, "device_map.lm_head: 0 is the number of a GPU"),
        ("cuda", {"device_map": {"lm_head": 1}}, "write models.tiny.gpus: 2"),
        ("cpu", {"quantization": "4bit"}, "models.tiny.quantization: '4bit'"),
        ("cpu", {"quantization": "8bit", "dtype": "float64"}, "models.tiny.dtype: float64"),
        (
            "cuda",
            {"quantization": "8bit", "device_map": {"lm_head": "disk"}},
            "models.tiny.device_map.lm_head: disk does not go with quantization",
        ),
        ("cpu", {"gpus": 0}, "models.tiny.gpus: 0"),
        ("cpu", {"trust_remote_code": "yes"}, "models.tiny.trust_remote_code"),
    ],
)
def test_mistakes_are_named_before_anything_runs(settings, device, change, text):
    settings["compute"]["device"] = device
    settings["models"]["tiny"] |= change
    with pytest.raises(UserError) as caught:
        checked(settings)
    assert text in str(caught.value)


def test_a_device_map_may_name_what_the_job_has(settings):
    settings["compute"]["device"] = "cuda"
    settings["models"]["tiny"] |= {"gpus": 2, "device_map": {"lm_head": 1, "transformer": "disk"}}
    checked(settings)


# --- the rows of a batch ---


def test_weights_in_8_bit_take_a_byte_each(prepared):
    full, half = (batch_rows.size_of(prepared, dtype) for dtype in ("float32", "float16"))
    bytes_each = batch_rows.size_of(prepared, "float16", "8bit")
    assert full.weights == 2 * half.weights == 4 * bytes_each.weights
    assert bytes_each.token == half.token
