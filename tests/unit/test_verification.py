"""What is steered was verified: models that hold the properties, break one, or are wrapped."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from actadd import Addition, UserError, generate, record_activations, steer
from actadd.config.checks import checked
from actadd.engine.batching import left_pad
from actadd.engine.structure import blocks, language_model
from actadd.models.verification.verify import PROPERTIES, examine, verify
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.families import tiny as tiny_family
from programs import model as model_program
from tools import sweep

PROMPTS = [[0, 5, 9, 20, 31], [0, 40, 3], [0, 7, 8, 9, 10, 11, 12]]
STEPS = 4


@pytest.fixture(scope="module")
def llama():
    return tiny_family("llama")


def vectors(model, count=3):
    generator = torch.Generator().manual_seed(1)
    width = language_model(model).config.get_text_config().hidden_size
    return 3.0 * torch.randn(count, 2, width, generator=generator, dtype=torch.float64)


def mixed(model):
    """Additions of each of PROMPTS: one at the front, none, one at the back of another layer."""
    first, second, _ = vectors(model)
    return [[Addition(first, 1, 1.0)], [], [Addition(second, 0, 1.0, "back")]]


def drawn(model, **options):
    """The model's own greedy tokens, steered."""
    ids, mask = left_pad(PROMPTS, pad_id=1)
    settings = {"max_new_tokens": STEPS, "do_sample": False, "pad_token_id": 1}
    settings |= {"eos_token_id": None, "attention_mask": mask}
    with steer(model, mixed(model), mask):
        return model.generate(ids, **settings | options)[:, ids.shape[1] :].tolist()


# --- the properties -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("family", ["gpt2", "gptj", "gemma2", "bloom"])
def test_a_supported_family_holds_every_property(family, dtype):
    model = tiny_family(family).to(getattr(torch, dtype))
    record = verify(model)
    assert list(record["properties"]) == list(PROPERTIES)
    assert record["family"] == family and record["dtype"] == dtype and record["device"] == "cpu"
    exact = ("repetition", "stream", "additions", "resumption", "removal")
    assert all(record["properties"][name]["difference"] == 0 for name in exact)
    if dtype == "float64" and family != "gptj":
        rounded = ("causality", "positions", "padding", "cache", "steering")
        assert all(record["properties"][name]["bound"] == 1e-9 for name in rounded)
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    "family", ["openai-gpt", "minimax", "mamba", "gemma4_text", "qwen3_next", "qwen3_5"]
)
def test_an_odd_family_is_right(family):
    result = sweep.outcome(family)
    assert result["outcome"] == "right", result["why"]
    assert result["tries"]["draws"] == result["tries"]["wrapper"] == "right"


@pytest.mark.parametrize(
    ("family", "property"),
    [
        ("roberta", "positions"),
        ("pegasus", "padding"),
        ("bart", "padding"),
        ("rwkv", "padding"),
        ("reformer", "cache"),
        ("xlnet", "batching"),
        ("cpmant", "batching"),
        ("hrm_text", "stream"),
    ],
)
def test_an_odd_family_is_refused_by_name(family, property):
    model = sweep.small_model(family)
    result = examine(model)["properties"]
    assert list(result)[-1] == property and not result[property]["passed"]
    with pytest.raises(UserError) as caught:
        verify(model)
    message = str(caught.value)
    assert message.startswith(f"{type(model).__name__} ({model.config.model_type}) in float64")
    assert PROPERTIES[property] in message or f"the check of its {property}" in message
    assert "\n" not in message


class Forgetful(transformers.GPT2LMHeadModel):
    """Takes position ids and passes none on."""

    def forward(self, input_ids=None, position_ids=None, **kwargs):
        return super().forward(input_ids, **kwargs)


class Shifted(transformers.GPT2LMHeadModel):
    """Counts its own positions from one."""

    def forward(self, input_ids=None, position_ids=None, **kwargs):
        if position_ids is None:
            position_ids = torch.arange(1, input_ids.shape[1] + 1)[None]
        return super().forward(input_ids, position_ids=position_ids, **kwargs)


class Cacheless(transformers.GPT2LMHeadModel):
    """Takes a cache and leaves it empty."""

    def forward(self, input_ids=None, past_key_values=None, **kwargs):
        return super().forward(input_ids, **kwargs)


class Backward(transformers.GPT2LMHeadModel):
    """Reads the last token before the first."""

    def forward(self, input_ids=None, **kwargs):
        embedded = self.transformer.wte(input_ids)
        return super().forward(inputs_embeds=embedded + embedded[:, -1:], **kwargs)


