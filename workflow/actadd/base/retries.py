"""Retries of operations that may succeed later, such as downloads or requests to a busy server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from actadd.base.errors import UserError, without_secrets

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying


class TemporaryFailure(Exception):
    """A failure that may resolve itself. pause: seconds that the server asks to wait."""

    def __init__(self, message: str, pause: float = 0) -> None:
        super().__init__(message)
        self.pause = pause


def attempts(count: int, action: str, remedy: str) -> Retrying:
    """Up to `count` attempts with growing pauses, repeated after a `TemporaryFailure`.

    Use it as `for attempt in attempts(...): with attempt: ...`. The last failure becomes a
    UserError that names the action, the failure without secrets, and the remedy. The environment
    variable ACTADD_RETRY_SECONDS holds the seconds of the first pause, 2 by default.
    """
    # Imported here, because every parse of the workflow imports kinds that only raise
    # `TemporaryFailure`.
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

    growing = wait_exponential(multiplier=float(os.environ.get("ACTADD_RETRY_SECONDS", "2")))

    def pause(state: RetryCallState) -> float:
        return max(growing(state), getattr(_failure(state), "pause", 0))

    def give_up(state: RetryCallState) -> NoReturn:
        reason = without_secrets(str(_failure(state)))
        raise UserError(f"{action} failed {count} times: {reason}. {remedy}")

    return Retrying(
        retry=retry_if_exception_type(TemporaryFailure),
        stop=stop_after_attempt(count),
        wait=pause,
        retry_error_callback=give_up,
    )


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
