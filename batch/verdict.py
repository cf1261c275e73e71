"""What the tries of one license add up to: pure, from tries and the last answer to a status."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from batch.model import Outcome, Status

if TYPE_CHECKING:
    from batch.errors import ApiError
    from batch.model import Action, License
    from batch.retry import Tries


def done(tries: Tries, action: Action) -> Status:
    """The server confirmed what was wanted."""
    return _done(action.done, action.wanted, tries.sent)


@lru_cache(maxsize=256)
def _done(outcome: Outcome, wanted: bool, sent: int) -> Status:  # most licenses end like this
    return Status(outcome, wanted, 200, attempts=sent)


def refused(tries: Tries, error: ApiError) -> Status:
    """The server refused it, and no earlier attempt can have been applied."""
    return Status(
        Outcome.FAILED,
        http_status=error.status,
        error_code=error.code,
        error=error.message,
        attempts=tries.sent,
    )


def not_found(tries: Tries, error: ApiError) -> Status:
    """The API itself says that there is no such license."""
    return Status(
        Outcome.NOT_FOUND,
        http_status=error.status,
        error_code=error.code,
        error="no such license in this account",
        attempts=tries.sent,
    )


def unchanged(tries: Tries, found: License, action: Action) -> Status:
    """No attempt was confirmed, and the license was read back as it was before."""
    assert tries.error is not None
    return Status(
        Outcome.FAILED,
        revoked=found.revoked,
        http_status=tries.error.status,
        error_code=tries.error.code,
        error=f"{tries.error.message.rstrip('.')}; read back: not {action.done}",
        attempts=tries.sent,
    )


def unread(tries: Tries, error: ApiError) -> Status:
    """No attempt was confirmed, and reading back failed with ``error``.

    Unknown, unless no PATCH can have arrived.
    """
    assert tries.error is not None
    attempts = "1 attempt" if tries.sent == 1 else f"{tries.sent} attempts"
    return Status(
        Outcome.UNKNOWN if tries.unsettled else Outcome.FAILED,
        http_status=tries.error.status,
        error_code="breaker" if error.code == "breaker" else tries.error.code,
        error=f"{attempts}: {tries.error.message.rstrip('.')}; reading it back: {error.message}",
        attempts=tries.sent,
    )