class Remembering(transformers.GPT2LMHeadModel):
    """Is another one from the first vector on."""

    def forward(self, input_ids=None, **kwargs):
        output = super().forward(input_ids, **kwargs)
        output.logits[..., 0] += self.transformer.h[0].touched
        self.transformer.h[0].touched += any(
            len(block._forward_pre_hooks) > 2 for block in self.transformer.h
        )
        return output


class Skipping(transformers.LlamaForCausalLM):
    """Leaves its middle block out."""

    def forward(self, input_ids=None, **kwargs):
        last = self.model.config.num_hidden_layers
        self.model.config.num_hidden_layers = last - 1
        try:
            return super().forward(input_ids, **kwargs)
        finally:
            self.model.config.num_hidden_layers = last


@pytest.mark.parametrize(
    ("kind", "property"),
    [
        (Forgetful, "padding"),
        (Shifted, "positions"),
        (Cacheless, "cache"),
        (Backward, "causality"),
        (Remembering, "steering"),
        (Skipping, "repetition"),
    ],
)
def test_a_broken_property_is_named(llama, kind, property):
    right = llama if kind is Skipping else tiny_family("gpt2")
    model = kind(right.config).double().eval()
    model.load_state_dict(right.state_dict())
    if kind is Remembering:
        model.transformer.h[0].touched = 0
    result = examine(model)["properties"]
    assert list(result)[-1] == property and not result[property]["passed"]


def test_training_mode_is_named():
    model = tiny_family("gpt2").train()
    with pytest.raises(UserError, match="training mode"):
        verify(model)


def test_training_mode_is_left_as_the_message_says():
    model = tiny_family("gpt2").train()
    ids, mask = left_pad(PROMPTS, pad_id=1)
    with pytest.raises(UserError, match=r"call model\.eval\(\)"):
        record_activations(model, ids, mask)
    assert record_activations(model.eval(), ids, mask).isfinite().all()


class Limited(transformers.LlamaForCausalLM):
    """Never predicts its last tokens."""

    lowest = float("-inf")

    def forward(self, input_ids=None, **kwargs):
        output = super().forward(input_ids, **kwargs)
        output.logits[..., -5:] = self.lowest
        return output


def limited(model, lowest):
    limit = Limited(model.config).double().eval()
    limit.load_state_dict(model.state_dict())
    limit.lowest = lowest
    return limit


def untrained(_model):
    """Most embeddings are zero, as of tokens that no text holds."""
    model = tiny_family("llama")
    model.model.embed_tokens.weight.data[20:] = 0
    return model


def of_few_tokens(_model):
    """A vocabulary that ends before its config's BOS."""
    config = transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2)
    return transformers.GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize(
    "build",
    [
        lambda model: limited(model, float("-inf")),
        lambda model: limited(model, torch.finfo(torch.float64).min),
        untrained,
        of_few_tokens,
    ],
    ids=["minus infinity", "lowest number", "zero embeddings", "BOS beyond"],
)
def test_what_models_may_have_is_not_refused(llama, build):
    assert verify(build(llama))["properties"]["removal"]["passed"]


