from __future__ import annotations

import pytest

from batch.api.retry import Attempts
from batch.errors import ApiError, TransientError
from batch.job import row_result
from batch.model import RESTORE, REVOKE, License, Outcome, RowResult


def attempts(sent: int, *, unsettled: bool = True) -> Attempts:
    error = TransientError("HTTP 500: Oops.", status=500, code="OOPS")
    return Attempts(sent=sent, unsettled=unsettled, error=error)


@pytest.mark.parametrize("sent", [1, 3])
def test_what_was_confirmed_is_as_the_action_wanted_it(sent: int) -> None:
    once = Attempts(sent=sent)

    assert row_result.done(once, REVOKE) == RowResult(Outcome.REVOKED, True, 200, attempts=sent)
    assert row_result.done(once, RESTORE) == RowResult(Outcome.RESTORED, False, 200, attempts=sent)


@pytest.mark.parametrize(("sent", "times"), [(1, "1 attempt"), (2, "2 attempts")])
def test_what_could_not_be_read_says_how_often_it_was_tried(sent: int, times: str) -> None:
    result = row_result.unread(attempts(sent), ApiError("no answer in time", code="timeout"))

    assert result.outcome is Outcome.UNKNOWN
    assert result.error == f"{times}: HTTP 500: Oops; reading it back: no answer in time"
    assert (result.http_status, result.error_code, result.attempts) == (500, "OOPS", sent)


def test_what_never_left_is_failed_and_not_unknown() -> None:
    result = row_result.unread(attempts(1, unsettled=False), ApiError("no connection"))

    assert result.outcome is Outcome.FAILED


def test_a_server_that_is_down_is_named_as_the_reason() -> None:
    result = row_result.unread(attempts(1), ApiError("the server is down", code="breaker"))

    assert result.error_code == "breaker"


def test_a_license_that_was_seen_unchanged_says_what_it_was_answered() -> None:
    result = row_result.unchanged(attempts(5), License(id="x", revoked=False), REVOKE)

    assert (result.outcome, result.value) == (Outcome.FAILED, False)
    assert result.error == "HTTP 500: Oops; read back: not revoked"
