"""Asking a server about texts, and keeping every answer.

An answer may cost money and a limited rate, so each is written to a file of its own as soon as it
is there: an interrupted run loses none, and a rerun asks nothing again.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from actadd import locks
from actadd.errors import UserError
from actadd.files import digest, read_json, write_json

ATTEMPTS = 6
SECONDS = 120
# Seconds that a job waits for its turn: many jobs may ask one server.
TURN = 6 * 3600


class _Passing(Exception):
    """A failure that may pass by itself: the network, a busy server."""


def answer(
    spec: dict,
    body: dict,
    read: Callable[[Any], Any],
    *,
    headers: Callable[[str], dict[str, str]],
    unanswerable: tuple[str, ...] = (),
) -> Any:
    """What the server at spec["url"] answers to the JSON `body`, from the kept answers if there.

    spec: the scorer's entry; its `key_env` names the variable with the key, which goes into
    `headers(key)` and nowhere else. read: picks the part of the reply that is kept. unanswerable:
    words of a refusal that mean that this text has no answer; then None is kept.

    Raises UserError if there is no key, if the server refuses, or if it fails again and again.
    """
    # The key is no part of it: another account gets the same answers.
    name = digest({"url": spec["url"], "body": body})
    file = Path(spec["answers"]) / name[:2] / f"{name}.json"
    found = _kept(file)
    if found is None:
        key = _key(spec)
        with _turn(spec):
            reply = _post(spec, body, headers(key) if key else {}, key, unanswerable)
        try:
            found = {"body": body, "answer": None if reply is None else read(reply)}
        except (KeyError, IndexError, TypeError) as error:
            raise UserError(
                f"scorers.{spec['name']}.url: the reply of {spec['url']} is not of the form that "
                "this kind of scorer reads; check the address"
            ) from error
        write_json(file, found)
    return found["answer"]


@cache
def say_once(message: str) -> None:
    """Prints a line for the log, the first time only."""
    print(message, flush=True)


def _kept(file: Path) -> dict | None:
    try:
        return read_json(file)
    except FileNotFoundError:
        return None
    except ValueError:
        print(f"answers: {file} is damaged; it is asked again", flush=True)
        return None


def _key(spec: dict) -> str:
    """The key, or "" if the entry names no variable for one."""
    variable = spec.get("key_env")
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    # What cannot stand in a header would be quoted in somebody's error message.
    if not key or not key.isascii() or not key.isprintable():
        raise UserError(
            f"scorers.{spec['name']}.key_env: the environment variable {variable} holds no key; "
            "set it to the key of your account, or take this scorer out of the experiments"
        )
    return key


@contextmanager
def _turn(spec: dict) -> Iterator[None]:
    """Lasts at least 1 / per_second seconds, one at a time over all jobs, if the entry says so."""
    if not spec.get("per_second"):
        yield
        return
    with locks.held(Path(spec["answers"]) / "turn.lock", TURN):
        end = time.monotonic() + 1 / spec["per_second"]
        try:
            yield
        finally:
            time.sleep(max(0.0, end - time.monotonic()))


def _post(spec: dict, body: dict, headers: dict, key: str, unanswerable: tuple[str, ...]) -> Any:
    """The server's JSON reply, or None if the text is one of those that it cannot answer for."""
    import requests

    where = f"scorers.{spec['name']}.url: {spec['url']}"

    def shown(text: str) -> str:
        # A server may quote the key that it refuses.
        return " ".join((text.replace(key, "***") if key else text).split())[:300]

    def give_up(state):
        raise UserError(
            f"{where} failed {ATTEMPTS} times: {state.outcome.exception()}. Check the address and "
            "the network (a compute node may have none); the answers so far are kept, run again"
        )

    for attempt in Retrying(
        retry=retry_if_exception_type(_Passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=float(os.environ.get("ACTADD_RETRY_SECONDS", "2"))),
        retry_error_callback=give_up,
    ):
        with attempt:
            try:
                # A redirect would carry the key to another place.
                reply = requests.post(
                    spec["url"], json=body, headers=headers, timeout=SECONDS, allow_redirects=False
                )
                if reply.status_code == 429 or reply.status_code >= 500:
                    raise _Passing(f"{reply.status_code} {shown(reply.text)}")
                if reply.status_code != 200:
                    if any(word in reply.text for word in unanswerable):
                        return None
                    raise UserError(
                        f"{where} answered {reply.status_code}: {shown(reply.text)}. Check the "
                        "address, the scorer's settings and the key"
                    )
                return reply.json()
            except requests.RequestException as error:
                raise _Passing(shown(str(error))) from error
