"""When everybody waits for the server, and when the run gives up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.circuit_breaker import (
    BREAKER_FAILURES,
    FORBIDDEN_IN_A_ROW,
    LONGEST_PAUSE,
    MOST_THROTTLED,
    PATIENCE,
    CircuitBreaker,
)
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import Attempts
from batch.errors import RejectedError, StoppedError, ThrottledError, TransientError
from tests.support.virtual_time import now, virtual_clock

if TYPE_CHECKING:
    from typing import NoReturn

FAR = 10**6
"""More attempts than any license has."""


def no_answer(status: int | None = None) -> TransientError:
    """A failure, of a request that left just now."""
    error = TransientError("no answer", status=status, code="connection")
    error.sent = now()
    return error


def busy(status: int = 429, retry_after: float = 0.0) -> ThrottledError:
    error = ThrottledError("busy", status=status, code="busy", retry_after=retry_after)
    error.sent = now()
    return error


def forbidden() -> RejectedError:
    return RejectedError("HTTP 403: scope", status=403, code="forbidden")


@dataclass
class Ward:
    """A server's health, and the gate that it rules."""

    rate_limiter: RateLimiter = field(
        default_factory=lambda: RateLimiter(None, 5.0, virtual_clock(), jitter=lambda: 0.0)
    )

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(self.rate_limiter, virtual_clock())

    def fail(self, attempts: Attempts, status: int | None = None) -> None:
        self.breaker.failed(attempts, no_answer(status))

    def break_down(self) -> list[Attempts]:
        """Ten licenses fail, one after the other."""
        licenses = [Attempts() for _ in range(BREAKER_FAILURES)]
        for attempts in licenses:
            self.fail(attempts)
        return licenses

    async def next_request(self) -> float:
        """Seconds until a request may leave; it is answered at once."""
        asked = now()
        sent = await self.rate_limiter.acquire()
        self.rate_limiter.release()
        return sent - asked

    async def lets_two_through(self) -> bool:
        """Whether a second request leaves before the first one is answered."""
        await self.rate_limiter.acquire()
        second = asyncio.create_task(self.rate_limiter.acquire())
        await asyncio.sleep(3600)
        both = second.done()
        self.rate_limiter.release()
        await second
        self.rate_limiter.release()
        return both

    def retries(self) -> int:
        """How many retries the run can still afford; spends them all."""
        spender = Attempts(counted=1)
        return sum(self.breaker.may_retry(spender, FAR) for _ in range(1000))


# The breaker


async def test_ten_failures_in_a_row_hold_everybody_back_for_five_seconds() -> None:
    ward = Ward()

    ward.break_down()

    assert await ward.next_request() == 5


async def test_nine_failures_in_a_row_hold_nobody_back() -> None:
    ward = Ward()

    for _ in range(BREAKER_FAILURES - 1):
        ward.fail(Attempts())

    assert await ward.next_request() == 0
    assert await ward.lets_two_through()


async def test_a_success_starts_the_row_again() -> None:
    ward = Ward()

    for _ in range(20):
        for _ in range(BREAKER_FAILURES - 1):
            ward.fail(Attempts())
        ward.breaker.succeeded()

    assert await ward.next_request() == 0


@pytest.mark.parametrize("status", [408, 425, 200])
async def test_an_answer_that_is_no_trouble_of_the_server_starts_the_row_again(
    status: int,
) -> None:
    ward = Ward()

    for _ in range(20):
        for _ in range(BREAKER_FAILURES - 1):
            ward.fail(Attempts())
        ward.fail(Attempts(), status)

    assert await ward.next_request() == 0


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504, 520])
async def test_no_answer_and_every_5xx_are_failures(status: int | None) -> None:
    ward = Ward()

    for _ in range(BREAKER_FAILURES):
        ward.fail(Attempts(), status)

    assert await ward.next_request() == 5


async def test_while_the_server_is_down_one_request_at_a_time_probes_it() -> None:
    ward = Ward()

    ward.break_down()

    assert not await ward.lets_two_through()


async def test_probes_come_at_intervals_that_double_to_a_minute() -> None:
    ward = Ward()
    ward.break_down()

    waits = []
    for _ in range(7):
        waits.append(await ward.next_request())
        ward.fail(Attempts())

    assert waits == [5, 10, 20, 40, 60, 60, 60]


