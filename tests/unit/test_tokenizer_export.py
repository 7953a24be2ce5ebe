"""Our tokens are the model's own: every kind of tokenizer folder against AutoTokenizer."""

import base64
import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from actadd.base.errors import UserError
from actadd.engine.tokens import Tokens
from actadd.models import preparation, tokenizer_export
from actadd.vectors.activations import contrast_ids, late
from builders import zoo

ENTRY = {**zoo.ENTRY, "stop": ["</s>"], "chat_template": False}
TEXTS = (
    *tokenizer_export.TEXTS,
    "the <left> word <right> and <both> sword, word. Cased cased  <extra> x<other>y",
    "a<tool>b <image>",
    "<s>",
    "a </s> b",
    "  <unk>",
)


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    return {kind: zoo.make_base(folder / kind, kind) for kind in ("gpt2", "llama")}


def agree(tokens: Tokens, theirs, text: str) -> None:
    """Both have the same ids and write them alike, or ours says why the text is refused."""
    ids = theirs.encode(text, add_special_tokens=False)
    special = {i for i, token in theirs.added_tokens_decoder.items() if token.special} & {*ids}
    model = json.loads(theirs.backend_tokenizer.to_str())["model"]
    unknown = (
        theirs.convert_ids_to_tokens(model["unk_id"]) if "unk_id" in model else model["unk_token"]
    )
    named = {i for i in special if theirs.convert_ids_to_tokens(i) != unknown}
    if named or (special and unknown in text):
        with pytest.raises(UserError, match="reads as a special token"):
            tokens.encode(text)
        return
    assert tokens.encode(text) == [tokens.bos_id, *ids]
    assert tokens.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


@pytest.fixture(scope="module", params=zoo.CASES)
def folders(request, bases, tmp_path_factory):
    """A folder of the zoo, as it is and prepared."""
    case = zoo.CASES[request.param]
    folder = tmp_path_factory.mktemp("zoo")
    source = zoo.write(bases[case[0]], case, folder / "source")
    preparation.prepare(ENTRY, source, folder / "out")
    return source, folder / "out"


@pytest.fixture(scope="module")
def both(folders):
    source, prepared = folders
    return AutoTokenizer.from_pretrained(source), Tokens(prepared)


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(
    text=st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
            st.sampled_from([*" \n\t'▁Ġ", "<left>", "<both>", "word", "<extra>", "the ", "12"]),
        ),
        max_size=8,
    ).map("".join)
)
def test_any_text(both, text):
    theirs, tokens = both
    agree(tokens, theirs, text)
    agree(Tokens.of(theirs, bos="<s>"), theirs, text)


def test_texts_of_every_kind(both):
    theirs, tokens = both
    state = theirs.backend_tokenizer.to_str()
    loaded = Tokens.of(theirs, bos="<s>")
    loaded.encode("a longer text than any limit in a file")
    assert theirs.backend_tokenizer.to_str() == state
    for text in TEXTS:
        agree(tokens, theirs, text)
        agree(loaded, theirs, text)
    assert loaded.bos_id == tokens.bos_id == 1


# --- folders ---


@pytest.fixture
def folder(bases, tmp_path):
    """Makes a folder of a model with these files: name -> text or what JSON holds."""

    def make(kind: str = "gpt2", **files):
        source = shutil.copytree(bases[kind], tmp_path / "source")
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (source / name).write_text(text, encoding="utf-8")
        return source

    return make


def prepared(source, **changes):
    preparation.prepare({**ENTRY, **changes}, source, source.parent / "out")
    return Tokens(source.parent / "out")


PARTS = json.loads(zoo.byte_level().to_str())
WORDS = zoo.word_piece(True, "[UNK]").get_vocab()
MERGES = ["#version: 0.2", *(" ".join(pair) for pair in PARTS["model"]["merges"])]
SLOW = {
    "vocabulary and merges": {
        "vocab.json": PARTS["model"]["vocab"],
        "merges.txt": "\n".join(MERGES),
        "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", **zoo.NAMED},
    },
    "with a space in front": {
        "vocab.json": PARTS["model"]["vocab"],
        "merges.txt": "\n".join(MERGES),
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer",
            "add_prefix_space": True,
            **zoo.NAMED,
        },
    },
    "words alone": {
        "vocab.txt": "\n".join(sorted(WORDS, key=WORDS.get)),
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
    },
}


