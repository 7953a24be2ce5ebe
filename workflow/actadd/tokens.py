"""Text to token ids and back, with BOS put in front by us.

Tokenisers differ in whether they add a BOS (SmolLM2's and GPT-2's do not, OPT's and LLaMA's do),
and forgetting it changes every steering vector. So none is asked to: the model's config entry names
the BOS, and every text gets exactly that one.
"""

from itertools import takewhile
from pathlib import Path
from typing import Any

from actadd.errors import UserError, shown
from actadd.files import read_json


def single_token(tokenizer: Any, key: str, text: str) -> int:
    """Id of the one token that a text is; raises UserError, which names `key`, if it is more."""
    known = tokenizer.token_to_id(text)
    ids = [known] if known is not None else tokenizer.encode(text, add_special_tokens=False).ids
    if len(ids) != 1:
        raise UserError(f"{key}: {text!r} is {len(ids)} tokens, not one")
    return ids[0]


class Tokens:
    """A prepared model's tokenizer; needs neither torch nor the weights."""

    def __init__(self, model_dir: Path | str, literal: bool = False):
        """literal: read the text of special tokens as any other text, instead of refusing it."""
        from tokenizers import Tokenizer

        facts = read_json(Path(model_dir) / "model.json")
        self._take(Tokenizer.from_file(str(Path(model_dir) / "tokenizer.json")), facts, literal)

    @classmethod
    def of(cls, tokenizer: Any, bos: str | None = None, pad: str | None = None) -> "Tokens":
        """The same for a tokenizer as `transformers.AutoTokenizer` loads it, which stays as it is.

        bos: the token put in front of every text, if it is not the tokenizer's own `bos_token`.
        pad: what a shorter contrast prompt is filled with, if it is not BOS.
        Raises UserError if the tokenizer has no fast form, or there is no such token.
        """
        from tokenizers import Tokenizer

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise UserError(
                f"{type(tokenizer).__name__} has no fast form; load it with "
                "AutoTokenizer.from_pretrained(..., use_fast=True)"
            )
        bos = tokenizer.bos_token if bos is None else bos
        if bos is None:
            raise UserError(
                "this tokenizer names no BOS token, and vectors are counted from one; say which "
                "token shall stand in front of every text, such as bos='<|endoftext|>'"
            )
        own = Tokenizer.from_str(backend.to_str())
        own.no_padding()
        own.no_truncation()
        facts = {
            "model": tokenizer.name_or_path or "the model",
            "bos_id": single_token(own, "bos", bos),
            "pad_id": single_token(own, "pad", bos if pad is None else pad),
            "stop_ids": [i for i in [tokenizer.eos_token_id] if i is not None],
            "chat_template": None,
        }
        tokens = cls.__new__(cls)
        tokens._take(own, facts, literal=False)
        return tokens

    def _take(self, tokenizer: Any, facts: dict[str, Any], literal: bool) -> None:
        self.model = facts["model"]
        self.bos_id: int = facts["bos_id"]
        self.pad_id: int = facts["pad_id"]
        self.stop_ids: list[int] = facts["stop_ids"]
        self.context: int | None = facts.get("context")
        self.chat_template: str | None = facts["chat_template"]
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = literal
        added = self._tokenizer.get_added_tokens_decoder()
        self._special = {token_id for token_id, token in added.items() if token.special}
        self._literal = literal

    def encode(self, text: str, prefix: str = "") -> list[int]:
        """BOS and the text's tokens, or the chat template's tokens if the model asks for one.

        prefix: put before the text, as tokens of its own right after BOS.
        Raises UserError if the text holds a special token's text: it would be read as the token.
        """
        if self.chat_template is None:
            return [self.bos_id, *(self.pieces(prefix) if prefix else []), *self.pieces(text)]
        import jinja2.sandbox

        template = jinja2.sandbox.ImmutableSandboxedEnvironment().from_string(self.chat_template)
        text = prefix + text
        self.pieces(text)
        bos = self._tokenizer.id_to_token(self.bos_id)
        chat = template.render(
            messages=[{"role": "user", "content": text}], add_generation_prompt=True, bos_token=bos
        )
        self._tokenizer.encode_special_tokens = False
        ids = self._tokenizer.encode(chat, add_special_tokens=False).ids
        self._tokenizer.encode_special_tokens = self._literal
        return ids if ids[:1] == [self.bos_id] else [self.bos_id, *ids]

    def split(self, text: str, continuation: str, prefix: str = "") -> tuple[list[int], list[int]]:
        """Token ids of a prompt, as `encode` gives them, and of what follows it.

        Both are read as one text: some tokenizers put a space before every text, also before a
        continuation that is encoded alone. A token across the border counts to the continuation.
        """
        own = self.encode(text, prefix)
        if self.chat_template is not None:
            return own, self.pieces(continuation)
        whole = self.encode(text + continuation, prefix)
        shared = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(own, whole, strict=False))
        )
        return whole[:shared], whole[shared:]

    def pieces(self, text: str) -> list[int]:
        """The text's tokens alone."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        special = [self._tokenizer.id_to_token(i) for i in ids if i in self._special]
        if special and not self._literal:
            raise UserError(
                f"{shown(text)} holds {special[0]!r}, which {self.model} reads as a special token; "
                "take it out of the text"
            )
        return ids

    def check_length(self, count: int) -> None:
        """Raises UserError if the model cannot read so many tokens at once."""
        if self.context and count > self.context:
            raise UserError(
                f"{count} tokens with what follows it, but {self.model} reads at most "
                f"{self.context}; shorten it"
            )

    def cut(self, text: str, count: int) -> str:
        """The text's beginning: what its first tokens, `count` with BOS, stand for."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) < count:
            return text
        cut = text[: offsets[count - 2][1]]
        # A character of several tokens may have been cut after its first one.
        while len(self.pieces(cut)) >= count:
            cut = cut[:-1]
        return cut

    def decode(self, ids: list[int]) -> str:
        """Text of token ids; special tokens are left out."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def continuation(self, prompt: list[int], ids: list[int]) -> str:
        """Text of `ids` as it stands after `prompt`, with a space between them if there is one."""
        before, whole = self.decode(prompt), self.decode([*prompt, *ids])
        return whole[len(before) :] if whole.startswith(before) else self.decode(ids)

    def token(self, token_id: int) -> str:
        """One token as text, for tables; a space stays visible."""
        return self._tokenizer.decode([token_id], skip_special_tokens=False)
