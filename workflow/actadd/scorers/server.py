"""Ask a server about texts and store every answer.

An answer may cost money and count against a rate limit, so each is written to a file of its own as
soon as it arrives: an interrupted run loses none, and a rerun asks nothing again.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from actadd.base import locks
from actadd.base.errors import CellError, UserError, without_secrets
from actadd.base.files import digest, read_json, write_json
from actadd.base.kinds import option
from actadd.base.retries import TemporaryFailure, attempts
from actadd.scorers.kinds import ENDPOINT, VARIABLE, Job, ValidatedOptions

ATTEMPTS = 6
# A server that asks for more patience than this is left alone until the next run.
PATIENCE = 600
# Statuses of a refusal that may be about the text, not about the address or the key.
ABOUT_TEXT = (400, 403, 413, 422, 451)
# Statuses, and words in a refusal, that say that the same request may succeed a little later.
PASSING = (408, 409, 425, 429)
RATE = re.compile(r"rate.?limit|too many requests|overloaded", re.IGNORECASE)
# What never passes, though it comes as a rate limit, with one of these statuses.
UNPAID = (402, 403, 429)
SPENT = re.compile(r"insufficient_quota|billing|exceeded your current quota", re.IGNORECASE)
# What servers call it when a filter, and not the form of the request, refuses a text.
FILTERED = re.compile(
    r"content.?(filter|polic|management|exists.?risk)|responsible.?ai|moderation|flagged"
    r"|data.?inspection|sensitive (content|word|information)|block.?reason|usage.?polic|unsafe",
    re.IGNORECASE,
)
REFUSED = "refused by the server"
# Seconds that a job waits for its turn: many jobs may ask one server.
TURN = 6 * 3600


class _Refused(Exception):
    """The server refuses this request; it would again."""

    def __init__(self, status: int, message: str):
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, kw_only=True)
class ServerOptions(ValidatedOptions):
    """Keys of every scorer that asks a server."""

    LABELS = (*ValidatedOptions.LABELS, "key_env", "timeout", "per_second")

    url: str = option("Address of the server.", **ENDPOINT)
    key_env: str | None = option(
        "Environment variable with the key; no key is sent if not given.", None, **VARIABLE
    )
    timeout: float = option(
        "Seconds to wait for the server to send something.", 120, exclusive_minimum=0
    )
    per_second: float | None = option(
        "Requests in a second, at most, over all jobs; unlimited if not given.",
        None,
        exclusive_minimum=0,
    )


class Unreadable(Exception):
    """A reply that is not of the form that a kind of scorer reads."""


def answer(
    options: ServerOptions,
    job: Job,
    body: dict[str, Any],
    read: Callable[[Any], dict[str, Any]],
    *,
    headers: Callable[[str], dict[str, str]],
    harmless: dict[str, Any],
    remedy: Callable[[str], str],
    unanswerable: re.Pattern[str] = FILTERED,
) -> dict[str, Any]:
    """The record of what the server at options.url answers to the JSON `body`: the stored one, or
    else a new one.

    The key in the variable `key_env` goes into `headers(key)` and nowhere else. read: the record of
    a reply, with the key `answer`; raises Unreadable. unanswerable: words of a refusal that is
    about the text. harmless: the same request about a text that no server refuses; if it is refused
    too, the request is at fault. remedy: what to do about a refusal with such words.

    `answer` of the record is None if the text has been refused; `gap` then says why. Raises
    UserError if there is no key, if the server refuses the request, or if it fails again and again.
    """
    # The key is not part of it: another account gets the same answers.
    name = digest({"url": options.url, "body": body})
    file = Path(job.answers) / name[:2] / f"{name}.json"
    record = _stored(file)
    if record is None:
        key = _key(options, job)

        def ask(body: dict[str, Any]) -> dict[str, Any]:
            with _turn(options, job):
                return read(_post(options, job, body, headers(key) if key else {}, key))

        try:
            record = ask(body)
        except Unreadable as error:
            raise UserError(
                f"{_where(options, job)}: the reply is not of the form that this kind of scorer "
                f"reads ({error}); check the address"
            ) from error
        except _Refused as error:
            if not _about_text(error, unanswerable, lambda: ask(harmless)):
                raise UserError(
                    f"{_where(options, job)} answered {error}. {remedy(str(error))}"
                ) from error
            record = {"answer": None, "gap": f"{REFUSED}: {error}"}
        if isinstance(record["answer"], str):
            # A reply can hold half of a character, a file cannot.
            record["answer"] = record["answer"].encode("utf-8", "replace").decode()
            if key:
                record["answer"] = record["answer"].replace(key, "***")
        record = {"body": body, **record}
        write_json(file, record)
    return record


def _about_text(error: _Refused, words: re.Pattern[str], probe: Callable[[], Any]) -> bool:
    """Whether a refusal is about the text, and not about the request."""
    if error.status not in ABOUT_TEXT:
        return False
    if words.search(str(error)):
        return True
    # A key without the right to ask is refused for every text.
    if error.status == 403:
        return False
    try:
        probe()
    except (_Refused, Unreadable):
        return False
    return True


def count_gaps(job: Job, gaps: list[str], asked: int) -> dict[str, Any]:
    """Print how many of the texts that were asked about have no answer, and why.

    gaps: for each such text the reason, with an example after a colon. Returns attributes of the
    scorer's frame: {"gaps": {reason: number}}, or {}. Raises CellError if no text has an answer.
    """
    reasons = Counter(gap.split(":", 1)[0] for gap in gaps)
    if gaps:
        examples = {gap.split(":", 1)[0]: gap for gap in reversed(gaps)}
        listed = "; ".join(f"{n} {examples[reason]}" for reason, n in reasons.most_common())
        message = f"{job.key}: {len(gaps)} of {asked} texts have no answer: {listed}"
        print(message, flush=True)
        if len(gaps) == asked:
            raise CellError(message)
    return {"gaps": dict(reasons)} if gaps else {}


def excerpt(text: str, length: int = 200) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def _stored(file: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = read_json(file)
        if "answer" in record:
            return record
        raise ValueError(file)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        print(f"answers: {file} is damaged; it is asked again", flush=True)
        return None


def _key(options: ServerOptions, job: Job) -> str:
    """The key, or "" if the options name no variable for one."""
    variable = options.key_env
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    # requests would quote an invalid header value in its error message.
    if not key or not key.isascii() or not key.isprintable():
        raise UserError(
            f"{job.key}.key_env: the environment variable {variable} holds no key; "
            "set it to the key of your account, or take this scorer out of the experiments"
        )
    return key


@contextmanager
def _turn(options: ServerOptions, job: Job) -> Iterator[None]:
    """One request at a time over all jobs, each at least 1 / per_second seconds; else no limit."""
    if not options.per_second:
        yield
        return
    with locks.held(Path(job.answers) / "turn.lock", TURN):
        end = time.monotonic() + 1 / options.per_second
        try:
            yield
        finally:
            time.sleep(max(0.0, end - time.monotonic()))


def _where(options: ServerOptions, job: Job) -> str:
    return f"{job.key}.url: {without_secrets(options.url)}"


def _post(
    options: ServerOptions, job: Job, body: dict[str, Any], headers: dict[str, str], key: str
) -> Any:
    """The server's JSON reply. Raises _Refused where asking again is of no use."""
    import requests

    def safe(text: str) -> str:
        # A server may quote the key that it refuses.
        return excerpt(without_secrets(text.replace(key, "***") if key else text), 300)

    remedy = (
        "Check the address and the network (a compute node may have none); the answers so far are "
        "kept, run again"
    )
    for attempt in attempts(ATTEMPTS, _where(options, job), remedy):
        with attempt:
            try:
                reply = requests.post(
                    options.url,
                    json=body,
                    headers=headers,
                    timeout=options.timeout,
                    # A redirect would carry the key to another place.
                    allow_redirects=False,
                    # Else a login of ~/.netrc would take the key's place.
                    auth=lambda request: request,
                )
                if 300 <= reply.status_code < 400:
                    moved = safe(reply.headers.get("Location", "another address"))
                    raise _Refused(reply.status_code, f"it has moved to {moved}")
                if reply.status_code != 200:
                    _fail(options, job, reply.status_code, safe(reply.text), _wait(reply))
                try:
                    value = reply.json()
                except (ValueError, RecursionError) as error:
                    message = f"200 with invalid JSON: {safe(reply.text)!r}"
                    raise TemporaryFailure(message) from error
                # Some servers put an error of those behind them into a good reply.
                inner = value.get("error") if isinstance(value, dict) else None
                if inner and "choices" not in value:
                    code = str(inner.get("code") if isinstance(inner, dict) else None)
                    status = int(code) if code.isdecimal() else 400
                    _fail(options, job, status, safe(reply.text), 0)
                return value
            except requests.RequestException as error:
                raise TemporaryFailure(safe(str(error))) from error


def _fail(options: ServerOptions, job: Job, status: int, message: str, wait: float) -> None:
    """Raise the error that a reply with such a status means."""
    if status in UNPAID and SPENT.search(message):
        raise _Refused(status, message)
    if status in PASSING or status >= 500 or (status == 403 and RATE.search(message)):
        if wait > PATIENCE:
            raise UserError(
                f"{_where(options, job)} answered {status} and asks for a pause of {wait:.0f} s; "
                "run again after it, the answers so far are kept"
            )
        raise TemporaryFailure(f"{status} {message}", wait)
    raise _Refused(status, message)


def _wait(reply: Any) -> float:
    """Seconds that a busy server asks for: in a number, a date or, as some do, in words."""
    asked = reply.headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(asked)
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())
    except ValueError:
        pass
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    words = re.search(r"(?:again|retry) (?:in|after) ((?:[\d.]+ ?(?:ms|s|m|h)\w* ?)+)", reply.text)
    parts = re.findall(r"(\d+\.?\d*) ?(ms|s|m|h)", words[1]) if words else []
    return sum(float(number) * units[unit] for number, unit in parts)