async def test_what_was_in_flight_when_the_breaker_opened_is_no_probe() -> None:
    ward = Ward()
    in_flight = [no_answer() for _ in range(20)]
    ward.break_down()
    await asyncio.sleep(2)

    for error in in_flight:
        ward.breaker.failed(Attempts(), error)

    assert await ward.next_request() == 3


async def test_one_answer_ends_the_outage() -> None:
    ward = Ward()
    ward.break_down()
    await ward.next_request()

    ward.breaker.succeeded()

    assert await ward.lets_two_through()
    assert await ward.next_request() == 0


async def test_the_next_outage_starts_with_the_first_interval() -> None:
    ward = Ward()
    ward.break_down()
    for _ in range(4):
        await ward.next_request()
        ward.fail(Attempts())
    await ward.next_request()
    ward.breaker.succeeded()

    ward.break_down()

    assert await ward.next_request() == 5


# What an outage costs


async def test_an_outage_gives_every_license_its_attempts_back() -> None:
    ward = Ward()
    one, two = Attempts(counted=2), Attempts()

    for attempts in (one, two) * 5:
        ward.fail(attempts)

    assert (one.counted, two.counted) == (2, 0)
    assert one.refunded
    assert two.refunded


async def test_failures_during_an_outage_cost_no_attempt() -> None:
    ward = Ward()
    ward.break_down()
    probing = Attempts()

    for _ in range(5):
        await ward.next_request()
        ward.fail(probing)

    assert probing.counted == 0
    assert ward.breaker.may_retry(probing, 1)


async def test_an_outage_gives_the_run_its_retries_back() -> None:
    ward = Ward()
    licenses = [Attempts() for _ in range(5)]

    for attempts in licenses * 2:
        ward.fail(attempts)
        ward.breaker.may_retry(attempts, FAR)

    assert ward.retries() == 20


async def test_failures_before_the_last_success_are_not_given_back() -> None:
    ward = Ward()
    early = Attempts()
    for _ in range(3):
        ward.fail(early)
        ward.breaker.may_retry(early, FAR)
    ward.breaker.succeeded()

    ward.break_down()

    assert early.counted == 3
    assert not early.refunded
    assert ward.retries() == 17


async def test_a_failure_without_an_outage_costs_an_attempt_and_a_retry_of_the_run() -> None:
    ward = Ward()
    attempts = Attempts()

    granted = []
    for _ in range(3):
        ward.fail(attempts)
        granted.append(ward.breaker.may_retry(attempts, 3))
        ward.breaker.succeeded()

    assert attempts.counted == 3
    assert granted == [True, True, False]
    assert ward.retries() == 18


async def test_an_empty_budget_allows_no_retry() -> None:
    ward = Ward()
    assert ward.retries() == 20

    assert not ward.breaker.may_retry(Attempts(counted=1), 5)
    assert ward.breaker.may_retry(Attempts(), 5)


async def test_a_tenth_of_the_successes_are_retries() -> None:
    ward = Ward()

    for _ in range(1000):
        ward.breaker.succeeded()

    assert ward.retries() == pytest.approx(120, abs=1)


# Sick licenses in a healthy run


async def test_licenses_that_failed_while_others_succeeded_never_pass_for_an_outage() -> None:
    ward = Ward()
    sick = [Attempts() for _ in range(8)]
    for attempts in sick:
        ward.fail(attempts)
    ward.breaker.succeeded()

    for attempts in sick * 4:
        ward.fail(attempts)

    assert {attempts.counted for attempts in sick} == {5}
    assert await ward.next_request() == 0


async def test_sick_licenses_do_not_hide_an_outage_of_the_others() -> None:
    ward = Ward()
    sick = Attempts()
    ward.fail(sick)
    ward.breaker.succeeded()

    for _ in range(BREAKER_FAILURES):
        ward.fail(sick)
        ward.fail(Attempts())

    assert await ward.next_request() == 5
    assert sick.counted == 1


