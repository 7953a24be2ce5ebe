"""What is loaded is the checkpoint, whole: missing tensors, stray files, folders that are none."""

import re
import shlex
import shutil

import pytest
import torch
import transformers as tf
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from actadd.base.errors import UserError
from actadd.data.sources.fetch import fetch
from actadd.engine.tokens import Tokens
from actadd.models import batch_rows, loading, preparation
from builders.checkpoints import (
    ENTRY,
    INDEX,
    POINTER,
    SINGLE,
    SMALL,
    add_tokenizer,
    cut,
    deeper,
    edit_config,
    only,
    prepared_from,
    put,
    refused,
    saved,
)
from builders.families import FAMILIES

BLOCK = "transformer.h.1.mlp.c_fc.weight"


@pytest.fixture
def folder(tiny_model, tmp_path):
    """A copy of the tiny model to do with as one likes."""
    return shutil.copytree(tiny_model, tmp_path / "source")


def rewrite(folder, change, dtype=None):
    """Saves the weights again with changed names (name -> name, or None to leave it out)."""
    old = load_file(folder / SINGLE)
    new = {name: tensor for key, tensor in old.items() if (name := change(key))}
    if dtype:
        new = {name: tensor.to(dtype) for name, tensor in new.items()}
    save_file(new, folder / SINGLE, {"format": "pt"})


def shard(folder, size="60KB"):
    """The same weights in shards with an index."""
    model = tf.AutoModelForCausalLM.from_pretrained(folder)
    (folder / SINGLE).unlink()
    model.save_pretrained(folder, max_shard_size=size)
    assert (folder / INDEX).exists() and not (folder / SINGLE).exists()


# --- tensors ---


@pytest.mark.parametrize(
    ("prefix", "remedy"),
    [
        ("_orig_mod.", "save model._orig_mod"),
        ("module.", "save model.module"),
        ("base_model.model.", "merge_and_unload"),
        ("model._orig_mod.", "_orig_mod"),
        ("student.", "'student.'"),
    ],
)
def test_names_that_a_wrapper_has_changed_are_refused(folder, prefix, remedy):
    rewrite(folder, lambda name: prefix + name)
    refused(folder, "lacks", remedy)


def test_a_wrapper_inside_is_refused(folder):
    rewrite(folder, lambda name: name.replace(".h.1.", ".h.1._checkpoint_wrapped_module."))
    refused(folder, "lacks", "_checkpoint_wrapped_module.")


@pytest.mark.parametrize("name", [BLOCK, "transformer.wte.weight", "transformer.ln_f.bias"])
def test_a_missing_tensor_is_named(folder, name):
    rewrite(folder, lambda key: None if key == name else key)
    refused(folder, f"lacks {2 if 'wte' in name else 1} tensor", name, str(folder))


def test_names_without_the_base_models_prefix_are_what_they_are(folder, tmp_path):
    """As GPT-2's first checkpoints on the hub have them, with masks beside the weights."""
    before = prepared_from(folder)
    old = load_file(folder / SINGLE)
    new = {name.removeprefix("transformer."): tensor for name, tensor in old.items()}
    new |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 128, 128).tril() for layer in range(3)}
    save_file(new, folder / SINGLE, {"format": "pt"})
    after = prepared_from(folder)
    assert after["weights"] != before["weights"]
    loaded = loading.load(tmp_path / "out", dtype="float32", device="cpu", threads=1)
    assert torch.equal(loaded.transformer.h[1].mlp.c_fc.weight, old[BLOCK])


def test_one_more_block_shows_another_model(folder):
    edit_config(folder, n_layer=2)
    refused(folder, "no room for", "transformer.h.2.", layers=2)


def test_one_block_too_few_shows_another_model(folder):
    edit_config(folder, n_layer=4)
    refused(folder, "lacks", "transformer.h.3.", layers=4)


