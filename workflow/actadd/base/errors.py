"""Errors that a user can correct, and how messages quote values."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Parts of an address that may be secret: a name and password before the host, a query's values.
_SECRET = re.compile(r"(?<=://)[^/\s@'\"]*@|(?<=[?&])([\w.~%-]+=)[^&\s'\"]*")


class UserError(Exception):
    """A mistake in a config, a file or the environment.

    The message names the config key or the file, its value, and what to write instead; the programs
    print it alone, without a traceback.
    """


class DamagedFile(UserError, ValueError):
    """A file whose content does not have the form that it must have."""


class CellError(UserError):
    """A cell that cannot be computed; the job's other cells are still computed."""


def without_secrets(text: str) -> str:
    """A text with *** for the passwords and query values of the addresses in it."""
    return _SECRET.sub(lambda match: f"{match[1] or ''}***{'' if match[1] else '@'}", text)


def quote(value: Any) -> str:
    """A value for a message: at most 80 characters of its repr, without secrets."""
    text = without_secrets(repr(value))
    return text if len(text) <= 80 else text[:77] + "..."


def one_line(error: BaseException) -> str:
    """An error's type and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def print_anything(encoding: str | None = None) -> None:
    """Let stdout and stderr print any text, escaping characters that their encoding lacks.

    encoding: the streams' new encoding; None keeps the locale's.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


@contextmanager
def error_context(prefix: str, suffix: str = "") -> Iterator[None]:
    """Put a prefix and a suffix around the message of a UserError from the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{prefix}: {error}{suffix}") from error
