"""Chats: the ids of transformers' apply_chat_template, whatever the template."""

import datetime
import json

import pytest
from tokenizers import AddedToken
from transformers import AutoTokenizer

from actadd import prompt_batch
from actadd.base.errors import UserError
from actadd.base.files import read_json
from actadd.engine.tokens import Tokens
from actadd.models import preparation
from actadd.vectors.activations import contrast_ids, late
from builders import chats, zoo

ENTRY = {**zoo.ENTRY, "chat_template": True}
SETTINGS = {"tokenizer_class": "PreTrainedTokenizerFast", **zoo.NAMED}
TEXTS = ("Hello", "  two\n\nparagraphs\r\nand ends \n", 'It\'s "é" <b> & 🙂 {{ x }} {% y %}', "")


def tokenizer():
    result = zoo.byte_level()
    result.add_special_tokens([AddedToken(name) for name in chats.TOKENS])
    return result


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return zoo.make_base(tmp_path_factory.mktemp("base") / "gpt2", "gpt2")


@pytest.fixture
def source(base, tmp_path):
    """Makes a folder with files beside the tokenizer: name -> content."""

    def make(**files):
        files.setdefault("tokenizer_config.json", SETTINGS)
        return zoo.write(base, ("gpt2", tokenizer, files), tmp_path / "source")

    return make


def prepared(source, tmp_path, **changes) -> Tokens:
    preparation.prepare({**ENTRY, **changes}, source, tmp_path / "out")
    return Tokens(tmp_path / "out")


def rendered(source, text, **options) -> list[int]:
    return AutoTokenizer.from_pretrained(source).apply_chat_template(
        [{"role": "user", "content": text}],
        add_generation_prompt=True,
        return_dict=False,
        **options,
    )


def with_bos(ids: list[int]) -> list[int]:
    return ids if ids[:1] == [1] else [1, *ids]


@pytest.mark.parametrize("form", chats.FORMS)
def test_a_form_of_template(source, tmp_path, form):
    folder = source(**{"chat_template.jinja": chats.FORMS[form]})
    today = datetime.date.today().isoformat()
    tokens = prepared(folder, tmp_path, chat_date=today)
    loaded = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        expected = with_bos(rendered(folder, text))
        assert tokens.encode(text) == expected
        ids, mask = prompt_batch(loaded, [[{"role": "user", "content": text}]])
        assert ids[0].tolist() == expected and mask.all()
    talk = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go on"},
    ]
    expected = loaded.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
    assert tokens.prompt(talk) == with_bos(expected)
    with pytest.raises(UserError, match=r"'<\|im_end\|>'.*chat_template: true"):
        tokens.encode("a<|im_end|>b")


PLACES = {
    "tokenizer_config.json": {**SETTINGS, "chat_template": chats.CHATML},
    "chat_template.jinja": chats.CHATML,
    "chat_template.json": {"chat_template": chats.CHATML},
}


@pytest.mark.parametrize("file", PLACES)
def test_files_that_may_hold_a_template(source, tmp_path, file):
    folder = source(**{file: PLACES[file]})
    expected = with_bos(rendered(folder, "Hello", chat_template=chats.CHATML))
    assert prepared(folder, tmp_path).encode("Hello") == expected


NAMED = [
    {"name": "default", "template": chats.COMMAND},
    {"name": "tool_use", "template": chats.GENERATION},
]


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config.json": {**SETTINGS, "chat_template": NAMED}},
        {
            "chat_template.jinja": chats.COMMAND,
            "additional_chat_templates/tool_use.jinja": chats.GENERATION,
        },
    ],
)
def test_one_of_several_templates_is_named(source, tmp_path, files):
    folder = source(**files)
    for asked, name in ((True, "default"), ("default", "default"), ("tool_use", "tool_use")):
        expected = with_bos(rendered(folder, "Hello", chat_template=name))
        assert prepared(folder, tmp_path, chat_template=asked).encode("Hello") == expected
    with pytest.raises(UserError, match=r"models\.m\.chat_template: \"rag\".*default, tool_use"):
        prepared(folder, tmp_path, chat_template="rag")


def test_no_default_among_several_is_reported(source, tmp_path):
    named = [{"name": "rag", "template": chats.COMMAND}]
    folder = source(**{"tokenizer_config.json": {**SETTINGS, "chat_template": named}})
    with pytest.raises(UserError, match=r"chat_template: true.* write one of rag"):
        prepared(folder, tmp_path)


