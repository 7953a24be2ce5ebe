"""A checkpoint's tokenizer, exported as transformers loads it to one complete tokenizer.json.

AutoTokenizer uses more of a folder than its tokenizer.json: classes rebuild it, and other files
hold settings and tokens. So the loaded tokenizer is exported, and compared with AutoTokenizer on
texts of many kinds before it is used.
"""

import datetime
import json
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError, error_context, quote
from actadd.base.files import digest, read_json
from actadd.engine import chat
from actadd.engine.tokenizers import single_token
from actadd.engine.tokens import Tokens

# Patterns of files that hold a tokenizer.
FILES = ("tokenizer.json", "vocab*", "tekken.json", "*.model", "*.tiktoken", "*.vocab", "*.bpe")
# Files that every tokenizer class can read.
ALSO_READ = ("tokenizer.json", "tekken.json", "tiktoken.model")
# Parts of a tokenizer.json that decide the ids of a text and the text of ids.
DECIDING = ("normalizer", "pre_tokenizer", "model", "decoder", "added_tokens")
# Texts that distinguish tokenizers with different settings.
TEXTS = (
    "",
    " ",
    "   ",
    "\n",
    "\n\n  \n",
    "\t tab\tand\r\nline\rends\n",
    "I went up to my friend and said",
    " a space first",
    "  two spaces first, and last  ",
    "It's Anna's, they'll say: don't! (WE'RE)",
    "Upper CASE, lower case, camelCase, snake_case",
    "1 12 123 1234 12345 3.14159 1,000,000 9/11 2024-07-26",
    "naïve café Ångström, ﬁne ½ ² Ⅷ ＡＢＣ",
    "e\u0301 and é, a\u030a and å, \ufeff\u200b\u200d\u00a0\u3000\u2028.",
    "中文字符，日本語のテキスト、한국어",
    "Привет, мир. Ελληνικά. עברית. العربية. हिन्दी",
    "🙂 👩\u200d👩\u200d👧 🇫🇷 👍🏽",
    "\x00\x01\x1b\x7f\x85\ufffd\U000e0001",
    "def f(x):\n    return {'a': [x ** 2, \"b\"]}  # <tag> &amp; \\n ▁ Ġ Ċ ## @@",
    "a" * 40 + " " * 20 + "é" * 20 + "\n" * 10,
    "http://example.org/a?b=c&d=e#f user@example.org $5.00 100%",
)
# Added tokens that are also compared.
TRIED = 40


def check_present(where: str, folder: Path) -> None:
    """Raises UserError, prefixed with `where`, if a folder has no file that holds a tokenizer."""
    if not any(path for pattern in FILES for path in folder.glob(pattern)):
        raise UserError(
            f"{where}: {folder} holds no tokenizer.json and no other file of a tokenizer; put the "
            "model's there"
        )


def load(name: str, source: Path, trusted: bool, **options: Any) -> Any:
    """The tokenizer that AutoTokenizer loads from a folder.

    name: of the model, for messages. Raises UserError if it cannot be loaded, or cannot be exported
    to a file.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    key = f"models.{name}"
    if not options:
        check_present(key, source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trusted, **options)
    except Exception as error:
        message = " ".join(str(error).split())
        if not trusted and "trust_remote_code" in message:
            raise UserError(
                f"{key}: its tokenizer needs Python code of its own; read its .py files, and if "
                f"you trust them write {key}.trust_remote_code: true, and *.py in the source's "
                "files"
            ) from error
        if isinstance(error, ImportError) or "pip install" in message:
            remedy = (
                "run pip install sentencepiece tiktoken protobuf, or put a tokenizer.json there"
            )
        else:
            remedy = "get it anew, or put a tokenizer.json there"
        message = f"the tokenizer in {source} cannot be read ({message[:200]})"
        raise UserError(f"{key}: {message}; {remedy}") from error
    files = {*type(tokenizer).vocab_files_names.values(), *ALSO_READ}
    if not options and not any((source / file).is_file() for file in files):
        raise UserError(
            f"{key}: {type(tokenizer).__name__} reads no file of {source}; put the model's "
            "tokenizer.json there"
        )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise UserError(
            f"{key}: its tokenizer, {type(tokenizer).__name__}, is made of Python code and has no "
            "fast form; take a model with a tokenizer.json"
        )
    if getattr(backend.model, "dropout", None):
        raise UserError(
            f"{key}: its tokenizer cuts texts at random (dropout {backend.model.dropout:g} in "
            'tokenizer.json); write "dropout": null there'
        )
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    if len(backend.get_vocab(with_added_tokens=False).keys() - added) < 2:
        raise UserError(
            f"{key}: the tokenizer in {source} has no vocabulary but its special tokens; put the "
            "model's tokenizer.json there"
        )
    return tokenizer


def write(tokenizer: Any, folder: Path) -> None:
    """Write a loaded tokenizer to a folder, as one complete tokenizer.json."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    path = folder / "tokenizer.json"
    if path.exists():
        # An equivalent file is left unchanged, since its digest is part of every cell's key.
        if _deciding(Tokenizer.from_file(str(path))) == _deciding(backend):
            return
        path.unlink()
    backend.save(str(path))


