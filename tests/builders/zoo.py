"""Tokenizer folders of every kind: each is written from a few lines of text by `tokenizers`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from builders import tiny

# What tokenizers are trained on.
LINES = [
    tiny.TEXTS,
    str(tiny.CONFIG),
    "I went up to my friend and said that the weather was nice, 12 of 345 days. Naïve café!",
    "def f(x):\n    return x ** 2\n\n\tDon't they'll we've. UPPER Case <b> 中文 日本 Привет 🙂",
]
SPECIAL = ["<unk>", "<s>", "</s>"]
ROWS = 700
PUNCTUATION = Regex(r"'s|'t| ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


# What a config says of the model of `make_base`.
ENTRY = {
    "name": "m",
    "format": "transformers",
    "layers": 1,
    "parameters": None,
    "bos": "<s>",
    "pad": "</s>",
}


def make_base(folder: Path, kind: str) -> Path:
    """A model of one block with room for every tokenizer here; kind: gpt2 or llama."""
    import transformers as tf

    shared = {"vocab_size": ROWS, "bos_token_id": 1, "eos_token_id": 2}
    config = {
        "gpt2": lambda: tf.GPT2Config(**shared, n_embd=8, n_layer=1, n_head=2, n_positions=64),
        "llama": lambda: tf.LlamaConfig(
            **shared,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=64,
        ),
    }[kind]()
    tf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def trained(model: Any, trainer: Any, normalizer=None, pre_tokenizer=None, decoder=None):
    """A tokenizer of these parts, its vocabulary from a few lines."""
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if decoder is not None:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def byte_level(**options) -> Tokenizer:
    return trained(
        models.BPE(),
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False, **options),
        decoder=decoders.ByteLevel(),
    )


def split_then_bytes() -> Tokenizer:
    """As Llama 3 and Qwen have it: cut by a pattern of their own, then bytes."""
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(PUNCTUATION, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def digits_alone() -> Tokenizer:
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def byte_fallback(legacy: bool, scheme: str = "first") -> Tokenizer:
    """As Llama 2 (legacy: a normaliser puts the space in front), Gemma and Mistral have it."""
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    words = sorted({c for line in LINES for c in line.replace(" ", "▁") if c < "\u0250"})
    words += ["▁t", "he", "▁the", "an", "▁an", "and", "▁and", "▁▁", "▁w", "in", "ing", "er"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*pieces, "▁", *words]))}
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("a", "n"), ("▁", "an"), ("an", "d")]
    merges += [("▁an", "d"), ("▁", "▁"), ("▁", "w"), ("i", "n"), ("e", "r")]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme, split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(" ", 1, 0)] if scheme != "never" else []),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in SPECIAL])
    return tokenizer


def unigram(scheme: str = "always") -> Tokenizer:
    tokenizer = trained(
        models.Unigram(),
        trainers.UnigramTrainer(
            vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
        ),
        normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()]),
        pre_tokenizer=pre_tokenizers.Metaspace("▁", scheme),
        decoder=decoders.Metaspace("▁", scheme),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    return tokenizer


def word_piece(lowercase: bool, unknown: str = "<unk>") -> Tokenizer:
    names = [unknown, *SPECIAL[1:], "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    return trained(
        models.WordPiece(unk_token=unknown),
        trainers.WordPieceTrainer(vocab_size=300, special_tokens=names, show_progress=False),
        normalizer=normalizers.BertNormalizer(lowercase=lowercase),
        pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        decoder=decoders.WordPiece(),
    )


def word_level() -> Tokenizer:
    return trained(
        models.WordLevel(unk_token="<unk>"),
        trainers.WordLevelTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False),
        normalizer=normalizers.Lowercase(),
        pre_tokenizer=pre_tokenizers.Whitespace(),
    )


def normalised(*steps) -> Tokenizer:
    tokenizer = byte_level()
    tokenizer.normalizer = normalizers.Sequence(list(steps))
    return tokenizer


def with_added(make: Callable[[], Tokenizer]) -> Tokenizer:
    """Added tokens with every flag."""
    tokenizer = make()
    tokenizer.add_tokens(
        [
            AddedToken("<left>", lstrip=True),
            AddedToken("<right>", rstrip=True),
            AddedToken("<both>", lstrip=True, rstrip=True),
            AddedToken("word", single_word=True),
            AddedToken("Cased", normalized=True),
            AddedToken("  ", normalized=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", lstrip=True, rstrip=True)])
    return tokenizer


def with_settings(make: Callable[[], Tokenizer]) -> Tokenizer:
    """What training scripts leave in a file."""
    tokenizer = make()
    tokenizer.enable_truncation(4, stride=1)
    tokenizer.enable_padding(direction="left", pad_id=2, pad_token="</s>", length=9)
    return tokenizer


ANY = {"tokenizer_class": "PreTrainedTokenizerFast"}
NAMED = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")
EXTRA = {"content": "<extra>", **dict.fromkeys(FLAGS, False)}

# name -> (model, tokenizer, files beside it)
Case = tuple[str, Callable[[], Tokenizer], dict[str, Any]]
CASES: dict[str, Case] = {
    "byte-level": ("gpt2", byte_level, {}),
    "byte-level, any class": ("gpt2", byte_level, {"tokenizer_config.json": {**ANY, **NAMED}}),
    "byte-level in a Llama": ("llama", byte_level, {}),
    "no regex": ("gpt2", lambda: byte_level(use_regex=False), {"tokenizer_config.json": ANY}),
    "no regex, rebuilt": ("gpt2", lambda: byte_level(use_regex=False), {}),
    "split": ("llama", split_then_bytes, {"tokenizer_config.json": {**ANY, **NAMED}}),
    "split, rebuilt": ("gpt2", split_then_bytes, {}),
    "digits": ("gpt2", digits_alone, {"tokenizer_config.json": ANY}),
    "truncation and padding": ("gpt2", lambda: with_settings(byte_level), {}),
    "truncation and padding, any class": (
        "llama",
        lambda: with_settings(lambda: byte_fallback(legacy=True)),
        {"tokenizer_config.json": {**ANY, "model_max_length": 3, "truncation_side": "left"}},
    ),
    "prefix space said": (
        "gpt2",
        byte_level,
        {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}},
    ),
    "prefix space said, any class": (
        "gpt2",
        byte_level,
        {"tokenizer_config.json": {**ANY, "add_prefix_space": True}},
    ),
    "BOS and EOS said": (
        "gpt2",
        byte_level,
        {"tokenizer_config.json": {**NAMED, "add_bos_token": True, "add_eos_token": True}},
    ),
    "Llama, legacy": ("llama", lambda: byte_fallback(legacy=True), {}),
    "Llama, legacy said": (
        "llama",
        lambda: byte_fallback(legacy=True),
        {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": True, **NAMED}},
    ),
    "Llama, not legacy": (
        "llama",
        lambda: byte_fallback(legacy=False),
        {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": False, **NAMED}},
    ),
    "Llama, any class": (
        "llama",
        lambda: byte_fallback(legacy=True),
        {"tokenizer_config.json": {**ANY, **NAMED}},
    ),
    **{
        f"metaspace {scheme}": (
            "gpt2",
            lambda scheme=scheme: byte_fallback(legacy=False, scheme=scheme),
            {"tokenizer_config.json": {**ANY, **NAMED}},
        )
        for scheme in ("always", "first", "never")
    },
    **{
        f"unigram {scheme}": (
            "llama",
            lambda scheme=scheme: unigram(scheme),
            {"tokenizer_config.json": {**ANY, **NAMED, "clean_up_tokenization_spaces": True}},
        )
        for scheme in ("always", "never")
    },
    "unigram, T5": (
        "gpt2",
        unigram,
        {"tokenizer_config.json": {"tokenizer_class": "T5Tokenizer", "extra_ids": 3}},
    ),
    "word pieces": ("gpt2", lambda: word_piece(True), {"tokenizer_config.json": {**ANY, **NAMED}}),
    "word pieces, cleaned up": (
        "gpt2",
        lambda: word_piece(False),
        {"tokenizer_config.json": {**ANY, "clean_up_tokenization_spaces": True}},
    ),
    "word pieces, Bert": (
        "gpt2",
        lambda: word_piece(False, "[UNK]"),
        {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": True}},
    ),
    "words": ("gpt2", word_level, {"tokenizer_config.json": {**ANY, **NAMED}}),
    "NFKC and lower case": (
        "gpt2",
        lambda: normalised(normalizers.NFKC(), normalizers.Lowercase()),
        {"tokenizer_config.json": ANY},
    ),
    "replace, strip, prepend": (
        "gpt2",
        lambda: normalised(
            normalizers.Replace("e", "a"), normalizers.Strip(), normalizers.Prepend("x")
        ),
        {"tokenizer_config.json": ANY},
    ),
    "accents": (
        "gpt2",
        lambda: normalised(normalizers.NFD(), normalizers.StripAccents()),
        {"tokenizer_config.json": ANY},
    ),
    "added": ("gpt2", lambda: with_added(byte_level), {}),
    "added, any class": ("gpt2", lambda: with_added(byte_level), {"tokenizer_config.json": ANY}),
    "added, Llama": ("llama", lambda: with_added(lambda: byte_fallback(legacy=True)), {}),
    "added, lower case": (
        "gpt2",
        lambda: with_added(lambda: normalised(normalizers.Lowercase())),
        {"tokenizer_config.json": ANY},
    ),
    "added beside": (
        "gpt2",
        byte_level,
        {"added_tokens.json": {"<extra>": 400, "<other>": 401}, "tokenizer_config.json": ANY},
    ),
    "added_tokens_decoder": (
        "gpt2",
        byte_level,
        {"tokenizer_config.json": {**ANY, "added_tokens_decoder": {"400": EXTRA}}},
    ),
    "special_tokens_map": (
        "gpt2",
        byte_level,
        {
            "special_tokens_map.json": {
                **NAMED,
                "pad_token": "<extra>",
                "additional_special_tokens": ["<tool>"],
            },
            "tokenizer_config.json": ANY,
        },
    ),
    "extra special tokens": (
        "llama",
        split_then_bytes,
        {"tokenizer_config.json": {**ANY, "extra_special_tokens": {"image_token": "<image>"}}},
    ),
    "special tokens split": (
        "gpt2",
        byte_level,
        {"tokenizer_config.json": {**ANY, **NAMED, "split_special_tokens": True}},
    ),
}


def write(base: Path, case: Case, folder: Path) -> Path:
    """A checkpoint's folder: the base's model and the case's tokenizer."""
    _, make, files = case
    shutil.copytree(base, folder)
    make().save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder
