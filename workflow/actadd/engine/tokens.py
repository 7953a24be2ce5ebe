"""Text to token ids and back, with BOS put in front by us.

Tokenisers differ in whether they add a BOS (SmolLM2's and GPT-2's do not, OPT's and LLaMA's do),
and forgetting it changes every steering vector. So none is asked to: the model's config entry names
the BOS, and every text gets exactly that one. All other ids are those of the model's own tokenizer,
as transformers loads it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from numbers import Integral
from pathlib import Path
from typing import Any, TypeGuard

from actadd.base.errors import UserError, error_context, quote
from actadd.base.files import read_json
from actadd.engine import chat
from actadd.engine.chat import Message
from actadd.engine.tokenizers import FileTokenizer, LoadedTokenizer, Reader, single_id

# A text, the messages of a chat, or token ids.
Prompt = str | Sequence[Message] | Sequence[int]
# How special tokens get into a prompt.
WITH_SPECIAL_TOKENS = (
    "let a chat template write it: models.NAME.chat_template: true, for a vector {chat: TEXT} or "
    "{token_ids: [...]}, in Python messages or ids, in `actadd try` --chat or --token-ids"
)


def is_prompt(value: Any) -> TypeGuard[Prompt]:
    """Whether a value is one prompt, not a list of them."""
    return isinstance(value, str) or (
        isinstance(value, Sequence)
        and bool(value)
        and all(isinstance(item, Mapping) or _is_id(item) for item in value)
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


@lru_cache(maxsize=4)
def _read(tokenizer: Path, facts: Path, *states: Any) -> tuple[FileTokenizer, dict[str, Any]]:
    """A tokenizer and what model.json says of it, read once for all experiments on a model.

    states: of the files, so that changed ones are read anew.
    """
    from tokenizers import Tokenizer

    about = read_json(facts)
    return FileTokenizer(Tokenizer.from_file(str(tokenizer)), about), about


class Tokens:
    """A prepared model's tokenizer; needs neither torch nor the weights."""

    def __init__(self, model_dir: Path | str, literal: bool = False):
        """literal: read the text of special tokens as any other text, instead of refusing it."""
        files = [Path(model_dir) / name for name in ("tokenizer.json", "model.json")]
        states = [file.stat() for file in files if file.exists()]
        reader, facts = _read(*files, *((s.st_ino, s.st_size, s.st_mtime_ns) for s in states))
        self._take(reader, facts, literal)

    @classmethod
    def of(cls, tokenizer: Any, bos: str | None = None, pad: str | None = None) -> "Tokens":
        """The same for a tokenizer as `transformers.AutoTokenizer` loads it, which stays as it is.

        bos: the token put in front of every text, if it is not the tokenizer's own `bos_token`.
        pad: what a shorter contrast prompt is filled with, if it is not BOS.
        Raises UserError if it is not a tokenizer of transformers, or there is no such token.
        """
        if not hasattr(tokenizer, "added_tokens_decoder"):
            raise UserError(
                f"{type(tokenizer).__name__} is not a tokenizer of transformers; load it with "
                "AutoTokenizer.from_pretrained(...)"
            )
        reader = LoadedTokenizer(tokenizer)
        bos = tokenizer.bos_token if bos is None else bos
        if bos is None:
            raise UserError(
                "this tokenizer names no BOS token, and vectors are counted from one; say which "
                "token shall stand in front of every text, such as bos='<|endoftext|>'"
            )
        facts = {
            "model": tokenizer.name_or_path or "the model",
            "bos_id": single_id(reader, "bos", bos),
            "pad_id": single_id(reader, "pad", bos if pad is None else pad),
            "stop_ids": [i for i in [tokenizer.eos_token_id] if i is not None],
            "chat_template": None,
        }
        tokens = cls.__new__(cls)
        tokens._take(reader, facts, literal=False)
        return tokens

    def _take(self, reader: Reader, facts: dict[str, Any], literal: bool) -> None:
        self.model = facts["model"]
        self.bos_id: int = facts["bos_id"]
        self.pad_id: int = facts["pad_id"]
        self.stop_ids: list[int] = facts["stop_ids"]
        self.context: int | None = facts.get("context")
        # Digest of the template that every prompt is wrapped in, if the model's config says so.
        self.chat_template: str | None = facts["chat_template"]
        self._rows: int | None = facts.get("rows")
        self._reader = reader
        self._literal = literal
        # Forms of messages of which the template is known to write the last one's text.
        self._written: set[tuple[tuple[str, bool], ...]] = set()

    @property
    def _prepared(self) -> FileTokenizer:
        """The tokenizer of a prepared folder, which alone tells where tokens end."""
        assert isinstance(self._reader, FileTokenizer)
        return self._reader

    def encode(self, text: str, prefix: str = "") -> list[int]:
        """BOS and the text's tokens, or the chat template's tokens if the model asks for one.

        prefix: put before the text, as tokens of its own right after BOS.
        Raises UserError if the text holds a special token's text: it would be read as the token.
        """
        if self.chat_template is None:
            return [self.bos_id, *(self.pieces(prefix) if prefix else []), *self.pieces(text)]
        return self.prompt([{"role": "user", "content": prefix + text}])

    def prompt(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt as it stands, with exactly one BOS in front.

        prompt: a text, which is never wrapped in a chat template; or messages, as
        `apply_chat_template` renders them with the prompt for an answer; or token ids.
        Raises UserError if a text or message holds a special token's text, or there is no such id.
        """
        if isinstance(prompt, str):
            return [self.bos_id, *(self.pieces(prompt) if prompt else [])]
        if not is_prompt(prompt):
            raise UserError(
                f"{quote(prompt)} is not a prompt; write a text, a list of messages, such as "
                "[{'role': 'user', 'content': 'Hello'}], or a list of token ids"
            )
        messages = [item for item in prompt if isinstance(item, Mapping)]
        if not messages:
            return self._one_bos(self._known(prompt))
        if not all("role" in message for message in messages):
            raise UserError(f"{quote(prompt)} has a message without a role; add it")
        for text in chat.texts(messages):
            self._checked(text, literal=False)
        with error_context(self.model):
            ids = self._reader.chat(messages)
            self._check_rows("the chat template", ids)
            self._check_written(messages, ids)
        return self._one_bos(ids)

    def _one_bos(self, ids: list[int]) -> list[int]:
        """The tokenizer's own BOS, which a template may write, is one too."""
        return ids if ids[:1] in ([self.bos_id], [self._reader.own_bos]) else [self.bos_id, *ids]

    def _check_written(self, messages: Sequence[Message], ids: list[int]) -> None:
        """Raises UserError if a template leaves out the last message's text.

        Templates that read a list of parts, such as texts and images, leave it out: a plain text
        has no parts. A template is asked once for each form of messages, the texts aside.
        """
        content = messages[-1].get("content")
        form = tuple((each["role"], isinstance(each.get("content"), str)) for each in messages)
        if not isinstance(content, str) or form in self._written:
            return
        try:
            other = self._reader.chat([*messages[:-1], {**messages[-1], "content": f"{content} x"}])
        except UserError:
            # A template that refuses a text has read it.
            return
        if other == ids:
            raise UserError(
                f"its chat template leaves out {quote(content)}, as one does that reads lists of "
                "parts; write a text or token ids instead (chat_template: false), or in Python "
                'messages with the content [{"type": "text", "text": "Hello"}]'
            )
        self._written.add(form)

    def _known(self, ids: Sequence[Any]) -> list[int]:
        """Raises UserError unless the model has a row for each of these ids."""
        for token_id in map(int, ids):
            has_name = token_id >= 0 and self._reader.name_of(token_id) is not None
            if not (0 <= token_id < self._rows if self._rows else has_name):
                domain = f"from 0 to {self._rows - 1}" if self._rows else "of its tokenizer"
                raise UserError(f"{token_id} is not a token id of {self.model}; write ids {domain}")
        return [int(token_id) for token_id in ids]

    def split(self, text: str, continuation: str, prefix: str = "") -> tuple[list[int], list[int]]:
        """Token ids of a prompt, as `encode` gives them, and of what follows it.

        Both are read as one text: some tokenizers put a space before every text, also before a
        continuation that is encoded alone. A token across the border counts to the continuation.
        """
        prompt_ids = self.encode(text, prefix)
        if not continuation:
            return prompt_ids, []
        if self.chat_template is None:
            whole = self.encode(text + continuation, prefix)
        else:
            after = self.pieces(continuation)
            if self._literal and after != self._reader.encode(continuation):
                # Beside what the template writes, it would be read as a special token.
                return prompt_ids, after
            messages = [{"role": "user", "content": prefix + text}]
            whole = self._one_bos(self._prepared.chat(messages, continuation))
        common = takewhile(lambda pair: pair[0] == pair[1], zip(prompt_ids, whole, strict=False))
        shared = sum(1 for _ in common)
        return whole[:shared], whole[shared:]

    def pieces(self, text: str) -> list[int]:
        """The text's tokens alone."""
        return self._checked(text, self._literal)

    def _checked(self, text: str, literal: bool) -> list[int]:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = text[error.start]
            raise UserError(
                f"{quote(text)} holds {half!a}, half of a character; take it out of the text"
            ) from error
        try:
            ids = self._reader.encode(text, literal)
        except Exception as error:
            # Whatever the class: that of tokenizers is Exception itself.
            raise UserError(f"{self.model} cannot read {quote(text)}: {error}") from error
        names = [self._reader.name_of(i) or "" for i in ids if i in self._reader.special]
        # A character without a token is read as the unknown token, which is not a mistake.
        special = [name for name in names if name != self._reader.unknown or name in text]
        if special and not literal:
            raise UserError(
                f"{quote(text)} holds {special[0]!r}, which {self.model} reads as a special token; "
                f"take it out of the text, or {WITH_SPECIAL_TOKENS}"
            )
        self._check_rows(text, ids)
        return ids

    def _check_rows(self, text: Any, ids: list[int]) -> None:
        """Raises UserError if the model has no embedding of a token."""
        beyond = [i for i in ids if self._rows and i >= self._rows]
        if beyond:
            raise UserError(
                f"{quote(text)} holds {self._reader.name_of(beyond[0])!r}, token {beyond[0]}, but "
                f"{self.model} has embeddings of {self._rows} tokens; take it out of the text"
            )

    def raw(self, text: str) -> list[int]:
        """The text's tokens alone, special tokens among them."""
        return self._reader.encode(text)

    def check_length(self, count: int, remedy: str = "shorten it") -> None:
        """Raises UserError if the model cannot read so many tokens at once."""
        if self.context and count > self.context:
            raise UserError(
                f"{count} tokens with what follows it, but {self.model} reads at most "
                f"{self.context}; {remedy}"
            )

    def cut(self, text: str, count: int) -> str:
        """The text's beginning: what its first tokens, `count` with BOS, stand for."""
        ends = self._prepared.ends(text, self._literal)
        if len(ends) < count:
            return text
        cut = text[: ends[count - 2]]
        # A character of several tokens may have been cut after its first one.
        while len(self.pieces(cut)) >= count:
            cut = cut[:-1]
        return cut

    def decode(self, ids: list[int]) -> str:
        """Text of token ids; special tokens and ids without a token are left out."""
        return self._reader.decode(list(ids))

    def continuation(self, prompt: list[int], ids: list[int]) -> str:
        """Text of `ids` as it stands after `prompt`, with a space between them if there is one."""
        before, whole = self.decode(prompt), self.decode([*prompt, *ids])
        return whole[len(before) :] if whole.startswith(before) else self.decode(ids)

    def token(self, token_id: int) -> str:
        """One token as text, for tables; a space stays visible, an id without a token is named."""
        if self._reader.name_of(token_id) is None:
            return f"<id {token_id}>"
        return self._reader.token(token_id)