def test_numbers_that_overflow_are_named():
    model = tiny_family("llama").to(torch.float16)
    model.model.layers[1].mlp.down_proj.weight.data *= 1e5
    with pytest.raises(UserError, match=r"in float16 .*not finite.*another dtype"):
        verify(model)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_router_at_a_tie_passes(dtype):
    config = transformers.Qwen3MoeConfig(
        vocab_size=2000,
        hidden_size=256,
        intermediate_size=512,
        moe_intermediate_size=128,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        num_experts=16,
        num_experts_per_tok=4,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.06,
    )
    # In float16 this one's decoding takes another expert than reading the whole text does.
    torch.manual_seed(2)
    model = transformers.AutoModelForCausalLM.from_config(config)
    verify(model.eval().to(getattr(torch, dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", [Forgetful, Shifted, Backward])
def test_a_fault_shows_in_every_dtype(kind, dtype):
    right = tiny_family("gpt2")
    model = kind(right.config).eval()
    model.load_state_dict(right.state_dict())
    with pytest.raises(UserError, match="cannot be steered right"):
        verify(model.to(getattr(torch, dtype)))


@pytest.mark.parametrize("off", [-1, 1])
def test_an_addition_at_another_column_is_noticed(llama, monkeypatch, off):
    from actadd.engine import steering

    right = steering.columns_before
    monkeypatch.setattr(steering, "columns_before", lambda *a: right(*a) + off)
    result = examine(llama)["properties"]
    assert list(result)[-1] == "additions" and not result["additions"]["passed"]


# --- wrappers -------------------------------------------------------------------------------------


class Wrapper(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


class Adapted(nn.Module):
    """As adapters wrap a model: two deep, with attributes passed through."""

    def __init__(self, inner):
        super().__init__()
        self.base_model = Wrapper(inner)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.base_model.inner, name)

    def forward(self, input_ids=None, attention_mask=None, inputs_embeds=None, **kwargs):
        return self.base_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )


def compiled(model):
    return torch.compile(model, backend="eager")


def compiled_by_block(model):
    model = copy.deepcopy(model)
    layers = model.model.layers
    for number, block in enumerate(layers):
        layers[number] = torch.compile(block, backend="eager")
    return model


def wrapped_by_block(model):
    model = copy.deepcopy(model)
    layers = model.model.layers
    for number, block in enumerate(layers):
        layers[number] = Wrapper(block)
    return model


@pytest.mark.parametrize(
    "wrap",
    [Wrapper, Adapted, nn.DataParallel, compiled, compiled_by_block, wrapped_by_block],
)
def test_a_wrapped_model_is_recorded_and_steered_as_the_bare_one(llama, wrap):
    wrapped = wrap(llama)
    ids, mask = left_pad(PROMPTS, pad_id=1)
    before = wrapped(ids, attention_mask=mask).logits
    assert torch.equal(record_activations(wrapped, ids, mask), record_activations(llama, ids, mask))
    options = {"additions": mixed(llama), "max_new_tokens": STEPS}
    steered = generate(wrapped, ids, mask, **options)
    assert torch.equal(steered, generate(llama, ids, mask, **options))
    assert not torch.equal(steered, generate(llama, ids, mask, max_new_tokens=STEPS))
    assert torch.equal(wrapped(ids, attention_mask=mask).logits, before)


def test_a_model_compiled_in_place_is_steered_and_then_is_not(llama):
    model = tiny_family("llama")
    ids, mask = left_pad(PROMPTS, pad_id=1)
    model.compile(backend="eager")
    before = model(ids, attention_mask=mask).logits
    assert drawn(model) == drawn(llama)
    assert torch.equal(model(ids, attention_mask=mask).logits, before)


def test_two_models_side_by_side_are_refused(llama):
    pair = nn.ModuleDict({"one": llama, "other": tiny_family("gpt2")})
    with pytest.raises(UserError, match="holds 2 transformers models"):
        blocks(pair)


def test_of_two_towers_of_one_depth_the_text_is_steered():
    config = sweep.small_config("gemma3")
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    for name, value in {**vision, "num_hidden_layers": sweep.LAYERS, "image_size": 28}.items():
        setattr(config.vision_config, name, value)
    model = transformers.AutoModelForCausalLM.from_config(config).double().eval()
    towers = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == sweep.LAYERS]
    assert len(towers) == 2, "vision and text"
    assert blocks(model) is model.get_decoder().layers
    verify(model)


# --- caches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gemma2", "mistral"])
def test_a_static_cache_is_used_again(family):
    model = tiny_family(family)
    width = max(map(len, PROMPTS)) + STEPS
    cache = transformers.StaticCache(config=model.config, max_cache_len=width)
    expected = drawn(model)
    for _ in range(2):
        assert drawn(model, past_key_values=cache) == expected
        cache.reset()


@pytest.mark.parametrize(
    "options",
    [
        {"prefill_chunk_size": 2},
        {"cache_implementation": "static"},
        {"cache_implementation": "dynamic"},
        {"use_cache": False},
    ],
    ids=lambda options: next(iter(options)),
)
def test_any_prefill_and_cache_is_steered(llama, options):
    assert drawn(llama, **options) == drawn(llama)


def test_beams_and_several_sequences_are_steered_by_row(llama):
    one = drawn(llama, num_beams=2)
    assert drawn(llama, num_return_sequences=2, num_beams=2)[::2] == one
    for row, prompt in enumerate(PROMPTS):
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        options = {"max_new_tokens": STEPS, "num_beams": 2, "eos_token_id": None, "pad_token_id": 1}
        with steer(llama, mixed(llama)[row : row + 1], mask):
            alone = llama.generate(ids, attention_mask=mask, **options)
        assert alone[0, len(prompt) :].tolist() == one[row]


def test_assisted_decoding_is_steered(llama):
    ids = torch.tensor([PROMPTS[0]])
    mask = torch.ones_like(ids)
    options = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    additions = mixed(llama)[:1]
    with steer(llama, additions, mask):
        plain = llama.generate(ids, attention_mask=mask, **options)
    with steer(llama, additions, mask):
        assisted = llama.generate(ids, attention_mask=mask, prompt_lookup_num_tokens=2, **options)
    assert torch.equal(plain, assisted)


def test_a_prompt_that_is_already_cached_is_refused(llama):
    ids, mask = left_pad(PROMPTS, pad_id=1)
    cache = transformers.DynamicCache(config=llama.config)
    llama(ids, attention_mask=mask, past_key_values=cache)
    longer = nn.functional.pad(mask, (0, 1), value=1)
    with pytest.raises(UserError, match="nothing was changed"), steer(llama, mixed(llama), mask):
        llama(ids[:, -1:], attention_mask=longer, past_key_values=cache)


# --- on first use ---------------------------------------------------------------------------------


def passes(model, use) -> int:
    """Forward passes of a model while it is used."""
    counted = []
    forward = type(model).forward

    def counting(self, *args, **kwargs):
        counted.append(1)
        return forward(self, *args, **kwargs)

    type(model).forward = counting
    try:
        use()
    finally:
        type(model).forward = forward
    return len(counted)


def test_a_model_is_verified_when_first_used_and_when_it_changed():
    model = tiny_family("opt")
    ids, mask = left_pad(PROMPTS, pad_id=1)

    def use(**options):
        with steer(model, mixed(model), mask, **options):
            model(ids, attention_mask=mask)

    assert passes(model, lambda: use(verify=False)) == 1
    assert passes(model, use) > 10
    assert passes(model, use) == 1
    model.float()
    seen = []
    blocks(model)[0].register_forward_pre_hook(lambda *_: seen.append(1))
    assert passes(model, use) > 10
    assert len(seen) == 1, "a hook of the user's own does not see the verification"


def test_a_refused_model_can_be_steered_without_verification():
    model = sweep.small_model("roberta")
    ids = torch.tensor([PROMPTS[0]])
    mask = torch.ones_like(ids)
    addition = Addition(vectors(model)[0], 1, 1.0)
    with pytest.raises(UserError, match="verify=False"), steer(model, [addition], mask):
        pass
    trace = []
    with steer(model, [addition], mask, trace, verify=False):
        model(ids)
    assert len(trace) == 2


# --- in the workflow ------------------------------------------------------------------------------


@pytest.fixture
def odd_source(tiny_model, tmp_path) -> Path:
    """A checkpoint whose positions start behind its padding id."""
    folder = shutil.copytree(tiny_model, tmp_path / "source")
    size = transformers.AutoModelForCausalLM.from_pretrained(tiny_model).config.vocab_size
    config = sweep.small_config("roberta")
    config.vocab_size = size
    torch.manual_seed(0)
    transformers.RobertaForCausalLM(config).save_pretrained(folder)
    return folder


def job(**changes) -> dict:
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    entry["parameters"] = None
    return {"model": entry, "dtype": "float32", "compute": {"device": "cpu"}, **changes}


def test_the_rule_refuses_what_fails_and_leaves_nothing(odd_source, tmp_path):
    folder = tmp_path / "models/tiny"
    folder.parent.mkdir()
    with pytest.raises(UserError, match=r"models\.tiny: RobertaForCausalLM .* take another model"):
        model_program.work(job(), {"source": odd_source}, {"folder": folder})
    assert not list(folder.parent.iterdir())


def test_the_record_is_in_the_models_folder_and_reproducible(tiny_model, tmp_path):
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name / "tiny"
        folder.parent.mkdir()
        facts = model_program.work(job(), {"source": tiny_model}, {"folder": folder})
        assert "verification" not in json.dumps(facts)
        texts.append((folder / "verification.json").read_text())
    assert texts[0] == texts[1]
    assert all(result["passed"] for result in json.loads(texts[0])["properties"].values())


def test_on_a_gpu_a_job_apart_verifies_and_all_others_wait_for_it(tmp_path, monkeypatch):
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)

    def plan(device):
        settings = tiny.config()
        settings["lenses"] = {"reading": {"vectors": ["calm"], "models": ["tiny"]}}
        settings["overheads"] = {"time": {"positive": "a", "negative": "b", "models": ["tiny"]}}
        settings["compute"]["device"] = device
        return Graph(checked(settings))

    def jobs(plan):
        return [
            plan.activations("tiny", "calm"),
            plan.cells("tiny", "sweep"),
            plan.cells("tiny", "ratio"),
            plan.lens("tiny", "reading"),
            plan.overhead("time", "tiny"),
            plan.scores("tiny", "sweep", "fluency"),
        ]

    cpu, cuda = plan("cpu"), plan("cuda")
    assert not cpu.verifies_apart and cuda.verifies_apart
    spec = cpu.model("tiny").slice
    assert spec["compute"] == {"device": "cpu"} and spec["dtype"] == "float32"
    assert all("verification/tiny" not in job.spec["upstream"] for job in jobs(cpu))
    assert "compute" not in cuda.model("tiny").slice
    verification = cuda.verification("tiny")
    assert verification.slice["compute"] == {"device": "cuda"}
    waiting = [job.spec["upstream"]["verification/tiny"] for job in jobs(cuda)]
    assert waiting == [verification.digest] * len(waiting)