def test_a_width_that_is_not_the_configs_is_named(folder):
    edit_config(folder, n_inner=64)
    refused(folder, "c_fc.bias", "[128]", "[64]", "config.json")


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ("transformer.h.0.attn.c_attn.lora_A.default.weight", "merge_and_unload"),
        ("base_model.model.transformer.h.0.attn.c_attn.lora_A.weight", "merge_and_unload"),
        ("transformer.h.0.attn.q_norm.weight", "no room for"),
        ("lm_head.bias", "no room for"),
        ("transformer.h.0.attn.c_attn.SCB", "quantized"),
        ("transformer.embedding_norm.weight", "no room for"),
    ],
)
def test_tensors_that_belong_into_the_model_are_not_left_out(folder, extra, text):
    save_file(load_file(folder / SINGLE) | {extra: torch.ones(32)}, folder / SINGLE)
    refused(folder, extra, text)


@pytest.mark.parametrize(
    "extra",
    [
        "transformer.h.0.attn.masked_bias",
        "transformer.h.0.attn.rotary_emb.inv_freq",
        "score.weight",
        "v_head.summary.weight",
        "multiple_choice_head.summary.weight",
        "mtp.layers.0.norm.weight",
    ],
)
def test_other_parts_of_a_checkpoint_do_not_count(folder, extra, capsys):
    save_file(load_file(folder / SINGLE) | {extra: torch.ones(9_000)}, folder / SINGLE)
    prepared_from(folder)
    derived = "rotary" in extra or "masked" in extra
    assert derived or extra in capsys.readouterr().out


def llama(**changes):
    torch.manual_seed(0)
    return tf.LlamaConfig(**{**FAMILIES["llama"][0]().to_dict(), "vocab_size": 400, **changes})


@pytest.mark.parametrize("tied", [True, False])
def test_a_base_model_without_its_head_is_whole_only_if_the_head_is_tied(
    tiny_model, tmp_path, tied
):
    model = tf.LlamaModel(llama(tie_word_embeddings=tied))
    source = saved(model, tiny_model, tmp_path / "source")
    if tied:
        counted = sum(parameter.numel() for parameter in model.parameters())
        assert prepared_from(source, parameters=counted)["layers"] == 3
    else:
        message = refused(source, "lm_head.weight", '"tie_word_embeddings": true', parameters=None)
        assert "lacks 1 tensor," in message
        edit_config(source, tie_word_embeddings=True)
        prepared_from(source, parameters=None)


def test_a_checkpoint_whose_biases_the_config_does_not_know_is_another_model(tiny_model, tmp_path):
    """A Qwen2 that is called a LLaMA would run without the biases of its queries and keys."""
    source = saved(tf.LlamaForCausalLM(llama(attention_bias=True)), tiny_model, tmp_path / "source")
    edit_config(source, attention_bias=False)
    refused(source, "no room for", "_proj.bias", parameters=None)


@pytest.mark.parametrize("equal", [True, False])
def test_a_tied_head_that_is_stored_twice_counts_once_if_it_is_the_same(folder, equal):
    head = load_file(folder / SINGLE)
    numbers = head["transformer.wte.weight"].numel()
    head["lm_head.weight"] = head["transformer.wte.weight"].clone()
    if not equal:
        head["lm_head.weight"] += 1
    save_file(head, folder / SINGLE, {"format": "pt"})
    prepared_from(folder, parameters=55_072 + (0 if equal else numbers))
    if equal:
        return
    loaded = loading.load(folder.parent / "out", dtype="float32", device="cpu", threads=1)
    assert torch.equal(loaded.lm_head.weight, head["lm_head.weight"])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["whole", "sharded", "half", "missing"])