def test_a_templates_variables_and_its_date(source, tmp_path, capsys):
    folder = source(**{"chat_template.jinja": chats.HARMONY})
    tokens = prepared(folder, tmp_path, chat_date="2024-07-26")
    assert "Current date: 2024-07-26" in tokens.decode(tokens.encode("Hello"))
    assert "warning" not in capsys.readouterr().out
    first = read_json(tmp_path / "out/model.json")
    low = prepared(
        folder, tmp_path, chat_date="2024-07-26", chat_variables={"reasoning_effort": "low"}
    )
    assert "Reasoning: low" in low.decode(low.encode("Hello"))
    assert read_json(tmp_path / "out/model.json")["identity"] != first["identity"]
    # Without one it is the day's, which is kept and said.
    today = datetime.date.today().isoformat()
    tokens = prepared(folder, tmp_path)
    assert f'chat_date: "{today}"' in capsys.readouterr().out
    assert f"Current date: {today}" in tokens.decode(tokens.encode("Hello"))
    assert read_json(tmp_path / "out/model.json")["chat"]["date"] == today
    # The clock of transformers' own templates stays as it was.
    assert with_bos(rendered(folder, "Hello")) == tokens.encode("Hello")


def test_a_variable_of_thinking(source, tmp_path):
    folder = source(**{"chat_template.jinja": chats.QWEN_3})
    expected = with_bos(rendered(folder, "Hello", enable_thinking=False))
    assert expected != with_bos(rendered(folder, "Hello"))
    tokens = prepared(folder, tmp_path, chat_variables={"enable_thinking": False})
    assert tokens.encode("Hello") == expected


REFUSING = {
    "{{ raise_exception('Only whales may ask') }}": "Only whales may ask",
    "{{ messages[0].nothing.more }}": "no attribute 'nothing'",
    "{% for": "unexpected 'end of template'",
    "{{ ''.__class__.__mro__ }}": "unsafe",
    "{{ 1 / 0 }}": "division by zero",
    "{{ messages[0].content + 1 }}": "concatenate",
}


@pytest.mark.parametrize("template", REFUSING)
def test_a_templates_own_error_is_its_sentence(source, tmp_path, template):
    folder = source(**{"chat_template.jinja": template})
    with pytest.raises(
        UserError, match=f"models\\.m\\.chat_template.*'Hello'.*{REFUSING[template]}"
    ):
        prepared(folder, tmp_path)


OF_PARTS = (
    "{% for message in messages %}{% for part in message.content if part.type == 'text' %}"
    "{{ part.text }}{% endfor %}{% endfor %}:"
)


@pytest.mark.parametrize("template", [OF_PARTS, "{{ messages[0].content[0].text }}", "Hello"])
def test_a_template_that_leaves_out_a_plain_text_is_refused(source, tmp_path, template):
    """As those for texts and images do: they read a list of parts, and write nothing else."""
    folder = source(**{"chat_template.jinja": template})
    with pytest.raises(UserError, match=r"models\.m\.chat_template.*leaves out 'Hello'"):
        prepared(folder, tmp_path)
    tokens = prepared(folder, tmp_path, chat_template=False)
    message = {"role": "user", "content": "Hello"}
    for reader in (tokens, Tokens.of(AutoTokenizer.from_pretrained(folder))):
        with pytest.raises(
            UserError, match=r"m: .*leaves out 'Hello'|leaves out 'Hello'"
        ) as output:
            reader.prompt([message])
    if template == OF_PARTS:
        parts = json.loads(str(output.value).partition("content ")[2])
        expected = AutoTokenizer.from_pretrained(folder).encode("Hello:", add_special_tokens=False)
        assert tokens.prompt([{**message, "content": parts}]) == [1, *expected]


def test_a_refusal_of_one_text_names_model_and_text(source, tmp_path):
    template = "{% if 'x' in messages[0].content %}{{ raise_exception('No x') }}{% endif %}ok"
    folder = source(**{"chat_template.jinja": template})
    with pytest.raises(UserError, match=r"m: its chat template refuses 'axb': No x"):
        prepared(folder, tmp_path).encode("axb")


def test_a_template_that_draws_is_refused(source, tmp_path):
    folder = source(**{"chat_template.jinja": "{{ range(99999) | random }}" * 9})
    with pytest.raises(UserError, match=r"models\.m\.chat_template.*in another way"):
        prepared(folder, tmp_path)


def test_the_templates_bos_counts_and_is_one(source, tmp_path):
    """The tokenizer's own, that the template writes, though the config names another token."""
    folder = source(**{"chat_template.jinja": chats.MISTRAL})
    expected = rendered(folder, "Hello")
    assert expected[0] == 1
    assert prepared(folder, tmp_path, bos="<unk>").encode("Hello") == expected
    (folder / "chat_template.jinja").write_text(chats.CHATML)
    assert prepared(folder, tmp_path, bos="<unk>").encode("Hello") == [
        0,
        *rendered(folder, "Hello"),
    ]


def test_a_model_without_a_template_says_so_for_a_chat(source, tmp_path):
    tokens = prepared(source(), tmp_path, chat_template=False)
    with pytest.raises(
        UserError, match="m: it carries no chat template; write a text or token ids"
    ):
        tokens.prompt([{"role": "user", "content": "Hello"}])


