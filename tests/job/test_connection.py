"""What a bar says while nothing goes on, and what an orderly stop waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from batch.api.circuit_breaker import CircuitBreaker
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import Attempts
from batch.api.retrying_client import RetryingClient
from batch.errors import StoppedError, TransientError
from batch.host.clock import Clock
from batch.job.connection import Connection
from batch.reporting.progress import Screen

if TYPE_CHECKING:
    from batch.api.client import CryptlexClient


class Time:
    """A clock that stands still until it is set, and in whose sleep a moment can be looked at."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.asleep: list[str] = []
        self.clock = Clock(now=lambda: self.seconds, sleep=self.sleep)
        self.connection = connected(self.clock)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds / 2
        self.asleep.append(self.connection.trouble())
        self.seconds += seconds / 2


def connected(clock: Clock) -> Connection:
    """A connection over which the API has shown itself."""
    rate_limiter = RateLimiter(45, 5.0, clock)
    breaker = CircuitBreaker(rate_limiter, clock)
    client = RetryingClient(cast("CryptlexClient", None), rate_limiter, breaker, clock)
    client.introduced = True
    return Connection(client, clock, Screen())


@pytest.fixture
def time() -> Time:
    return Time()


def test_where_all_is_well_there_is_no_trouble(time: Time) -> None:
    assert time.connection.trouble() == ""


def test_before_the_api_has_shown_itself_nobody_has_answered(time: Time) -> None:
    time.connection.client.introduced = False

    assert time.connection.trouble() == "no answer yet"


@pytest.mark.parametrize(("passed", "left"), [(0.0, 12), (4.2, 8), (11.5, 1), (12.0, None)])
def test_a_pause_is_counted_down(time: Time, passed: float, left: int | None) -> None:
    time.connection.client.rate_limiter.pause(12)
    time.seconds += passed

    assert time.connection.trouble() == ("" if left is None else f"waiting {left} s")


async def test_a_wait_in_which_nothing_is_sent_is_counted_down(time: Time) -> None:
    await time.connection.client.wait_or_stop(90)

    assert time.asleep == ["waiting 45 s"]
    assert time.connection.trouble() == ""


def test_an_outage_says_when_it_is_tried_again(time: Time) -> None:
    breaker = time.connection.client.breaker
    while not breaker.is_down:
        breaker.failed(Attempts(), TransientError("HTTP 503", status=503))
    before = time.connection.trouble()
    time.seconds += 3

    assert before == "the server is down, next try in 5 s"
    assert time.connection.trouble() == "the server is down, next try in 2 s"


async def test_a_stop_says_how_many_requests_it_waits_for(time: Time) -> None:
    client = time.connection.client
    await client.rate_limiter.acquire()
    client.stop(StoppedError("enough"))
    one = time.connection.trouble()
    client.rate_limiter.release()

    assert one == "stopping: waiting for 1 request"
    assert time.connection.trouble() == "stopping: settling what was sent"
