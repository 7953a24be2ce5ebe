"""What makes it fast changes no number: shared prefill, shared batches, shared lower layers."""

import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.cache_utils import DynamicSlidingWindowLayer

from actadd.base.errors import UserError
from actadd.data import datasets
from actadd.engine import batching
from actadd.engine.additions import Addition
from actadd.engine.batching import halving, left_pad, padded_width
from actadd.engine.decoding import generation
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.kv_cache import RoomyLayer, roomy_cache
from actadd.engine.decoding.sampling import BROKEN, Sampling
from actadd.engine.hooks import record_activations
from actadd.engine.logprobs import swept_logprobs, token_logprobs
from actadd.engine.shared_layers import outputs_below, resumed_at
from actadd.engine.structure import blocks, model_inputs
from actadd.engine.tokens import Tokens
from actadd.measure.measurement import measure
from actadd.models.dtypes import instructions
from actadd.models.loading import load
from actadd.models.preparation import prepare
from actadd.vectors.vector_files import write_vector
from builders import tiny
from builders.families import FAMILIES, LAYERS
from builders.families import tiny as tiny_family

PROMPTS = [[0, 5, 17, 33, 2, 64], [0, 8, 9], [0, 40, 41, 42, 43, 44, 45, 46, 47], [0, 71, 3, 90]]
STEPS = 6
SAMPLING = Sampling(1.0, 0.9, 0.5)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return tiny_family(request.param)


@pytest.fixture(scope="module")
def additions(model):
    ids = torch.tensor([[0, 11, 12], [0, 60, 13]])
    stream = record_activations(model, ids)
    vectors = stream[:, 0] - stream[:, 1]
    return [
        [],
        [Addition(vectors[1], 1, 4.0)],
        [Addition(vectors[2], 2, -3.0, "back"), Addition(vectors[1], 1, 2.0, phase="every_step")],
        [Addition(vectors[0], 0, 2.0)],
    ]


def run(model, prompts, additions, **options):
    ids, mask = left_pad(prompts, pad_id=1)
    return generate(
        model,
        ids,
        mask,
        additions=additions,
        sampling=SAMPLING,
        max_new_tokens=STEPS,
        **options,
    ).tolist()


# --- one prefill for all samples ---


@pytest.mark.parametrize("use_cache", [True, False])
def test_samples_of_one_prefill_are_those_of_prefills_of_their_own(model, additions, use_cache):
    torch.manual_seed(4)
    uniforms = torch.rand(3 * len(PROMPTS), STEPS, dtype=torch.float64)
    shared = run(model, PROMPTS, additions, uniforms=uniforms, samples=3, use_cache=use_cache)
    repeated = [prompt for prompt in PROMPTS for _ in range(3)]
    separate = run(model, repeated, [a for a in additions for _ in range(3)], uniforms=uniforms)
    assert shared == separate
    assert len({tuple(row) for row in shared}) > len(PROMPTS), "samples should differ"


def test_samples_of_a_contrasted_context_share_its_prefill_too(model, additions):
    torch.manual_seed(5)
    uniforms = torch.rand(4, STEPS, dtype=torch.float64)
    shared = run(model, PROMPTS, additions, uniforms=uniforms, samples=2, contrast=-0.7)
    twice = [prompt for prompt in PROMPTS for _ in range(2)]
    added = [a for a in additions for _ in range(2)]
    assert shared == run(model, twice, added, uniforms=uniforms, contrast=-0.7)


def test_a_prompt_is_read_once_whatever_its_samples(model, additions):
    read = []
    handle = blocks(model)[0].register_forward_pre_hook(
        lambda _m, args, kwargs: read.append((args[0] if args else kwargs["hidden_states"]).shape),
        with_kwargs=True,
    )
    uniforms = torch.rand(12, STEPS, dtype=torch.float64)
    run(model, PROMPTS, additions, uniforms=uniforms, samples=3)
    handle.remove()
    assert [tuple(shape[:2]) for shape in read] == [(4, 9)] + [(12, 1)] * (STEPS - 1)


