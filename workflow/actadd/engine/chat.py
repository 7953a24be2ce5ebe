"""Chat templates, rendered by transformers' own code."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from actadd.base.errors import UserError, quote

# role, content, and whatever else a template reads.
Message = Mapping[str, Any]


def render(chat: Mapping[str, Any], messages: Sequence[Message]) -> str:
    """A chat as its template writes it, with the prompt for an answer at its end.

    chat: template; variables that it sees besides, special tokens among them; date, which
    `strftime_now` tells in place of the machine's clock. Raises UserError if the template refuses.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    with refusals_said(messages), told_date(chat["template"], chat.get("date")):
        rendered: Any = render_jinja_template(
            [list(map(dict, messages))],
            chat_template=chat["template"],
            add_generation_prompt=True,
            **chat["variables"],
        )
    return rendered[0][0]


@contextmanager
def refusals_said(messages: Sequence[Message]) -> Iterator[None]:
    """A UserError, with the template's own sentence, where a template refuses messages."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Whatever the class: a template is a program that somebody else has written.
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        last = messages[-1].get("content")
        raise UserError(f"its chat template refuses {quote(last)}: {reason}") from error


@contextmanager
def told_date(template: str, date: str | None) -> Iterator[None]:
    """In the block, a template's `strftime_now` tells the date YYYY-MM-DD, at midnight."""
    if date is None:
        yield
        return
    # What a template sees is made plain data, so that a function can only be among its globals.
    from transformers.utils.chat_template_utils import _compile_jinja_template

    names = _compile_jinja_template(template).globals
    names["strftime_now"] = datetime.datetime.fromisoformat(date).strftime
    try:
        yield
    finally:
        del names["strftime_now"]


def texts(messages: Any) -> Iterator[str]:
    """Every text in messages but the names of their roles."""
    if isinstance(messages, str):
        yield messages
    elif isinstance(messages, Mapping):
        for key, value in messages.items():
            if key != "role":
                yield from texts(value)
    elif isinstance(messages, Sequence):
        for value in messages:
            yield from texts(value)
