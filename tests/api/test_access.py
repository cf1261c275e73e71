"""When a refused PATCH is about its license, and when it stops the run."""

from __future__ import annotations

import pytest

from batch.api.access import Access
from batch.api.retry import Attempts
from batch.errors import ForeignError, RejectedError, StoppedError


def forbidden() -> RejectedError:
    return RejectedError("HTTP 403: scope", status=403, code="forbidden")


def foreign() -> ForeignError:
    return ForeignError("HTTP 403, an HTML page", status=403, code="http_403")


def test_a_403_before_any_success_stops_the_run() -> None:
    with pytest.raises(StoppedError) as caught:
        Access().forbidden(forbidden())

    assert "license:write" in caught.value.hint


def test_a_403_after_a_success_is_about_the_license_until_it_is_five_in_a_row() -> None:
    access = Access()
    access.confirmed()
    for _ in range(4):
        access.forbidden(forbidden())

    with pytest.raises(StoppedError):
        access.forbidden(forbidden())


def test_a_confirmed_change_starts_both_counts_again() -> None:
    access = Access()

    for _ in range(20):
        access.confirmed()
        for _ in range(4):
            access.forbidden(forbidden())
        for _ in range(4):
            access.blocked(Attempts(), foreign())


def test_five_licenses_that_a_stranger_refuses_stop_the_run() -> None:
    access = Access()
    access.confirmed()
    for _ in range(4):
        access.blocked(Attempts(), foreign())
        access.blocked(Attempts(forgiven=1), foreign())  # it is one of those before

    with pytest.raises(StoppedError, match="in front of the API refuses changes"):
        access.blocked(Attempts(), foreign())


def test_reading_that_a_stranger_refuses_says_nothing_of_changes() -> None:
    access = Access()

    for _ in range(10):
        access.blocked(Attempts(), foreign())