def test_every_family_is_loaded_whole_or_not_at_all(tiny_model, tmp_path, family, form):
    torch.manual_seed(0)
    config = FAMILIES[family][0]()
    config.vocab_size = 400
    model = tf.AutoModelForCausalLM.from_config(config)
    if form == "half":
        # Not the tables of rotary positions, which are no weights.
        for parameter in model.parameters():
            parameter.data = parameter.data.half()
    source = tmp_path / "source"
    model.save_pretrained(source, max_shard_size="20KB" if form == "sharded" else "1GB")
    add_tokenizer(tiny_model, source)
    if form == "missing":
        weights = load_file(source / SINGLE)
        # A matrix of the second block.
        name = [name for name in weights if re.search(r"\.1\..*weight$", name)][-1]
        rewrite(source, lambda key: None if key == name else key)
        refused(source, "lacks", parameters=None)
        return
    prepared_from(source, parameters=model.num_parameters())
    loaded = loading.load(tmp_path / "out", dtype="float32", device="cpu", threads=1)
    ids = torch.arange(9)[None]
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model.float().eval()(ids).logits)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nonfinite_weights_are_refused(folder, value):
    weights = load_file(folder / SINGLE)
    weights[BLOCK][3, 4] = value
    save_file(weights, folder / SINGLE, {"format": "pt"})
    refused(folder, BLOCK, "NaN or infinity")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8])
def test_a_dtype_that_needs_scales_is_refused(folder, dtype):
    rewrite(folder, lambda name: name, dtype=dtype)
    refused(folder, "I8" if dtype == torch.int8 else "F8_E4M3", "float32")


# --- files ---


def test_digest_and_count_of_one_file_are_those_of_its_bytes(folder):
    from actadd.base.files import digest, sha256_file

    facts = prepared_from(folder, parameters=55_072)
    assert facts["weights"] == digest({SINGLE: sha256_file(folder / SINGLE)})
    shard(folder)
    sharded = prepared_from(folder, parameters=55_072)
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(names) > 2
    assert sharded["weights"] == digest({name: sha256_file(folder / name) for name in names})
    out = folder.parent / "out"
    assert batch_rows.size_of(out, "float32").weights == sum(
        (out / n).stat().st_size for n in names
    )


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(
    "stray",
    [
        "consolidated.safetensors",
        "adapter_model.safetensors",
        "optimizer.safetensors",
        "model-00009-of-00009.safetensors",
        SINGLE,
    ],
)
def test_a_file_that_no_loader_reads_changes_nothing(folder, capsys, sharded, stray):
    if sharded:
        shard(folder)
    elif stray == SINGLE:
        stray = "model.fp16.safetensors"
    before = prepared_from(folder)
    save_file({"transformer.wte.weight": torch.zeros(9)}, folder / stray)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "training_args.bin").write_bytes(b"x")
    assert prepared_from(folder) == before
    assert stray in capsys.readouterr().out
    out = folder.parent / "out"
    assert not (out / stray).exists() and not (out / "adapter_config.json").exists()
    loaded = loading.load(out, dtype="float32", device="cpu", threads=1)
    assert loaded.num_parameters() == 55_072


def test_a_whole_file_beside_left_over_shards_is_what_transformers_takes(folder, tmp_path):
    before = prepared_from(folder)
    whole = (folder / SINGLE).read_bytes()
    shard(folder)
    (folder / SINGLE).write_bytes(whole)
    assert prepared_from(folder)["weights"] == before["weights"]


def test_two_sets_of_weights_of_which_none_is_whole(folder):
    shard(folder)
    save_file({"transformer.wte.weight": torch.zeros(9)}, folder / SINGLE)
    edit_config(folder, n_layer=4)
    refused(folder, "lacks", layers=4)


# --- folders ---


def weights_as(*names, content=b"x"):
    """The weights replaced by files of another program."""

    def change(folder):
        (folder / SINGLE).unlink()
        for name in names:
            put(name, content)(folder)

    return change


def without_shard(folder):
    shard(folder)
    sorted(folder.glob("model-*"))[1].unlink()


def without_index(folder):
    shard(folder)
    (folder / INDEX).unlink()


def broken_index(folder):
    shard(folder)
    (folder / INDEX).write_text("{}")


def index_elsewhere(folder):
    shard(folder)
    path = folder / INDEX
    path.write_text(path.read_text().replace("model-00001", "../model-00001"))


