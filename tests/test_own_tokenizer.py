"""Our tokens are the model's own: every kind of tokenizer folder against AutoTokenizer."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

import zoo
from actadd import models, own_tokenizer
from actadd.errors import UserError
from actadd.tokens import Tokens

ENTRY = {
    "name": "m",
    "format": "transformers",
    "layers": 1,
    "parameters": None,
    "bos": "<s>",
    "pad": "</s>",
    "stop": ["</s>"],
    "chat_template": False,
}
TEXTS = (
    *own_tokenizer.TEXTS,
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
    unknown = model.get("unk_id", theirs.convert_tokens_to_ids(model.get("unk_token")))
    if special - {unknown} or (special and theirs.convert_ids_to_tokens(unknown) in text):
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
    models.prepare(ENTRY, source, folder / "out")
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
