"""What a session keeps of its course by the minute."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from batch.api.circuit_breaker import BREAKER_FAILURES, CircuitBreaker
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import Attempts
from batch.api.timeline import Timeline
from batch.errors import ForeignError, ThrottledError, TransientError
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock


class Course:
    """A rate limiter, a circuit breaker, and the timeline that looks at them every second."""

    def __init__(self) -> None:
        clock = virtual_clock()
        self.rate_limiter = RateLimiter(None, 5.0, clock, jitter=lambda: 0.0)
        self.breaker = CircuitBreaker(self.rate_limiter, clock)
        self.timeline = Timeline(self.rate_limiter, self.breaker, clock)
        self.timeline.start()

    async def seconds(self, number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(1)
            self.timeline.tick()

    async def request(self) -> None:
        await self.rate_limiter.acquire()
        self.rate_limiter.release()

    def break_down(self) -> None:
        for _ in range(BREAKER_FAILURES):
            error = TransientError("no answer", status=None, code="connection")
            self.breaker.failed(Attempts(), error)


async def test_requests_count_in_their_minute_and_quiet_minutes_are_left_out() -> None:
    course = Course()

    await course.request()
    await course.request()
    await course.seconds(150)
    await course.request()
    await course.seconds(1)

    assert course.timeline.rows() == [[0, 2, 0, 0, 0], [2, 1, 0, 0, 0]]
    assert course.timeline.started_at.endswith("Z")


async def test_a_pause_counts_for_the_seconds_that_it_lasted_minute_by_minute() -> None:
    course = Course()

    await course.seconds(50)
    course.rate_limiter.pause(20.25)
    course.rate_limiter.pause(5)
    await course.seconds(60)

    assert course.timeline.rows() == [[0, 0, 0, 9, 0], [1, 0, 0, 11.2, 0]]


async def test_time_in_which_the_server_is_down_is_no_pause() -> None:
    course = Course()

    course.break_down()
    await course.seconds(30)
    course.breaker.succeeded()
    await course.seconds(10)

    [[minute, requests, refusals, paused, down]] = course.timeline.rows()
    assert (minute, requests, refusals, paused, down) == (0, 0, 0, 0, 30)


async def test_whatever_refuses_all_that_is_sent_counts_as_a_refusal() -> None:
    course = Course()
    busy = [
        ThrottledError("busy", status=status, code="", retry_after=0.0) for status in (429, 503)
    ]
    for error in (*busy, ForeignError("no", status=403, code="bad_body")):
        course.breaker.failed(Attempts(), error)
    course.breaker.failed(Attempts(), TransientError("no", status=500, code=""))
    await course.seconds(1)

    assert course.breaker.throttled == 1
    assert [row[2] for row in course.timeline.rows()] == [3]


async def test_time_between_two_phases_counts_nowhere() -> None:
    course = Course()
    course.break_down()
    await course.seconds(1)

    await asyncio.sleep(90)
    course.timeline.start()
    await course.seconds(1)

    assert [(row[0], row[4]) for row in course.timeline.rows()] == [(0, 1), (1, 1)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 70))))
def test_minutes_add_up_to_what_the_session_has_sent(parts: list[tuple[int, int, int]]) -> None:
    async def run() -> None:
        course = Course()
        sent = 0
        for requests, pause, seconds in parts:
            for _ in range(requests):
                await course.request()
            sent += requests
            course.rate_limiter.pause(pause)
            await course.seconds(seconds)
        course.timeline.tick()

        rows = course.timeline.rows()
        assert sum(row[1] for row in rows) == sent == course.rate_limiter.requests
        assert abs(sum(row[3] for row in rows) - course.rate_limiter.seconds_paused) < 1
        assert all(row[3] >= 0 for row in rows)
        assert [row[0] for row in rows] == sorted({row[0] for row in rows})

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())