PICKLED = ("weights in pickle form", "save_pretrained")
NO_CHECKPOINTS = {
    "empty": (only(), ["is empty"]),
    "lfs": (put(SINGLE, POINTER), ["git-lfs", "git lfs pull", SINGLE]),
    "lfs-tokenizer": (put("tokenizer.json", POINTER), ["git lfs pull", "tokenizer.json"]),
    "lfs-config": (put("config.json", POINTER), ["git lfs pull", "config.json"]),
    "adapter": (
        only("adapter_config.json", content=b'{"base_model_name_or_path": "a/b"}'),
        ["an adapter of a/b", "merge_and_unload"],
    ),
    "adapter-and-config": (
        weights_as("adapter_model.safetensors", "adapter_config.json", content=b"{}"),
        ["an adapter", "merge_and_unload"],
    ),
    "one-down": (deeper("weights"), ["source/weights", "name that folder"]),
    "checkpoint-500": (deeper("checkpoint-500"), ["checkpoint-500", "name that folder"]),
    "two-down": (deeper("run/checkpoint-7"), ["run/checkpoint-7", "name that folder"]),
    "diffusers": (only("model_index.json", "unet/config.json"), ["diffusers"]),
    "author": (only("params.json", "consolidated.00.pth"), ["params.json", "convert"]),
    "no-config": (lambda folder: (folder / "config.json").unlink(), ["config.json"]),
    "bad-config": (put("config.json", b"{"), ["config.json", "JSON"]),
    "list-config": (put("config.json", b"[]"), ["model_type"]),
    "binary-config": (put("config.json", b"\xff\xfe\x00"), ["config.json", "JSON"]),
    "no-type": (put("config.json", b'{"n_layer": 3}'), ["model_type"]),
    "new-type": (lambda folder: edit_config(folder, model_type="zzz"), ["zzz", "transformers"]),
    "bin": (weights_as("pytorch_model.bin"), PICKLED),
    "bins": (weights_as("pytorch_model-00001-of-00002.bin"), PICKLED),
    "bin-index": (weights_as("pytorch_model.bin.index.json"), PICKLED),
    "pth": (weights_as("model.pth"), PICKLED),
    "onnx": (weights_as("model.onnx"), ["ONNX"]),
    "onnx-folder": (weights_as("onnx/model_quantized.onnx"), ["ONNX"]),
    "tf": (weights_as("tf_model.h5"), ["TensorFlow", "safetensors"]),
    "flax": (weights_as("flax_model.msgpack"), ["Flax", "safetensors"]),
    "npz": (weights_as("weights.npz"), ["MLX"]),
    "gguf-and-config": (weights_as("x.gguf"), ["format: gguf"]),
    "gguf": (only("x.gguf", content=b"GGUF"), ["format: gguf"]),
    "nothing": (weights_as(), ["no weights", SINGLE]),
    "other-name": (
        lambda folder: (folder / SINGLE).rename(folder / "pytorch_model.safetensors"),
        ["pytorch_model.safetensors", f"no {SINGLE}", "rename"],
    ),
    "half": (cut(SINGLE, 0.5), [SINGLE, "get it anew"]),
    "header-cut": (cut(SINGLE, 0.001), [SINGLE, "get it anew"]),
    "zero-bytes": (put(SINGLE, b""), [SINGLE, "0 bytes", "get it anew"]),
    "web-page": (put(SINGLE, b"<!doctype html><html>not found</html>"), [SINGLE, "get it anew"]),
    "no-shard": (without_shard, ["model-00002", INDEX]),
    "no-index": (without_index, [INDEX, "model-00001"]),
    "broken-index": (broken_index, [INDEX, "get it anew"]),
    "index-elsewhere": (index_elsewhere, [INDEX, "not there"]),
    "mlx": (
        lambda folder: edit_config(folder, quantization={"group_size": 64, "bits": 4}),
        ["quantized", "MLX"],
    ),
    "sentence-transformers": (
        only("modules.json", "0_Transformer/config.json", "1_Pooling/config.json"),
        ["0_Transformer"],
    ),
    "file": (
        only(SINGLE),
        ["config.json", "save_pretrained"],
    ),
}