async def test_only_who_failed_is_suspected() -> None:
    ward = Ward()
    failed, spared = Attempts(), Attempts()

    ward.fail(failed)
    ward.breaker.succeeded()
    ward.fail(spared)

    assert failed.suspect
    assert not spared.suspect


@pytest.mark.parametrize("status", [None, 502, 503, 504])
async def test_nobody_answered_may_mean_that_the_server_is_down(status: int | None) -> None:
    ward = Ward()
    attempts = Attempts()

    for _ in range(4):
        ward.fail(attempts, status)

    assert ward.breaker.looks_down(attempts)


async def test_a_500_is_about_the_license() -> None:
    ward = Ward()
    attempts = Attempts()

    ward.fail(attempts, 503)
    ward.fail(attempts, 500)

    assert not ward.breaker.looks_down(attempts)


async def test_an_answer_to_anybody_since_a_license_failed_means_the_server_is_up() -> None:
    ward = Ward()
    before, after = Attempts(), Attempts()

    ward.fail(before)
    ward.breaker.succeeded()
    ward.fail(before)
    ward.fail(after)

    assert not ward.breaker.looks_down(before)
    assert ward.breaker.looks_down(after)


# Giving up


async def test_fifteen_minutes_without_a_success_stop_the_run() -> None:
    ward = Ward()
    for _ in range(BREAKER_FAILURES):
        ward.fail(Attempts())
    await asyncio.sleep(PATIENCE - 0.001)
    ward.fail(Attempts())
    await asyncio.sleep(0.002)

    with pytest.raises(StoppedError, match="15 minutes"):
        ward.fail(Attempts())


async def test_a_machine_that_slept_is_no_outage() -> None:
    ward = Ward()
    ward.fail(Attempts())
    await asyncio.sleep(10 * PATIENCE)

    ward.fail(Attempts())

    assert await ward.next_request() == 0


async def test_patience_starts_with_a_failure_and_not_with_the_silence_before() -> None:
    ward = Ward()
    ward.breaker.succeeded()
    await asyncio.sleep(10 * PATIENCE)

    ward.fail(Attempts())
    await asyncio.sleep(PATIENCE - 1)
    ward.fail(Attempts())

    assert await ward.next_request() == 0


async def test_a_success_starts_the_patience_again() -> None:
    ward = Ward()

    for _ in range(5):
        ward.fail(Attempts())
        await asyncio.sleep(PATIENCE - 1)
        ward.breaker.succeeded()
        await asyncio.sleep(2)


async def test_an_outage_is_probed_until_the_patience_ends() -> None:
    ward = Ward()
    started = now()
    ward.break_down()

    probes = []

    async def probe() -> NoReturn:
        while True:
            await ward.next_request()
            probes.append(now() - started)
            ward.fail(Attempts())

    with pytest.raises(StoppedError):
        await probe()

    assert probes[:5] == [5, 15, 35, 75, 135]
    assert PATIENCE <= probes[-1] < PATIENCE + 60


# Being asked to wait


@pytest.mark.parametrize(("retry_after", "wait"), [(0, 5.5), (7, 7.5), (LONGEST_PAUSE, 300.5)])
async def test_a_busy_server_is_given_the_time_it_asks_for(retry_after: float, wait: float) -> None:
    ward = Ward()
    await ward.next_request()

    ward.breaker.failed(Attempts(), busy(retry_after=retry_after))

    assert await ward.next_request() == wait


@pytest.mark.parametrize("status", [429, 503])
async def test_being_asked_to_wait_costs_no_attempt_and_no_retry(status: int) -> None:
    ward = Ward()
    attempts = Attempts()

    for _ in range(9):
        await ward.next_request()
        ward.breaker.failed(attempts, busy(status))
        assert ward.breaker.may_retry(attempts, 1)

    assert attempts.counted == 0
    assert ward.retries() == 20


async def test_a_wait_of_more_than_five_minutes_stops_the_run() -> None:
    for status in (429, 503):
        with pytest.raises(StoppedError, match="301 s"):
            Ward().breaker.failed(Attempts(), busy(status, LONGEST_PAUSE + 1))


async def test_a_wait_without_end_stops_the_run() -> None:
    with pytest.raises(StoppedError):
        Ward().breaker.failed(Attempts(), busy(429, float("9" * 400)))