def test_the_trace_names_every_sample(model, additions):
    trace = []
    uniforms = torch.rand(8, STEPS, dtype=torch.float64)
    run(model, PROMPTS, additions, uniforms=uniforms, samples=2, trace=trace)
    # The prefill is shared, so a prompt's own additions are made once, to its one row of that pass.
    assert {touch.row for touch in trace if touch.step == 0} == {1, 2, 3}
    # Row 2's samples are rows 4 and 5 of the decode steps, where its last row is added again.
    assert {touch.row for touch in trace if touch.step > 0} == {4, 5}


def test_the_models_own_generate_with_several_sequences_of_a_prompt_is_steered_alike(
    model, additions
):
    from actadd.engine.steering import steer

    ids, mask = left_pad(PROMPTS, pad_id=1)
    with steer(model, additions, mask):
        theirs = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            top_k=1,
            num_return_sequences=2,
            max_new_tokens=STEPS,
            eos_token_id=10_000,
        )
    greedy = generate(
        model,
        ids,
        mask,
        additions=additions,
        sampling=Sampling(temperature=0),
        uniforms=torch.zeros(4, STEPS, dtype=torch.float64),
        max_new_tokens=STEPS,
    )
    assert theirs[:, ids.shape[1] :].tolist() == [row for row in greedy.tolist() for _ in range(2)]


# --- a cache with room ---


def test_the_cache_holds_what_transformers_own_holds(model):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    caches = [roomy_cache(model, 12), None]
    for start, end in ((0, 5), (5, 6), (6, 9)):
        for number, cache in enumerate(caches):
            inputs = model_inputs(model, ids[:, :end], mask[:, :end])
            inputs = {
                name: part if name == "attention_mask" else part[:, start:]
                for name, part in inputs.items()
            }
            with torch.inference_mode():
                caches[number] = model(**inputs, past_key_values=cache).past_key_values
    ours, theirs = caches
    assert {type(layer) for layer in ours.layers} <= {RoomyLayer, DynamicSlidingWindowLayer}
    for layer, reference in zip(ours.layers, theirs.layers, strict=True):
        assert torch.equal(layer.keys, reference.keys)
        assert torch.equal(layer.values, reference.values)


def test_a_layer_with_too_little_room_makes_more():
    layer = RoomyLayer(2)
    parts = [torch.randn(2, 1, 1, 3) for _ in range(5)]
    for part in parts:
        keys, values = layer.update(part, -part)
    assert torch.equal(keys, torch.cat(parts, 2)) and torch.equal(values, -keys)
    layer.reorder_cache(torch.tensor([0, 0, 1, 1]))
    keys, _ = layer.update(torch.ones(4, 1, 1, 3), torch.ones(4, 1, 1, 3))
    assert torch.equal(keys[:, :, :5], torch.cat(parts, 2).repeat_interleave(2, 0))
    assert torch.equal(keys[:, :, 5], torch.ones(4, 1, 3))


# --- one pass below the lowest layer ---


def test_conditions_share_what_lies_below_them_bit_by_bit(model, additions):
    conditions = [[[] for _ in PROMPTS], [additions[1]] * 4, [additions[3]] * 4, [additions[2]] * 4]
    swept = list(swept_logprobs(model, PROMPTS, conditions))
    for condition, result in zip(conditions, swept, strict=True):
        alone = token_logprobs(model, PROMPTS, condition)
        for (logprob, rank), (expected, places) in zip(result, alone, strict=True):
            assert torch.equal(logprob, expected) and torch.equal(rank, places)
    first, second = swept[0][0][0], swept[1][0][0]
    assert not torch.equal(first, second), "the addition should change something"