@pytest.mark.parametrize("kind", NO_CHECKPOINTS)
def test_a_folder_that_is_not_a_checkpoint_is_described(folder, kind):
    change, parts = NO_CHECKPOINTS[kind]
    change(folder)
    refused(folder, *parts)
    # The same through the folder of links that the workflow makes of it.
    links = folder.parent / "links" / "source"
    if any(folder.iterdir()):
        fetch("m", {"type": "path", "path": str(folder)}, links, folder.parent / "lock")
        target = folder.parent / "out"
        with pytest.raises(UserError, match=r"^models\.tiny"):
            preparation.prepare(ENTRY, links, target)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq"}, "awq"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
        ({"load_in_4bit": True}, "4 bits"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "new"}, "new"),
        ({"bits": 8}, "8 bits"),
    ],
)
def test_quantized_weights_are_refused_before_they_are_read(folder, settings, words):
    edit_config(folder, quantization_config=settings)
    refused(folder, "quantized", words, "quantization: 8bit")


def test_quantized_weights_without_a_word_of_it_are_refused(folder):
    rewrite(folder, lambda name: name.replace("c_fc.weight", "c_fc.qweight"))
    refused(folder, "lacks", "quantized")


def test_the_remedies_work(folder):
    """What messages offer as commands, typed."""
    whole = prepared_from(folder)
    weights = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    message = refused(folder, *PICKLED)
    program, option, code = shlex.split(message.splitlines()[-1])
    assert (program, option) == ("python", "-c")
    target = folder.parent / "NEW"
    exec(code.replace("NEW", str(target)), {})
    shutil.copy(folder / "tokenizer.json", target)
    assert prepared_from(target)["weights"] == whole["weights"]


# --- which models ---

ENCODER_DECODER = {"d_model": 16, "vocab_size": 400, "encoder_layers": 3, "decoder_layers": 3}
ENCODER_DECODER |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
ENCODER_DECODER |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "pad_token_id": 0}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 3, "num_heads": 2, "vocab_size": 400}
DISTIL = {"dim": 16, "hidden_dim": 16, "n_layers": 3, "n_heads": 2, "vocab_size": 400}
NOT_CAUSAL = {
    "t5": (lambda: tf.T5ForConditionalGeneration(tf.T5Config(**T5)), "encoder-decoder"),
    "t5-encoder": (lambda: tf.T5EncoderModel(tf.T5Config(**T5)), "t5"),
    "bart": (
        lambda: tf.BartForConditionalGeneration(tf.BartConfig(**ENCODER_DECODER)),
        "encoder-decoder",
    ),
    "whisper": (
        lambda: tf.WhisperForConditionalGeneration(
            tf.WhisperConfig(**ENCODER_DECODER, decoder_start_token_id=1)
        ),
        "encoder-decoder",
    ),
    "distilbert": (lambda: tf.DistilBertForMaskedLM(tf.DistilBertConfig(**DISTIL)), "distilbert"),
    "bert": (lambda: tf.BertForMaskedLM(tf.BertConfig(**SMALL)), "encoder"),
    "bert-base": (lambda: tf.BertModel(tf.BertConfig(**SMALL)), "encoder"),
    "roberta": (lambda: tf.RobertaForMaskedLM(tf.RobertaConfig(**SMALL)), "encoder"),
    "electra": (lambda: tf.ElectraForMaskedLM(tf.ElectraConfig(**SMALL)), "encoder"),
    "modernbert": (
        lambda: tf.ModernBertForMaskedLM(tf.ModernBertConfig(**SMALL, pad_token_id=0)),
        "modernbert",
    ),
    "bert-classifier": (
        lambda: tf.BertForSequenceClassification(tf.BertConfig(**SMALL)),
        "encoder",
    ),
    "gpt2-classifier": (
        lambda: tf.GPT2ForSequenceClassification(
            tf.GPT2Config(n_embd=32, n_layer=3, n_head=4, vocab_size=400)
        ),
        "GPT2ForSequenceClassification",
    ),
    "llama-classifier": (
        lambda: tf.LlamaForSequenceClassification(llama()),
        "LlamaForSequenceClassification",
    ),
    "llama-tagger": (
        lambda: tf.LlamaForTokenClassification(llama()),
        "LlamaForTokenClassification",
    ),
    "vit": (
        lambda: tf.ViTModel(
            tf.ViTConfig(
                hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16
            )
        ),
        "vit",
    ),
    "clip": (
        lambda: tf.CLIPTextModel(tf.CLIPTextConfig(**SMALL)),
        "clip",
    ),
}