@pytest.mark.parametrize("case", SLOW)
def test_files_of_slow_tokenizers(folder, case):
    source = folder(**SLOW[case])
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    tokens, theirs = prepared(source), AutoTokenizer.from_pretrained(source)
    for text in TEXTS:
        agree(tokens, theirs, text)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


@pytest.mark.parametrize("case", ["sentencepiece", "tiktoken"])
def test_files_that_need_a_package_say_which(folder, case):
    """They are read where it is installed, else the message names it."""
    lines = [f"{base64.b64encode(bytes([i])).decode()} {i}" for i in range(256)]
    content = {"tiktoken": "\n".join(lines), "sentencepiece": "\n\x0e\n\x05<unk>"}[case]
    source = folder("llama", **{"tokenizer.model": content, "tokenizer_config.json": zoo.ANY})
    if find_spec("tiktoken") and case == "tiktoken":
        return agree(prepared(source), AutoTokenizer.from_pretrained(source), "Hello there")
    with pytest.raises(UserError, match=r"models\.m: .*pip install sentencepiece tiktoken"):
        prepared(source)


def with_model(**changes) -> dict:
    return {**PARTS, "model": {**PARTS["model"], **changes}}


REFUSED = {
    "nothing": ({}, "holds no tokenizer.json"),
    "settings alone": ({"tokenizer_config.json": zoo.ANY}, "holds no tokenizer.json"),
    "another class's file": (
        {"vocab.txt": "a\nb", "tokenizer_config.json": {"tokenizer_class": "GemmaTokenizer"}},
        "GemmaTokenizer reads no file of .*put the model's tokenizer.json there",
    ),
    "special tokens alone": (
        {
            "tokenizer.json": with_model(vocab={"<unk>": 0, "<s>": 1, "</s>": 2}, merges=[]),
            "tokenizer_config.json": zoo.ANY,
        },
        "no vocabulary but its special tokens",
    ),
    "dropout": (
        {"tokenizer.json": with_model(dropout=0.5), "tokenizer_config.json": zoo.ANY},
        r'dropout 0\.5 in tokenizer\.json.*"dropout": null',
    ),
    "Python code": (
        {
            "vocab.json": {"a": 0},
            "merges.txt": "#version: 0.2\n",
            "tokenizer_config.json": {"tokenizer_class": "CTRLTokenizer"},
        },
        "CTRLTokenizer, is made of Python code",
    ),
    "code of its own": (
        {
            "fancy.py": "raise SystemExit",
            "vocab.json": {"a": 0},
            "config.json": {"model_type": "gpt2", "vocab_size": zoo.ROWS, "n_embd": 8, "n_layer": 1}
            | {"n_head": 2, "n_positions": 64, "auto_map": {"AutoConfig": "fancy.Config"}},
            "tokenizer_config.json": {
                "tokenizer_class": "Fancy",
                "auto_map": {"AutoTokenizer": ["fancy.Fancy", None]},
            },
        },
        "code of its own|cannot be read",
    ),
    "no JSON": ({"tokenizer.json": '{"a":'}, "cannot be read .*get it anew"),
    "damaged settings": (
        {"tokenizer.json": PARTS, "tokenizer_config.json": '{"a":'},
        "cannot be read .*get it anew",
    ),
    "a class that reads none of it": (
        {
            "vocab.txt": "[PAD]\n<s>\n</s>\na\nb",
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
        },
        "cannot be read .*put a tokenizer.json there",
    ),
    "no token for what is unknown": (
        {
            "tokenizer.json": {
                **json.loads(zoo.word_piece(True).to_str()),
                "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"a": 0, "b": 1}}
                | {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
            },
            "tokenizer_config.json": zoo.ANY,
        },
        "cannot read .*Missing .UNK. token.*tokenizer's files",
    ),
    "larger than the head": (
        {
            "tokenizer.json": with_model(
                vocab={**PARTS["model"]["vocab"], "far": zoo.ROWS}, merges=[]
            ),
            "tokenizer_config.json": zoo.ANY,
        },
        f"token {zoo.ROWS}, 'far', and the model embeddings of {zoo.ROWS} tokens",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(folder, case):
    files, output = REFUSED[case]
    with pytest.raises(UserError, match=f"models\\.m.*{output}|models\\.m: {output}"):
        # A pad that is a special token is one token in every tokenizer.
        prepared(folder(**files))


def test_a_tokenizer_that_is_more_than_its_file_is_refused(folder, monkeypatch):
    """A class that changes texts before they are encoded; its own code decides, not a file."""
    from transformers import PreTrainedTokenizerFast

    source = folder(**{"tokenizer.json": PARTS, "tokenizer_config.json": {**zoo.ANY, **zoo.NAMED}})
    encode = PreTrainedTokenizerFast.encode
    shouting = lambda self, text, **options: encode(self, text.upper(), **options)  # noqa: E731
    monkeypatch.setattr(PreTrainedTokenizerFast, "encode", shouting)
    with pytest.raises(
        UserError, match=r"models\.m: .* reads .* such a tokenizer is not supported"
    ):
        prepared(source)
    loaded = Tokens.of(AutoTokenizer.from_pretrained(source))
    monkeypatch.undo()
    theirs = AutoTokenizer.from_pretrained(source).encode("A WORD", add_special_tokens=False)
    monkeypatch.setattr(PreTrainedTokenizerFast, "encode", shouting)
    assert loaded.encode("a word") == [1, *theirs]


@pytest.mark.parametrize("make", [zoo.byte_level, lambda: zoo.byte_fallback(legacy=True)])
def test_a_class_that_splits_a_text_at_a_special_token_is_taken(folder, make):
    """As Code Llama's does at <FILL_ME>, twice of which it cannot read."""
    settings = {"tokenizer_class": "CodeLlamaTokenizer", **zoo.NAMED}
    source = folder(
        "llama", **{"tokenizer.json": make().to_str(), "tokenizer_config.json": settings}
    )
    tokens, theirs = prepared(source), AutoTokenizer.from_pretrained(source)
    for text in TEXTS:
        agree(tokens, theirs, text)
    with pytest.raises(UserError, match="'<FILL_ME>', which m reads as a special token"):
        tokens.encode("a <FILL_ME> b")


def test_a_tokenizer_of_python_code_works_when_it_is_loaded():
    from transformers import ByT5Tokenizer

    theirs = ByT5Tokenizer()
    tokens = Tokens.of(theirs, bos="</s>")
    assert tokens.encode("hé a") == [1, *theirs.encode("hé a", add_special_tokens=False)]
    with pytest.raises(UserError, match="'</s>', which"):
        tokens.encode("a</s>")


# --- heads, stops, ids ---


def test_a_head_that_is_larger_is_reported_and_its_ids_are_named(folder, capsys):
    source = folder(**{"tokenizer.json": PARTS, "tokenizer_config.json": {**zoo.ANY, **zoo.NAMED}})
    tokens = prepared(source)
    assert (
        f"{zoo.ROWS - 400} of the model's {zoo.ROWS} ids have no token" in capsys.readouterr().out
    )
    assert tokens.token(650) == "<id 650>" and tokens.token(1) == "<s>"
    ids = tokens.pieces("a day")
    assert tokens.decode([*ids, 650]) == "a day"
    assert tokens.continuation(tokens.encode("a"), [650]) == ""
    assert tokens.prompt([650, 5]) == [1, 650, 5], "a row of the model's, though it has no name"
    for beyond in (700, 2**40, 10**30):
        with pytest.raises(UserError, match=f"{beyond} is not a token id of m; .*from 0 to 699"):
            tokens.prompt([beyond])
        assert tokens.token(beyond) == f"<id {beyond}>"


def test_an_added_token_without_an_embedding_is_refused_where_it_is_used(folder):
    far = {"id": zoo.ROWS, "content": "<image>", **dict.fromkeys(zoo.FLAGS, False)}
    # Ids of added tokens follow the vocabulary's.
    filled = {f"word{i}": i for i in range(400, zoo.ROWS)}
    parts = with_model(vocab={**PARTS["model"]["vocab"], **filled})
    parts["added_tokens"] = [*PARTS["added_tokens"], far]
    source = folder(**{"tokenizer.json": parts, "tokenizer_config.json": {**zoo.ANY, **zoo.NAMED}})
    tokens = prepared(source)
    assert tokens.encode("a day")
    with pytest.raises(UserError, match=f"holds '<image>', token {zoo.ROWS}, but m has embeddings"):
        tokens.encode("an <image>")
    with pytest.raises(UserError, match=r"models\.m\.pad: '<image>' is token 700"):
        prepared(source, pad="<image>")


STOPS = {
    "generation_config.json": {"eos_token_id": [2, 5]},
    "tokenizer_config.json": {**zoo.ANY, **zoo.NAMED, "eos_token": "the"},
}


def test_stop_tokens_are_all_that_the_models_files_name(folder, capsys):
    source = folder(**{"tokenizer.json": PARTS, **STOPS})
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "eos_token_id": 7}))
    eos = AutoTokenizer.from_pretrained(source).eos_token_id
    assert prepared(source, stop=None).stop_ids == sorted({2, 5, 7, eos})
    assert "warning" not in capsys.readouterr().out
    assert prepared(source, stop=["</s>"]).stop_ids == [2]
    output = capsys.readouterr().out
    assert "warning: models.m.stop" in output and "'the'" in output and "remove the key" in output
    assert prepared(source, stop=[]).stop_ids == []


