"""Prompts as a config writes them, and their token ids. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from actadd.base.errors import UserError, error_context, quote
from actadd.base.kinds import Rule, option
from actadd.engine.tokens import Prompt, Tokens


@dataclass(frozen=True, kw_only=True)
class Message:
    role: str = option("Who speaks: system, user, assistant.", min_length=1, max_length=60)
    content: str = option("What is said.", max_length=2000)


@dataclass(frozen=True, kw_only=True)
class Chat:
    chat: (
        Annotated[str, Rule(min_length=1, max_length=2000)]
        | Annotated[list[Message], Rule(min_length=1, max_length=20)]
    ) = option(
        "What a user says, or messages, written by the model's own chat template up to the answer.",
        title="a text, or messages such as [{ role: user, content: Hello }]",
    )


@dataclass(frozen=True, kw_only=True)
class TokenIds:
    token_ids: list[Annotated[int, Rule(minimum=0)]] = option(
        "Ids of the model's own tokens; BOS is put in front if it is not there.",
        min_length=1,
        max_length=2000,
    )


CHAT = "{ chat: TEXT }, { chat: [{ role: ROLE, content: TEXT }] } or { token_ids: [1, 2] }"
SolePrompt = Annotated[
    Annotated[str, Rule(title="a text that is not blank", max_length=300, pattern=r"\S")]
    | Chat
    | TokenIds,
    Rule(title=f"a text that is not blank, {CHAT}"),
]
# A prompt of a pair may be empty: it is BOS alone.
PairPrompt = Annotated[
    Annotated[str, Rule(max_length=2000)] | Chat | TokenIds,
    Rule(title=f"a text of at most 2000 characters, {CHAT}"),
]


def as_prompt(entry: Any) -> Prompt:
    """A prompt as `Tokens.prompt` takes it, from `Chat`, `TokenIds` or a mapping like them.

    Anything else is a prompt as it stands.
    """
    if isinstance(entry, (Chat, TokenIds)):
        entry = vars(entry)
    if not isinstance(entry, Mapping):
        return entry
    if "token_ids" in entry:
        return entry["token_ids"]
    content = entry["chat"]
    return [{"role": "user", "content": content}] if isinstance(content, str) else content


@dataclass(frozen=True)
class Reader:
    """Turns a vector's prompts into token ids. key: config key in messages, "" for none."""

    tokens: Tokens
    key: str = ""

    @property
    def prefix(self) -> str:
        return f"{self.key}: " if self.key else ""

    def ids(self, entry: Any) -> list[int]:
        """Token ids of a prompt, BOS included.

        A text is raw, also for a chat model: it steers the stream and is not a user's message. The
        config can write a message as such. Raises UserError if it is too long or not readable.
        """
        with error_context(f"{self.prefix}prompt {quote(as_written(entry))}"):
            ids = self.tokens.prompt(as_prompt(entry))
            self.tokens.check_length(len(ids))
        return ids

    def single_token(self, name: str, text: str) -> int:
        """Id of the one token that a text is; raises UserError, which names the option."""
        with error_context(f"{self.key}.{name}"):
            pieces = self.tokens.pieces(text)
        if len(pieces) != 1:
            raise UserError(f"{self.key}.{name}: {text!r} is not one token")
        return pieces[0]


def as_written(entry: Any) -> Any:
    """A prompt as a config writes it, for messages."""
    return dict(vars(entry)) if isinstance(entry, (Chat, TokenIds)) else entry