@pytest.mark.parametrize("kind", NOT_CAUSAL)
def test_models_that_are_not_causal_are_refused(tiny_model, tmp_path, kind):
    make, named = NOT_CAUSAL[kind]
    source = saved(make(), tiny_model, tmp_path / "source")
    refused(source, named, "causal language model", parameters=None)


def test_an_encoders_family_is_taken_as_a_decoder_if_its_config_says_so(tiny_model, tmp_path):
    model = tf.BertLMHeadModel(tf.BertConfig(**SMALL, is_decoder=True))
    source = saved(model, tiny_model, tmp_path / "source")
    assert prepared_from(source, parameters=None)["d_model"] == 16


def test_a_multimodal_checkpoint_is_whole_with_its_towers(tiny_model, tmp_path):
    text = {**tf.Gemma3TextConfig(**FAMILIES["gemma3"][0]().to_dict()).to_dict()}
    text["vocab_size"] = 400
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    config = tf.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    torch.manual_seed(0)
    model = tf.Gemma3ForConditionalGeneration(config)
    source = saved(model, tiny_model, tmp_path / "source")
    prepared_from(source, parameters=model.num_parameters())
    with safe_open(source / SINGLE, "pt") as tensors:
        name = next(name for name in tensors.keys() if "vision" in name)  # noqa: SIM118
    rewrite(source, lambda key: None if key == name else key)
    refused(source, "lacks", parameters=None)


def test_an_expert_that_is_missing_is_an_error(tiny_model, tmp_path):
    """Experts are joined to one tensor while they are loaded."""
    experts = {"num_local_experts": 4, "num_key_value_heads": 1}
    config = tf.MixtralConfig(**SMALL, **experts, bos_token_id=0, eos_token_id=0)
    source = saved(tf.MixtralForCausalLM(config), tiny_model, tmp_path / "source")
    prepared_from(source, parameters=None)
    whole = (source / SINGLE).read_bytes()
    for kind in ("w1", "w2"):
        name = f"model.layers.1.block_sparse_moe.experts.3.{kind}.weight"
        assert name in load_file(source / SINGLE)
        rewrite(source, lambda key, name=name: None if key == name else key)
        assert "config" in refused(source, parameters=None) or kind == "w1"
        (source / SINGLE).write_bytes(whole)


# --- the tokenizer's ids and the model's rows ---


def resized(folder, rows, special=None):
    model = tf.AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(rows, mean_resizing=False)
    model.save_pretrained(folder)
    return folder


def test_a_head_smaller_than_the_tokenizer_is_refused(folder):
    refused(resized(folder, 390), "tokenizer", "390", parameters=None)


def test_a_head_larger_than_the_tokenizer_is_reported(folder, capsys):
    prepared_from(resized(folder, 448), parameters=None)
    assert "of the model's 448 ids have no token" in capsys.readouterr().out


def test_added_tokens_beyond_the_head_are_refused_in_texts(folder):
    """As the placeholder of images does in text models of Gemma 3."""
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken("<image>", special=True)])
    tokenizer.add_tokens(["qqordinary"])
    tokenizer.save(str(folder / "tokenizer.json"))
    prepared_from(folder)
    tokens = Tokens(folder.parent / "out")
    for text in ("an <image> here", "a qqordinary day"):
        with pytest.raises(UserError, match=text.split()[1]):
            tokens.pieces(text)