def test_what_no_template_reads_is_reported(source, tmp_path, capsys):
    folder = source()
    for field, value in (("chat_variables", {"a": 1}), ("chat_date", "2024-07-26")):
        with pytest.raises(UserError, match=rf"models\.m\.{field}: .* no chat template; remove it"):
            prepared(folder, tmp_path, chat_template=False, **{field: value})
    (folder / "chat_template.jinja").write_text(chats.CHATML)
    prepared(folder, tmp_path, chat_date="2024-07-26")
    assert "chat_date: its chat template does not ask for the date" in capsys.readouterr().out


@pytest.mark.parametrize("make", [tokenizer, lambda: zoo.byte_fallback(legacy=True)])
def test_an_answer_is_read_with_the_chat(base, tmp_path, make):
    """Also by a tokenizer that puts a space before every text."""
    files = {"tokenizer_config.json": SETTINGS, "chat_template.jinja": chats.VICUNA}
    folder = zoo.write(base, ("gpt2", make, files), tmp_path / "source")
    tokens, loaded = prepared(folder, tmp_path), AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "Hello"}]
    chat = loaded.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    for answer in (" the day", "and then", ""):
        prompt, rest = tokens.split("Hello", answer)
        expected = loaded.encode(chat + answer, add_special_tokens=False)
        assert [*prompt, *rest] == with_bos(expected) and prompt == tokens.encode("Hello")[
            : len(prompt)
        ]
    # A judge reads a special token's text as any other.
    literal = Tokens(tmp_path / "out", literal=True)
    assert 2 not in literal.split("Hello", "a </s>")[1]


# --- contrast prompts ---


def test_contrasts_of_chats_and_ids(source, tmp_path):
    folder = source(**{"chat_template.jinja": chats.LLAMA_2})
    tokens = prepared(folder, tmp_path, chat_template=False)
    pair = {"name": "v", "kind": "pair", "positive": {"chat": "Love"}, "negative": {"chat": "Hate"}}
    ids = contrast_ids(pair, tokens)
    assert ids["0.positive"][: len(rendered(folder, "Love"))] == rendered(folder, "Love")
    assert ids["0.negative"][: len(rendered(folder, "Hate"))] == rendered(folder, "Hate")
    talk = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Love"}]
    loaded = AutoTokenizer.from_pretrained(folder)
    expected = loaded.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
    single = {"name": "v", "kind": "single", "prompt": {"chat": talk}}
    assert contrast_ids(single, tokens) == {"0.positive": expected}
    many = {"name": "v", "kind": "mean_difference"}
    many |= {"positive": [{"token_ids": [5, 6]}, "Love"], "negative": ["Hate", {"chat": "Hate"}]}
    result = contrast_ids(many, tokens)
    assert result["0.positive"] == [1, 5, 6] and result["1.positive"] == tokens.prompt("Love")
    assert result["0.negative"] == tokens.prompt("Hate")
    assert result["1.negative"] == rendered(folder, "Hate")
    with pytest.raises(UserError, match=r"vectors\.v: prompt .*</s>.*chat: TEXT.*token_ids"):
        contrast_ids({**pair, "positive": "a</s>"}, tokens)
    # What the message says instead is taken.
    told = loaded("a</s>", add_special_tokens=False).input_ids
    assert contrast_ids({**single, "prompt": {"token_ids": told}}, tokens)["0.positive"] == [
        1,
        *told,
    ]


def test_a_contrast_of_equal_prompts_is_refused(source, tmp_path):
    folder = source(**{"chat_template.jinja": chats.OLMO})
    tokens = prepared(folder, tmp_path, chat_template=False, bos="<unk>", pad=" ")
    pair = {"name": "v", "kind": "pair", "positive": "Love", "negative": "Love "}
    with pytest.raises(UserError, match=r"vectors\.v: 'Love' and 'Love ' are the same tokens"):
        contrast_ids(pair, tokens)
    mistral = source_again(folder, chats.MISTRAL)
    tokens = prepared(mistral, tmp_path, chat_template=False, bos="<unk>")
    with pytest.raises(
        UserError, match=r"begins with '<unk>', the negative with '<s>'; write both"
    ):
        contrast_ids({**pair, "negative": {"chat": "Hate"}}, tokens)


def source_again(folder, template):
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_what_both_prompts_begin_with_is_warned_of(source, tmp_path):
    tokens = prepared(source(), tmp_path, chat_template=False)
    names = [tokens.token(i) for i in range(400)]

    def lines(positive, negative):
        pair = {"kind": "pair", "positive": positive, "negative": negative}
        prompts = contrast_ids(pair, tokens)
        return late(prompts, [names[i] for i in prompts["0.positive"]])

    assert lines({"token_ids": [5, 6]}, {"token_ids": [6, 6]}) == []
    [output] = lines({"token_ids": [5, 6]}, {"token_ids": [5, 7]})
    assert repr(names[5]) in output and "position 1 is exactly zero" in output
    assert "acts from position 2 on" in output
    [output] = lines({"token_ids": [5, 6, 7]}, {"token_ids": [5, 6, 8, 9]})
    assert "positions 1 to 2 are" in output and "position 3 on" in output