async def test_a_hundred_429s_stop_the_run_however_many_successes_lie_between() -> None:
    ward = Ward()
    for _ in range(MOST_THROTTLED - 1):
        await ward.next_request()
        ward.breaker.failed(Attempts(), busy())
        ward.breaker.succeeded()

    with pytest.raises(StoppedError, match="429"):
        ward.breaker.failed(Attempts(), busy())

    assert ward.breaker.throttled == MOST_THROTTLED


async def test_only_429s_count_as_refused_for_being_too_many() -> None:
    ward = Ward()

    for _ in range(2 * MOST_THROTTLED):
        ward.breaker.failed(Attempts(), busy(503))
        ward.breaker.succeeded()

    assert ward.breaker.throttled == 0


async def test_a_429_says_that_the_server_is_up() -> None:
    ward = Ward()

    for _ in range(5):
        for _ in range(BREAKER_FAILURES - 1):
            ward.fail(Attempts())
        ward.breaker.failed(Attempts(), busy())
    await ward.next_request()

    assert await ward.lets_two_through()


async def test_a_503_that_asks_to_wait_counts_for_an_outage() -> None:
    ward = Ward()

    for _ in range(BREAKER_FAILURES):
        ward.breaker.failed(Attempts(), busy(503))

    assert not await ward.lets_two_through()


async def test_one_burst_of_429s_makes_one_pause() -> None:
    rate_limiter = RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0)
    ward = Ward(rate_limiter)
    errors = []
    for _ in range(3):
        await rate_limiter.acquire()
        errors.append(busy())

    for error in errors:
        rate_limiter.release()
        ward.breaker.failed(Attempts(), error)

    assert rate_limiter.limit == 30
    assert ward.breaker.throttled == 3


# A token that may not write


async def test_a_403_before_any_success_stops_the_run() -> None:
    with pytest.raises(StoppedError) as caught:
        Ward().breaker.forbidden(forbidden())

    assert "license:write" in caught.value.hint


async def test_a_403_after_a_success_is_about_the_license_until_it_is_five_in_a_row() -> None:
    ward = Ward()
    ward.breaker.confirmed()
    for _ in range(FORBIDDEN_IN_A_ROW - 1):
        ward.breaker.forbidden(forbidden())

    with pytest.raises(StoppedError):
        ward.breaker.forbidden(forbidden())


async def test_a_confirmed_change_starts_the_count_of_403s_again() -> None:
    ward = Ward()

    for _ in range(20):
        ward.breaker.confirmed()
        for _ in range(FORBIDDEN_IN_A_ROW - 1):
            ward.breaker.forbidden(forbidden())


async def test_an_answer_that_confirms_nothing_does_not_prove_that_the_token_can_write() -> None:
    ward = Ward()
    ward.breaker.succeeded()

    with pytest.raises(StoppedError):
        ward.breaker.forbidden(forbidden())


# Whatever comes


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["ok", None, 408, 500, 503, "429", "503"])),
        max_size=120,
    )
)
async def test_a_license_is_charged_for_its_own_failures_at_most_and_never_paid(
    events: list[tuple[int, str | int | None]],
) -> None:
    ward = Ward()
    licenses = [Attempts() for _ in range(5)]
    failures = [0] * 5

    for number, event in events:
        if event == "ok":
            ward.breaker.succeeded()
        elif isinstance(event, str):
            ward.breaker.failed(licenses[number], busy(int(event)))
        else:
            ward.fail(licenses[number], event)
            failures[number] += 1

        for attempts, most in zip(licenses, failures, strict=True):
            assert 0 <= attempts.counted <= most
    assert ward.retries() <= 20 + len(events) / 10


async def test_time_at_the_question_is_no_time_without_an_answer() -> None:
    ward = Ward()
    ward.fail(Attempts())
    await asyncio.sleep(2 * PATIENCE)

    ward.breaker.count_anew()
    ward.break_down()
    await asyncio.sleep(PATIENCE - 1)
    ward.fail(Attempts())
    await asyncio.sleep(1)

    with pytest.raises(StoppedError, match="15 minutes"):
        ward.fail(Attempts())