def _deciding(tokenizer: Any) -> dict[str, Any]:
    content = json.loads(tokenizer.to_str())
    # An empty affix is equivalent to none.
    model = {key: None if value == "" else value for key, value in content["model"].items()}
    return {**{part: content[part] for part in DECIDING}, "model": model}


def facts(
    spec: dict[str, Any], folder: Path, tokenizer: Any, config: Any, rows: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts about tokens in model.json: those in the model's identity, and the others.

    spec: as `preparation.prepare` takes it. folder: holds tokenizer.json. tokenizer: as `load`
    returns it, or None if there is only that file. config: the text part of transformers' config.
    rows: number of token ids of the model.
    Raises UserError if a text is not one token, or if the model has no embedding of it.
    """
    from tokenizers import Tokenizer

    key = f"models.{spec['name']}"
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def single(field: str, text: str) -> int:
        token_id = single_token(backend, f"{key}.{field}", text)
        if token_id >= rows:
            raise UserError(
                f"{key}.{field}: {text!r} is token {token_id}, and the model has embeddings of "
                f"{rows} tokens; name another token"
            )
        return token_id

    _check_rows(key, backend, rows)
    default_stops = stop_ids(folder, tokenizer, config)
    if spec.get("stop") is None:
        if not default_stops:
            raise UserError(f"{key}.stop: the model's files name no token that ends a text; add it")
        stops = default_stops
    else:
        stops = sorted(single("stop", text) for text in spec["stop"])
        others = [backend.id_to_token(i) for i in default_stops if i not in stops]
        if others:
            tokens = ", ".join(map(repr, others))
            print(
                f"warning: {key}.stop: the model's files let a text end at {tokens} too; add it, "
                "or remove the key to take those of the files",
                flush=True,
            )
    template = _chat(spec, folder, tokenizer)
    identity = {
        "bos_id": single("bos", spec["bos"]),
        "pad_id": single("pad", spec["pad"]),
        "stop_ids": stops,
        "chat_template": digest(template) if spec.get("chat_template") else None,
    }
    if tokenizer is not None and tokenizer.split_special_tokens:
        identity["split_special_tokens"] = True
    if tokenizer is not None and _cleans_up(tokenizer):
        identity["clean_up_tokenization_spaces"] = True
    return identity, {"chat": template, "rows": rows}


def _check_rows(key: str, backend: Any, rows: int) -> None:
    """Print that a head is larger than the tokenizer; raises UserError if it is smaller."""
    words = backend.get_vocab(with_added_tokens=False)
    beyond = [word for word, token_id in words.items() if token_id >= rows]
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    beyond = sorted(set(beyond) - added, key=words.__getitem__)
    if beyond:
        raise UserError(
            f"{key}: its tokenizer has token {words[beyond[0]]}, {quote(beyond[0])}, and the model "
            f"embeddings of {rows} tokens; get the tokenizer that belongs to the weights"
        )
    unnamed = rows - len({i for i in backend.get_vocab().values() if i < rows})
    if unnamed:
        print(
            f"{key}: {unnamed} of the model's {rows} ids have no token; where they are drawn or "
            "ranked, tables show <id NUMBER> and texts leave them out",
            flush=True,
        )


def stop_ids(folder: Path, tokenizer: Any, config: Any) -> list[int]:
    """All token ids that a model's own files name as the end of a text, in ascending order."""
    generation = folder / "generation_config.json"
    values = [
        read_json(generation).get("eos_token_id") if generation.is_file() else None,
        getattr(config, "eos_token_id", None),
        None if tokenizer is None else tokenizer.eos_token_id,
    ]
    ends = [end for value in values for end in (value if isinstance(value, list) else [value])]
    return sorted({end for end in ends if end is not None})


def _cleans_up(tokenizer: Any) -> bool:
    """Whether decoding removes spaces before punctuation, by the rule of transformers."""
    forced = tokenizer.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output
    is_bpe = type(tokenizer.backend_tokenizer.model).__name__ == "BPE"
    return bool(tokenizer.clean_up_tokenization_spaces and (forced or not is_bpe))


def _chat(spec: dict[str, Any], folder: Path, tokenizer: Any) -> dict[str, Any] | None:
    """The chat template that the config names, or else the default one; None without one."""
    key, choice = f"models.{spec['name']}", spec.get("chat_template")
    templates = _templates(folder, tokenizer)
    name = choice if isinstance(choice, str) else "default"
    if name not in templates:
        names = ", ".join(sorted(templates))
        alternatives = (
            f"templates of other names; write one of {names}" if names else "no chat template"
        )
        if choice:
            raise UserError(
                f"{key}.chat_template: {json.dumps(choice)}, but the model carries {alternatives}"
            )
        for field in ("chat_variables", "chat_date"):
            if field in spec:
                raise UserError(
                    f"{key}.{field}: it is set, but the model carries {alternatives}; remove it"
                )
        return None
    template = templates[name]
    special_tokens = {} if tokenizer is None else tokenizer.special_tokens_map
    variables = {**special_tokens, **spec.get("chat_variables", {})}
    record = {"template": template, "variables": variables}
    if "strftime_now" not in template:
        if "chat_date" in spec:
            print(
                f"warning: {key}.chat_date: its chat template does not ask for the date; what it "
                "reads by a name of its own stands in chat_variables",
                flush=True,
            )
    else:
        record["date"] = spec.get("chat_date") or datetime.date.today().isoformat()
        if choice and not spec.get("chat_date"):
            print(
                f"warning: {key}.chat_date: its chat template writes the date; {record['date']} is "
                f'kept; write chat_date: "{record["date"]}" to have it on every machine and day',
                flush=True,
            )
    return record


def _templates(folder: Path, tokenizer: Any) -> dict[str, str]:
    """Name -> chat template of the tokenizer, or of a processor if the tokenizer has none."""
    templates = getattr(tokenizer, "chat_template", None)
    processor_file = folder / "chat_template.json"
    if templates is None and processor_file.is_file():
        templates = read_json(processor_file).get("chat_template")
    if isinstance(templates, list):
        templates = {entry["name"]: entry["template"] for entry in templates}
    if templates is None:
        return {}
    return templates if isinstance(templates, dict) else {"default": templates}


def check(spec: dict[str, Any], folder: Path, tokenizer: Any) -> None:
    """Raises UserError unless a prepared folder tokenizes as the loaded tokenizer does."""
    tokens = Tokens(folder)
    key = f"models.{spec['name']}"
    added = list(tokenizer.added_tokens_decoder.values())[:TRIED]
    with_added = {f"a{token.content} b {token.content} c": token for token in added}
    for text in [*TEXTS, *with_added]:
        try:
            theirs = tokenizer.encode(text, add_special_tokens=False)
            ours = tokens.raw(text)
        except Exception as error:
            if text in with_added and with_added[text].special:
                # For example <FILL_ME> of Code Llama; our texts never contain special tokens.
                continue
            raise UserError(
                f"{key}: {type(tokenizer).__name__} cannot read {quote(text)} ({error}); put the "
                "tokenizer's files there that belong to the model"
            ) from error
        if ours != theirs:
            raise UserError(
                f"{key}: {type(tokenizer).__name__} reads {quote(text)} as {quote(theirs)}, and "
                f"its tokenizer.json as {quote(ours)}; such a tokenizer is not supported"
            )
        if tokens.decode(ours) != tokenizer.decode(theirs, skip_special_tokens=True):
            raise UserError(
                f"{key}: {type(tokenizer).__name__} writes {quote(ours)} in another way than its "
                "tokenizer.json; such a tokenizer is not supported"
            )
    if not spec.get("chat_template"):
        return
    record = read_json(folder / "model.json")["chat"]
    for content in ("Hello", " What is 2 + 2?\nTell me.  "):
        messages = [{"role": "user", "content": content}]
        with error_context(f"{key}.chat_template"):
            ours = tokens.encode(content)
            with (
                chat.refusals_said(messages),
                chat.told_date(record["template"], record.get("date")),
            ):
                theirs = tokenizer.apply_chat_template(
                    messages,
                    chat_template=record["template"],
                    add_generation_prompt=True,
                    return_dict=False,
                    **record["variables"],
                )
            if theirs not in (ours, ours[1:]):
                raise UserError(
                    f"{type(tokenizer).__name__} writes {messages} in another way than its "
                    "template; write false"
                )
