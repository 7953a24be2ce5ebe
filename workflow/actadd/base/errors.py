"""Exceptions for what a user can put right, and how a message shows what was found."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What may be a secret in an address: a name and password before the host, and a query's values.
_SECRET = re.compile(r"(?<=://)[^/\s@'\"]*@|(?<=[?&])([\w.~%-]+=)[^&\s'\"]*")


class UserError(Exception):
    """A mistake in a config, a file or the environment.

    The message names the config key or the file, the value found, and what to write instead; the
    programs print it alone, without a traceback.
    """


class DamagedFile(UserError, ValueError):
    """A file that is not of the form that it should have."""


class CellError(UserError):
    """One cell cannot be computed; the others of its job may well be."""


def without_secrets(text: str) -> str:
    """A text with the passwords and query values of the addresses in it as ***."""
    return _SECRET.sub(lambda found: f"{found[1] or ''}***{'' if found[1] else '@'}", text)


def shown(value: Any) -> str:
    """A value in a message: its repr, at most 80 characters of it, without secrets."""
    text = without_secrets(repr(value))
    return text if len(text) <= 80 else text[:77] + "..."


def print_anything(encoding: str | None = None) -> None:
    """Makes stdout and stderr print any text: what their encoding lacks is escaped.

    encoding: theirs from now on; None keeps that of the locale.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


@contextmanager
def named(place: str, after: str = "") -> Iterator[None]:
    """A UserError in the block gets `place` in front, and `after` at its end."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}{after}") from error