def test_the_shared_pass_equals_passes_of_the_whole_model(model, additions):
    """Against a plain hooked pass, since all of ours go through the same code."""
    from actadd.engine.steering import steer

    ids, mask = left_pad(PROMPTS)
    inputs = model_inputs(model, ids, mask)
    for condition in additions:
        with torch.inference_mode(), steer(model, [condition] * 4, mask):
            logits = model(**inputs, use_cache=False).logits
        [result] = swept_logprobs(model, PROMPTS, [[condition] * 4])
        for row, prompt in enumerate(PROMPTS):
            scores = logits[row, -len(prompt) : -1].float().log_softmax(-1)
            expected = scores.gather(-1, torch.tensor(prompt[1:])[:, None])[:, 0]
            assert torch.allclose(result[row][0], expected, atol=1e-5)


def test_blocks_below_are_not_computed_and_come_back(model):
    ids, mask = left_pad(PROMPTS)
    inputs = model_inputs(model, ids, mask)
    plain = model(**inputs).logits
    shared = outputs_below(model, inputs, [0, 2])
    assert set(shared) == {2}
    ran = []
    parts = [next(block.children()) for block in blocks(model)]
    handles = [
        part.register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, part in enumerate(parts)
    ]
    with pytest.raises(RuntimeError), resumed_at(model, 2, shared):
        assert torch.equal(model(**inputs).logits, plain)
        assert set(ran) == set(range(2, LAYERS))
        raise RuntimeError
    ran.clear()
    assert torch.equal(model(**inputs).logits, plain) and set(ran) == set(range(LAYERS))
    for handle in handles:
        handle.remove()


# --- cells share batches ---


def spec(**changes) -> dict:
    sweep = [-2, -1, 1, 2, 3, 4]
    addition = {"vector": "wedding", "layer": [1, 2], "coefficient": sweep}
    return {
        "name": "e",
        "measure": "completions",
        "model": "tiny",
        "prompts": {"split": "all"},
        "samples": 3,
        "max_new_tokens": 6,
        "seed": 3,
        "sampling": {"temperature": 1, "top_p": 0.9, "frequency_penalty": 1},
        "batch_rows": 8,
        "dtype": "float32",
        "compute": {"device": "cpu", "threads": 1},
        "conditions": {
            "unsteered": {"method": "unsteered"},
            "greedy": {
                "method": "unsteered",
                "sampling": [{"temperature": 0}, {"temperature": 0.5}],
            },
            "preadd": {"method": "preadd", "prefix": " The wedding", "strength": -1.5},
            "sweep": {"method": "actadd", "additions": [addition]},
        },
        **changes,
    }


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def subject(request, prepared, tiny_model, tmp_path_factory):
    """A prepared model; the second shares keys among heads, which has kernels of its own."""
    if request.param == "gpt2":
        return prepared
    source = tmp_path_factory.mktemp("llama") / "source"
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=Tokenizer.from_file(str(tiny_model / "tokenizer.json")).get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    llama = LlamaForCausalLM(config)
    llama.save_pretrained(source)
    shutil.copy(tiny_model / "tokenizer.json", source)
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    entry["parameters"] = llama.num_parameters()
    prepare(entry, source, source.parent / "tiny")
    return source.parent / "tiny"


LENGTHS = [8, 8, 7, 12, 16, 5]


def texts_of(subject) -> list[str]:
    """Prompts of these lengths in tokens, BOS included; some fill their columns, some do not."""
    tokens = Tokens(subject)
    starts = ["The ship left", "She opened the", "We took", "I went up to my", "It was", "The"]
    texts = [
        tokens.cut(f"{start} port and went home to the city by the river today and said", length)
        for start, length in zip(starts, LENGTHS, strict=True)
    ]
    assert [len(tokens.encode(text)) for text in texts] == LENGTHS
    return texts


@pytest.fixture
def completed(subject, tmp_path):
    texts = texts_of(subject)
    datasets.prepare({"name": "p", "title": "p", "texts": texts}, None, tmp_path / "p.parquet")
    generator = torch.Generator().manual_seed(0)
    file = tmp_path / "wedding" / "vector.safetensors"
    write_vector(file, {n: torch.randn(3, 32, generator=generator).numpy() for n in (1, 2)})

    def make(name: str, shard=(0, 1), **changes) -> dict[str, bytes]:
        """The cells' bytes by file name; the table is at tmp_path / name / o.parquet."""
        folder = tmp_path / name
        measure(
            spec(**changes),
            model_dir=subject,
            texts_file=tmp_path / "p.parquet",
            vector_files={"wedding": file},
            choice=None,
            store=folder / "store",
            output=folder / "o.parquet" if shard == (0, 1) else None,
            shard=shard,
        )
        return {path.name: path.read_bytes() for path in folder.glob("store/*/*.parquet")}

    return make