def test_no_stop_token_anywhere_is_reported(folder):
    source = folder(**{"tokenizer.json": PARTS, "tokenizer_config.json": zoo.ANY})
    (source / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "eos_token_id": None}))
    with pytest.raises(UserError, match=r"models\.m\.stop: .* add it"):
        prepared(source, stop=None)
    assert prepared(source, stop=["</s>"]).stop_ids == [2]


# --- texts ---


@pytest.mark.parametrize("make", [zoo.byte_level, zoo.unigram, lambda: zoo.byte_fallback(True)])
def test_what_no_tokenizer_reads_is_refused(folder, make):
    source = folder(
        **{"tokenizer.json": make().to_str(), "tokenizer_config.json": {**zoo.ANY, **zoo.NAMED}}
    )
    for tokens in (prepared(source), Tokens.of(AutoTokenizer.from_pretrained(source))):
        with pytest.raises(UserError, match=r"'\\ud800', half of a character"):
            tokens.encode("a \ud800 b")
        for prompt in (None, 3, [], [1.5], [True], [None], [1, "a"], {"role": "user"}):
            with pytest.raises(UserError, match="is not a prompt; write a text"):
                tokens.prompt(prompt)
        with pytest.raises(UserError, match="-1 is not a token id"):
            tokens.prompt([-1])
        with pytest.raises(UserError, match="without a role"):
            tokens.prompt([{"content": "Hello"}])


