"""What may go wrong between here and a server, what of it is tried again, and how long to wait."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from tempo_tasks.errors import ServerRefusedError

if TYPE_CHECKING:
    from tenacity import RetryCallState

LONGEST_WAIT = 60.0
"""Seconds between two attempts, unless the server asks for more."""
PATIENCE = 900.0
"""A server that asks for more seconds than this ends the run."""
_AGAIN = (408, 409, 425, 429)
_QUOTED = 300


class Trouble(Exception):
    """One attempt failed in a way that another may not.

    Args:
        kind: What went wrong, in a word or two, as the results count it.
        message: What went wrong.
        retry_after: Seconds that the server asks to wait.
    """

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


def of_status(status: int, body: str, retry_after: str | None) -> Exception:
    """Return what an HTTP status other than success means.

    Args:
        status: The status.
        body: What the server said.
        retry_after: The header of this name.

    Returns:
        `Trouble` where another attempt may help, else `ServerRefusedError`.
    """
    said = " ".join(body.split())[:_QUOTED]
    wait = seconds_of(retry_after)
    if status in _AGAIN or status >= 500:
        if wait is not None and wait > PATIENCE:
            return ServerRefusedError(
                f"the server answered HTTP {status} and asks to wait {wait:,.0f} s; run the same "
                f"command again then: {said}"
            )
        return Trouble(f"HTTP {status}", f"the server answered HTTP {status}: {said}", wait)
    hint = {
        401: " Set the environment variable OPENAI_API_KEY, or name another with api_key_env.",
        403: " Set the environment variable OPENAI_API_KEY, or name another with api_key_env.",
        404: " Check base_url (it ends with /v1 in most servers) and model.",
    }.get(status, "")
    return ServerRefusedError(f"the server refused a request with HTTP {status}: {said}.{hint}")


def seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date; None where it is neither."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


class Wait:
    """How long to wait before the next attempt, for tenacity: exponentially, and with jitter.

    Args:
        first: Seconds after the first attempt.
    """

    def __init__(self, first: float) -> None:
        from tenacity import wait_exponential, wait_random

        self._own = wait_exponential(multiplier=first, max=LONGEST_WAIT) + wait_random(0, first)

    def __call__(self, state: RetryCallState) -> float:
        """Return the seconds: no less than the server asks for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Trouble) else None
        return max(self._own(state), asked or 0.0)
