"""The result of a row, from the attempts of its license and the last answer: pure."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from batch.errors import told
from batch.model import Action, License, Outcome, RowResult

if TYPE_CHECKING:
    from batch.api.retry import Attempts
    from batch.errors import ApiError


def done(attempts: Attempts, action: Action) -> RowResult:
    """The server confirmed that the license is as it was to be."""
    return _done(action.on_success, action.wanted, attempts.sent)


@lru_cache(maxsize=256)
def _done(outcome: Outcome, wanted: bool, sent: int) -> RowResult:  # most licenses end like this
    return RowResult(outcome, wanted, 200, attempts=sent)


def refused(attempts: Attempts, error: ApiError) -> RowResult:
    """The server refused it, and no earlier attempt can have been applied."""
    return RowResult(
        Outcome.FAILED,
        http_status=error.status,
        error_code=error.code,
        error=told(error),
        attempts=attempts.sent,
    )


def not_found(attempts: Attempts, error: ApiError) -> RowResult:
    """The API itself says that there is no such license."""
    return RowResult(
        Outcome.NOT_FOUND,
        http_status=error.status,
        error_code=error.code,
        error="no such license in this account",
        attempts=attempts.sent,
    )


def unchanged(attempts: Attempts, found: License, action: Action) -> RowResult:
    """No attempt was confirmed, and the license was read back as it was before."""
    assert attempts.error is not None
    return RowResult(
        Outcome.FAILED,
        value=found.value(action.changes),
        http_status=attempts.error.status,
        error_code=attempts.error.code,
        error=f"{told(attempts.error).rstrip('.')}; read back: not {action.on_success}",
        attempts=attempts.sent,
    )


def open_yet(attempts: Attempts, found: License, action: Action) -> RowResult:
    """No attempt was confirmed, and what was read back may still change."""
    seen = unchanged(attempts, found, action)
    return replace(seen, outcome=Outcome.UNKNOWN, error=f"{seen.error} yet")


def unread(attempts: Attempts, error: ApiError) -> RowResult:
    """No attempt was confirmed, and reading back failed with ``error``.

    Unknown, unless no PATCH can have arrived.
    """
    assert attempts.error is not None
    times = "1 attempt" if attempts.sent == 1 else f"{attempts.sent} attempts"
    return RowResult(
        Outcome.UNKNOWN if attempts.unsettled else Outcome.FAILED,
        http_status=attempts.error.status,
        error_code="breaker" if error.code == "breaker" else attempts.error.code,
        error=f"{times}: {told(attempts.error).rstrip('.')}; reading it back: {told(error)}",
        attempts=attempts.sent,
    )