def test_a_prompt_of_ids_has_one_bos(folder):
    source = folder(**{"tokenizer.json": PARTS, "tokenizer_config.json": {**zoo.ANY, **zoo.NAMED}})
    for tokens in (prepared(source), Tokens.of(AutoTokenizer.from_pretrained(source))):
        assert tokens.prompt([5, 6]) == tokens.prompt([1, 5, 6]) == [1, 5, 6]
        assert tokens.prompt(np.array([5, 6]).tolist()) == tokens.prompt([np.int64(5), 6])
        assert tokens.prompt("") == [1]


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(text=st.text(max_size=12), more=st.text(max_size=12), count=st.integers(2, 6))
def test_a_border_and_a_cut(both, text, more, count):
    """A prompt and what follows are one text's tokens; a cut text has no more than it shall."""
    theirs, tokens = both
    try:
        prompt, rest = tokens.split(text, more)
    except UserError:
        return
    assert [*prompt, *rest] == [1, *theirs.encode(text + more, add_special_tokens=False)]
    cut = tokens.cut(text + more, count)
    assert (text + more).startswith(cut) and len(tokens.encode(cut)) <= count


def test_words_with_a_space_in_front_act_late_in_llamas_tokens(folder):
    source = folder(
        "llama",
        **{
            "tokenizer.json": zoo.byte_fallback(legacy=True).to_str(),
            "tokenizer_config.json": {**zoo.ANY, **zoo.NAMED},
        },
    )
    tokens = prepared(source)

    def warned(positive, negative):
        pair = {"kind": "pair", "positive": positive, "negative": negative}
        prompts = contrast_ids(pair, tokens)
        return late(prompts, [tokens.token(i) for i in prompts["0.positive"]])

    [output] = warned(" they", " tins")
    assert "position 1 is exactly zero" in output and "position 2 on" in output
    assert warned("they", "tins") == warned("they", "") == []