@pytest.mark.parametrize("dtype", ["float32", "mixed"])
def test_cells_made_together_have_the_bytes_of_cells_made_one_by_one(completed, dtype, tmp_path):
    if dtype != "float32" and instructions("cpu") is None:
        pytest.skip("this processor has no instructions for bfloat16")
    together = completed("together", dtype=dtype)
    assert len(together) == 16
    apart = {}
    for number in range(16):
        apart |= completed(f"apart{number}", shard=(number, 16), dtype=dtype)
    assert together == apart
    # And in the store as it was, one after another, the table is the same too.
    for number in reversed(range(16)):
        completed("later", shard=(number, 16), dtype=dtype)
    completed("later", dtype=dtype)
    tables = [(tmp_path / name / "o.parquet").read_bytes() for name in ("together", "later")]
    assert tables[0] == tables[1]


def test_every_batch_has_the_one_shape_of_its_kind(completed, monkeypatch):
    shapes = []
    plain = generation.generate

    def noting(model, ids, mask, *, uniforms, contrast, **options):
        shapes.append((tuple(ids.shape), len(uniforms), contrast))
        return plain(model, ids, mask, uniforms=uniforms, contrast=contrast, **options)

    monkeypatch.setattr(generation, "generate", noting)
    completed("a")
    widths = {padded_width(length) for length in LENGTHS}
    assert len(widths) > 1, "prompts should be of several widths"
    assert all(padded_width(length) > length for length in LENGTHS)
    # 8 rows: two contexts of three samples, or one and its contrasted one.
    assert {shape[0][0] for shape in shapes if shape[2] is None} == {2}
    assert {shape[0][0] for shape in shapes if shape[2] is not None} == {2}
    assert {shape[1] for shape in shapes if shape[2] is None} == {6}
    assert {shape[0][1] for shape in shapes if shape[2] is None} == widths
    # 15 plain cells of 6 prompts each; a batch may be part empty once for each kind.
    # (three settings of sampling, each width).
    plain_batches = [shape for shape in shapes if shape[2] is None]
    assert len(plain_batches) <= 15 * len(LENGTHS) / 2 + 3 * len(widths)


def test_more_samples_than_rows_are_drawn_in_parts(completed, tmp_path):
    completed("few", samples=8)
    completed("many", samples=19)
    few, many = (pd.read_parquet(tmp_path / name / "o.parquet") for name in ("few", "many"))
    assert many.groupby(["cell", "prompt_id"])["sample"].apply(list).map(len).eq(19).all()
    columns = ["condition", "layer", "coefficient", "temperature", "prompt_id", "sample"]
    both = few.merge(many[many["sample"] < 8], on=columns, suffixes=("", "_many"))
    assert len(both) == len(few)
    assert (both["completion"] == both["completion_many"]).all()


def test_a_cell_that_is_not_numbers_fails_and_the_others_are_kept(completed, tmp_path):
    addition = {"vector": "wedding", "layer": 1, "coefficient": [1, 1e38]}
    conditions = {
        "unsteered": {"method": "unsteered"},
        "sweep": {"method": "actadd", "additions": [addition]},
    }
    completed("a", conditions=conditions)
    assert len(list((tmp_path / "a").glob("store/*/*.parquet"))) == 2
    table = pd.read_parquet(tmp_path / "a" / "o.parquet")
    broken = table[table["coefficient"] == 1e38]
    assert len(broken) == len(table) / 3 and broken["completion"].isna().all()
    assert broken["failed"].str.contains("the logits are not numbers.*smaller").all()
    assert table.loc[table["coefficient"] != 1e38, "failed"].isna().all()
    good = {
        **conditions,
        "sweep": {"method": "actadd", "additions": [{**addition, "coefficient": 1}]},
    }
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("store/*/*.parquet")}
    assert before == completed("b", conditions=good)


