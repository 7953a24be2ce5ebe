"""What is asked of a tokenizer, by tokenizers' own code or by transformers'."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from actadd.base.errors import UserError, quote
from actadd.engine import chat
from actadd.engine.chat import Message

NO_TEMPLATE = "it carries no chat template; write a text or token ids instead"


def _unknown(tokenizer: Any) -> str | None:
    """The unknown token of a `tokenizers.Tokenizer`; None if it has none."""
    if hasattr(tokenizer.model, "unk_token"):
        return tokenizer.model.unk_token
    # Unigram says it in its file alone.
    token_id = json.loads(tokenizer.to_str())["model"].get("unk_id")
    return None if token_id is None else tokenizer.id_to_token(token_id)


class FileTokenizer:
    """A prepared folder's tokenizer, with what model.json says of it."""

    def __init__(self, tokenizer: Any, facts: Mapping[str, Any]):
        self._tokenizer, self._chat = tokenizer, facts.get("chat")
        # Settings of a file that must not change a text's tokens.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._split = facts.get("split_special_tokens", False)
        self._clean = facts.get("clean_up_tokenization_spaces", False)
        added = tokenizer.get_added_tokens_decoder()
        self.special = {token_id for token_id, token in added.items() if token.special}
        self.unknown = _unknown(tokenizer)
        # The last chat and its text.
        self._rendered: tuple[Sequence[Message], str] | None = None

    def _encoded(self, text: str, literal: bool) -> Any:
        self._tokenizer.encode_special_tokens = literal or self._split
        try:
            return self._tokenizer.encode(text, add_special_tokens=False)
        except Exception as error:
            # Whatever the class: that of tokenizers is Exception itself.
            raise UserError(
                f"the tokenizer cannot read {quote(text)} ({error}); take its tokenizer.json anew"
            ) from error

    def encode(self, text: str, literal: bool = False) -> list[int]:
        """literal: read a special token's text as any other."""
        return self._encoded(text, literal).ids

    def ends(self, text: str, literal: bool) -> list[int]:
        """Where each token ends in the text, in characters."""
        return [end for _, end in self._encoded(text, literal).offsets]

    def chat(self, messages: Sequence[Message], answer: str = "") -> list[int]:
        """A chat up to the answer, or with its beginning."""
        if self._chat is None:
            raise UserError(NO_TEMPLATE)
        # A text and its target are read one after the other.
        if self._rendered is None or self._rendered[0] != messages:
            self._rendered = list(messages), chat.render(self._chat, messages)
        return self.encode(self._rendered[1] + answer)

    @property
    def own_bos(self) -> int | None:
        """The tokenizer's own BOS, if its chat template may write one."""
        bos = (self._chat or {}).get("variables", {}).get("bos_token")
        return None if bos is None else self._tokenizer.token_to_id(bos)

    def decode(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        if self._clean:
            from transformers import PreTrainedTokenizerBase

            # It reads nothing of a tokenizer.
            clean: Any = PreTrainedTokenizerBase.clean_up_tokenization
            text = clean(None, text)
        return text

    def id_of(self, token: str) -> int | None:
        return self._tokenizer.token_to_id(token)

    def name_of(self, token_id: int) -> str | None:
        # A number that no id can be, for its size, has no name.
        with suppress(OverflowError):
            return self._tokenizer.id_to_token(token_id)
        return None

    def token(self, token_id: int) -> str:
        return self._tokenizer.decode([token_id], skip_special_tokens=False)


class LoadedTokenizer:
    """A tokenizer as transformers loads it, which stays as it is."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        added = tokenizer.added_tokens_decoder
        self.special = {token_id for token_id, token in added.items() if token.special}
        self.special |= {*tokenizer.all_special_ids}
        self.unknown: str | None = tokenizer.unk_token
        if hasattr(self._backend, "model"):
            self.unknown = _unknown(self._backend)

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Put back the settings of the tokenizer that encoding changes."""
        backend = self._backend
        if backend is None or not hasattr(backend, "truncation"):
            yield
            return
        names = ("truncation", "padding", "encode_special_tokens")
        truncation, padding, split = (getattr(backend, name) for name in names)
        try:
            yield
        finally:
            backend.encode_special_tokens = split
            if truncation:
                backend.enable_truncation(**truncation)
            if padding:
                backend.enable_padding(**padding)

    def encode(self, text: str, literal: bool = False) -> list[int]:
        with self._unchanged():
            return list(self._tokenizer.encode(text, add_special_tokens=False))

    def chat(self, messages: Sequence[Message]) -> list[int]:
        if not self._tokenizer.chat_template:
            raise UserError(NO_TEMPLATE)
        with chat.refusals_said(messages), self._unchanged():
            return list(
                self._tokenizer.apply_chat_template(
                    list(messages), add_generation_prompt=True, return_dict=False
                )
            )

    @property
    def own_bos(self) -> int | None:
        return self._tokenizer.bos_token_id

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def id_of(self, token: str) -> int | None:
        token_id = self._tokenizer.convert_tokens_to_ids(token)
        return token_id if token_id is not None and self.name_of(token_id) == token else None

    def name_of(self, token_id: int) -> str | None:
        # Some classes raise for an id that they do not know.
        with suppress(IndexError, KeyError, ValueError, OverflowError):
            return self._tokenizer.convert_ids_to_tokens(token_id)
        return None

    def token(self, token_id: int) -> str:
        return self._tokenizer.decode([token_id], skip_special_tokens=False)


# Either of them.
Reader = FileTokenizer | LoadedTokenizer


def single_id(reader: Reader, key: str, text: str) -> int:
    """Id of the one token that a text is; raises UserError, which names `key`, if it is more."""
    known = reader.id_of(text)
    ids = [known] if known is not None else reader.encode(text)
    if len(ids) != 1:
        raise UserError(f"{key}: {text!r} is {len(ids)} tokens, not one")
    return ids[0]


def single_token(tokenizer: Any, key: str, text: str) -> int:
    """Id of the one token that a text is, by a `tokenizers.Tokenizer`.

    Raises UserError, which names `key`, if it is more than one.
    """
    return single_id(FileTokenizer(tokenizer, {}), key, text)