def test_rows_that_are_not_numbers_say_so_and_spare_their_neighbours(prepared):
    model = load(prepared, dtype="float32", device="cpu", threads=1)
    ids, mask = left_pad([Tokens(prepared).encode("The ship left")] * 2)
    result = generate(
        model,
        ids,
        mask,
        additions=[[Addition(torch.ones(2, 32), 1, 1e38)], []],
        sampling=Sampling(),
        uniforms=torch.zeros(2, 3, dtype=torch.float64),
        max_new_tokens=3,
    ).tolist()
    assert result[0] == [BROKEN] * 3 and BROKEN not in result[1]


# --- memory ---


def test_batches_are_halved_until_they_fit_and_the_cell_says_so(completed, monkeypatch, tmp_path):
    plain = generation.generate
    tried = []

    def small(model, ids, mask, *, uniforms, **options):
        tried.append(len(uniforms))
        if len(uniforms) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(model, ids, mask, uniforms=uniforms, **options)

    expected = completed("roomy")
    monkeypatch.setattr(generation, "generate", small)
    halved = completed("tight")
    assert tried[0] == 6 and tried[1] == 3 and max(tried[1:]) <= 3
    assert halved.keys() == expected.keys()
    for name in halved:
        path = next((tmp_path / "tight").glob(f"store/*/{name}"))
        assert pq.read_schema(path).metadata[b"batch_rows"] == b"4"
    for name in expected:
        path = next((tmp_path / "roomy").glob(f"store/*/{name}"))
        assert pq.read_schema(path).metadata[b"batch_rows"] == b"8"


def test_one_row_that_does_not_fit_is_an_error_and_others_pass():
    def full(rows, left):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
        yield

    with pytest.raises(UserError, match="a batch of one row"):
        list(halving(4, [0], full))

    def wrong(rows, left):
        raise RuntimeError("shape mismatch")
        yield

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(halving(4, [0], wrong))
    assert not batching.is_out_of_memory(ValueError("can't allocate memory"))


# --- the proposed batch rows ---


def test_sizes_are_those_of_the_model(prepared):
    from actadd.models.batch_rows import size_of

    size = size_of(prepared, "float32")
    model = load(prepared, dtype="float32", device="cpu", threads=1)
    weights = sum(4 * parameter.numel() for parameter in model.parameters())
    assert weights <= size.weights <= 1.1 * weights + 10_000
    with torch.inference_mode():
        cache = model(torch.tensor([[1, 2, 3]])).past_key_values
    kept = sum(4 * (layer.keys.numel() + layer.values.numel()) for layer in cache.layers)
    assert 3 * size.token == kept
    assert size.logits == 4 * model.config.vocab_size
    half = size_of(prepared, "bfloat16")
    assert (2 * half.weights, 2 * half.token) == (size.weights, size.token)


@pytest.mark.parametrize(
    ("memory", "device", "rows"),
    [(10**12, "cpu", 128), (10**12, "cuda", 512), (1000 + 10 * 700, "cpu", 4), (2300, "cpu", 1)],
)
def test_the_proposed_rows_are_the_largest_power_of_two_that_fits(memory, device, rows):
    from actadd.models.batch_rows import Size, proposed_rows

    size = Size(weights=1000, token=10, logits=100)
    # To draw takes 10 * 10 + 6 * 100, to measure given texts an eighth of 10 * (10 + 300).
    assert size.row(10) == 700 and size.row(100) == 100 * 310 // 8
    assert proposed_rows(size, 10, memory, device) == rows


def test_a_model_without_room_is_refused():
    from actadd.models.batch_rows import Size, proposed_rows

    with pytest.raises(UserError, match=r"take another device, dtype or model, or set compute"):
        proposed_rows(Size(10**9, 10, 100), 10, 10**9, "cpu")
