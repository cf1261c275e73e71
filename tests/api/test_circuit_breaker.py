"""When everybody waits for the server, and when the run gives up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api import circuit_breaker
from batch.api.access import FOREIGN_IN_A_ROW
from batch.api.circuit_breaker import BREAKER_FAILURES, LONGEST_PAUSE, PATIENCE, CircuitBreaker
from batch.api.overload import SIGNS
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import MOST_FORGIVEN, Attempts
from batch.errors import ForeignError, StoppedError, ThrottledError, TransientError
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


@dataclass
class Circuit:
    """A circuit breaker, and the rate limiter that it holds back."""

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
        """Whether a second request leaves before the first one is answered.

        An answer to one that had left before lets more leave, unless they go one at a time.
        """
        await self.rate_limiter.acquire()
        second = asyncio.create_task(self.rate_limiter.acquire())
        await asyncio.sleep(3600)
        self.rate_limiter.answered()
        self.rate_limiter._changed.set()
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


# What is refused among answers


def too_much() -> TransientError:
    """A refusal of something in front of the API, of a request that left just now."""
    error = no_answer(503)
    error.is_load = True
    return error


async def test_what_is_refused_while_others_are_answered_is_charged_to_nobody() -> None:
    circuit = Circuit()
    refused, sick = [Attempts() for _ in range(8)], Attempts()

    for attempts in refused:
        circuit.breaker.failed(attempts, too_much())
        circuit.breaker.may_retry(attempts, FAR)
    circuit.fail(sick)
    circuit.breaker.succeeded()

    assert {(attempts.counted, attempts.suspect) for attempts in refused} == {(0, False)}
    assert (sick.counted, sick.suspect) == (1, True)
    assert circuit.retries() == 20  # and costs none


async def test_what_is_refused_again_and_again_is_its_own_fault_in_the_end() -> None:
    circuit, attempts = Circuit(), Attempts()

    for _ in range(MOST_FORGIVEN + 3):
        circuit.breaker.failed(attempts, too_much())
        circuit.breaker.succeeded()

    assert (attempts.counted, attempts.forgiven) == (3, MOST_FORGIVEN)
    assert attempts.suspect


@pytest.mark.parametrize(
    ("streaks", "answers", "limit"),
    [(3, 1, 30), (2, 1, 40), (30, 11, 40), (9, 5, 30)],
)
async def test_refusals_that_are_no_chance_lower_the_limit(
    streaks: int, answers: int, limit: int
) -> None:
    circuit = Circuit(RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0))

    for _ in range(streaks):
        circuit.breaker.failed(Attempts(), too_much())
        for _ in range(answers):
            circuit.breaker.succeeded()

    assert circuit.rate_limiter.limit == limit
    assert not circuit.breaker.is_down


async def test_one_license_that_is_always_refused_lowers_nothing_for_the_others() -> None:
    circuit = Circuit(RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0))
    sick = Attempts(forgiven=SIGNS)

    for _ in range(9):
        circuit.breaker.failed(sick, too_much())
        circuit.breaker.succeeded()

    assert circuit.rate_limiter.limit == 40


async def test_a_restart_of_a_few_seconds_lowers_nothing() -> None:
    circuit = Circuit(RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0))

    for _ in range(BREAKER_FAILURES - 1):
        circuit.breaker.failed(Attempts(), too_much())
    circuit.breaker.succeeded()

    assert circuit.rate_limiter.limit == 40
    assert await circuit.next_request() == 0


# Who stands in front of the API


def go_away() -> ForeignError:
    error = ForeignError("HTTP 403, an HTML page", status=403, code="http_403")
    error.sent = now()
    return error


async def test_one_foreign_answer_holds_everybody_back_and_costs_no_attempt() -> None:
    circuit, attempts = Circuit(), Attempts()

    circuit.breaker.failed(attempts, go_away())

    assert circuit.breaker.is_down
    assert attempts.counted == 0
    assert await circuit.next_request() == 5.5
    assert circuit.rate_limiter.limit == 45  # it may be a limiter


async def test_five_foreign_answers_in_a_row_to_probes_stop_the_run() -> None:
    circuit, waits = Circuit(), []
    circuit.breaker.failed(Attempts(), go_away())
    circuit.breaker.failed(Attempts(), go_away())  # it had left before

    for _ in range(FOREIGN_IN_A_ROW - 1):
        waits.append(await circuit.next_request())
        circuit.breaker.failed(Attempts(), go_away())
    await circuit.next_request()
    with pytest.raises(StoppedError, match="in front of the API refuses"):
        circuit.breaker.failed(Attempts(), go_away())

    assert waits == [5.5, 10, 20, 40]


async def test_an_answer_of_the_api_ends_that_row() -> None:
    circuit = Circuit()

    for _ in range(3):
        for _ in range(FOREIGN_IN_A_ROW):
            circuit.breaker.failed(Attempts(), go_away())
            await circuit.next_request()
        circuit.breaker.succeeded()

    assert not circuit.breaker.is_down


@pytest.mark.parametrize("status", [502, None])
async def test_a_probe_that_fails_otherwise_ends_that_row(status: int | None) -> None:
    circuit = Circuit()
    circuit.breaker.failed(Attempts(), go_away())

    for _ in range(3):
        for _ in range(FOREIGN_IN_A_ROW - 1):
            await circuit.next_request()
            circuit.breaker.failed(Attempts(), go_away())
        await circuit.next_request()
        circuit.fail(Attempts(), status)

    assert circuit.breaker.is_down


async def test_what_left_before_the_wait_is_no_probe_and_does_not_end_that_row() -> None:
    circuit = Circuit()
    late = no_answer(502)
    circuit.breaker.failed(Attempts(), go_away())
    for _ in range(FOREIGN_IN_A_ROW - 1):
        await circuit.next_request()
        circuit.breaker.failed(Attempts(), go_away())

    circuit.breaker.failed(Attempts(), late)
    await circuit.next_request()

    with pytest.raises(StoppedError, match="in front of the API refuses"):
        circuit.breaker.failed(Attempts(), go_away())


async def test_a_license_that_alone_meets_a_stranger_ends_by_itself() -> None:
    circuit, attempts = Circuit(), Attempts()

    for _ in range(MOST_FORGIVEN):
        circuit.breaker.failed(attempts, go_away())
        await circuit.next_request()
        circuit.breaker.succeeded()
    circuit.breaker.failed(attempts, go_away())

    assert not circuit.breaker.is_down
    assert attempts.counted == 1


# The breaker


async def test_ten_failures_in_a_row_hold_everybody_back_for_five_seconds() -> None:
    circuit = Circuit()

    circuit.break_down()

    assert await circuit.next_request() == 5


def refuse(circuit: Circuit) -> None:
    """Ten licenses are refused, as by a gateway that has had enough, or has nothing behind it."""
    for _ in range(BREAKER_FAILURES):
        error = no_answer(503)
        error.is_load = True
        circuit.breaker.failed(Attempts(), error)


async def test_refusals_that_follow_an_answer_are_waited_out_before_they_are_an_outage() -> None:
    circuit = Circuit(RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0))
    circuit.breaker.succeeded()

    refuse(circuit)
    waited, was_down = await circuit.next_request(), circuit.breaker.is_down
    refuse(circuit)

    assert (waited, was_down) == (5.5, False)
    assert circuit.breaker.is_down
    assert circuit.rate_limiter.limit == 40  # as an outage it says nothing of the rate


async def test_refusals_that_come_again_after_answers_lower_the_limit() -> None:
    circuit = Circuit(RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0))

    for _ in range(2):
        circuit.breaker.succeeded()
        refuse(circuit)
        await circuit.next_request()

    assert not circuit.breaker.is_down
    assert circuit.rate_limiter.limit == 30


async def test_refusals_that_follow_an_answer_set_a_limit_where_there_is_none() -> None:
    circuit = Circuit()
    circuit.breaker.succeeded()

    refuse(circuit)

    assert not circuit.breaker.is_down
    assert circuit.rate_limiter.limit is not None


async def test_a_503_that_asks_to_wait_lowers_a_limit_only_if_it_comes_again() -> None:
    circuit = Circuit(RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0))
    limits = []

    for answers in (1, 1, 100, 1):
        for _ in range(answers):
            circuit.breaker.succeeded()
        await circuit.next_request()
        circuit.breaker.failed(Attempts(), busy(503, 1.0))
        limits.append(circuit.rate_limiter.limit)

    assert limits == [40, 30, 30, 22]


async def test_a_503_that_asks_everybody_to_wait_says_nothing_of_the_rate() -> None:
    circuit = Circuit()
    circuit.breaker.succeeded()

    for _ in range(3):
        await circuit.next_request()
        circuit.breaker.failed(Attempts(), busy(503, 1.0))
    await asyncio.sleep(60)
    await circuit.next_request()

    assert circuit.rate_limiter.is_guessing
    assert circuit.rate_limiter.limit == 45 + 2


async def test_nine_failures_in_a_row_hold_nobody_back() -> None:
    circuit = Circuit()

    for _ in range(BREAKER_FAILURES - 1):
        circuit.fail(Attempts())

    assert await circuit.next_request() == 0
    assert await circuit.lets_two_through()


async def test_a_success_starts_the_row_again() -> None:
    circuit = Circuit()

    for _ in range(20):
        for _ in range(BREAKER_FAILURES - 1):
            circuit.fail(Attempts())
        circuit.breaker.succeeded()

    assert await circuit.next_request() == 0


@pytest.mark.parametrize("status", [408, 425, 200, 499])
async def test_an_answer_that_is_no_trouble_of_the_server_starts_the_row_again(
    status: int,
) -> None:
    circuit = Circuit()

    for _ in range(20):
        for _ in range(BREAKER_FAILURES - 1):
            circuit.fail(Attempts())
        circuit.fail(Attempts(), status)

    assert await circuit.next_request() == 0


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504, 520])
async def test_no_answer_and_every_5xx_are_failures(status: int | None) -> None:
    circuit = Circuit()

    for _ in range(BREAKER_FAILURES):
        circuit.fail(Attempts(), status)

    assert await circuit.next_request() == 5


async def test_while_the_server_is_down_one_request_at_a_time_probes_it() -> None:
    circuit = Circuit()

    circuit.break_down()

    assert not await circuit.lets_two_through()


async def test_probes_come_at_intervals_that_double_to_a_minute() -> None:
    circuit = Circuit()
    circuit.break_down()

    waits = []
    for _ in range(7):
        waits.append(await circuit.next_request())
        circuit.fail(Attempts())

    assert waits == [5, 10, 20, 40, 60, 60, 60]


async def test_what_was_in_flight_when_the_breaker_opened_is_no_probe() -> None:
    circuit = Circuit()
    in_flight = [no_answer() for _ in range(20)]
    circuit.break_down()
    await asyncio.sleep(2)

    for error in in_flight:
        circuit.breaker.failed(Attempts(), error)

    assert await circuit.next_request() == 3


async def test_one_answer_ends_the_outage() -> None:
    circuit = Circuit()
    circuit.break_down()
    await circuit.next_request()

    circuit.breaker.succeeded()

    assert await circuit.lets_two_through()
    assert await circuit.next_request() == 0


async def test_the_next_outage_starts_with_the_first_interval() -> None:
    circuit = Circuit()
    circuit.break_down()
    for _ in range(4):
        await circuit.next_request()
        circuit.fail(Attempts())
    await circuit.next_request()
    circuit.breaker.succeeded()

    circuit.break_down()

    assert await circuit.next_request() == 5


# What an outage costs


async def test_an_outage_gives_every_license_its_attempts_back() -> None:
    circuit = Circuit()
    one, two = Attempts(counted=2), Attempts()

    for attempts in (one, two) * 5:
        circuit.fail(attempts)

    assert (one.counted, two.counted) == (2, 0)
    assert one.refunded
    assert two.refunded


async def test_failures_during_an_outage_cost_no_attempt() -> None:
    circuit = Circuit()
    circuit.break_down()
    probing = Attempts()

    for _ in range(5):
        await circuit.next_request()
        circuit.fail(probing)

    assert probing.counted == 0
    assert circuit.breaker.may_retry(probing, 1)


async def test_an_outage_gives_the_run_its_retries_back() -> None:
    circuit = Circuit()
    licenses = [Attempts() for _ in range(5)]

    for attempts in licenses * 2:
        circuit.fail(attempts)
        circuit.breaker.may_retry(attempts, FAR)

    assert circuit.retries() == 20


async def test_failures_before_the_last_success_are_not_refunded() -> None:
    circuit = Circuit()
    early = Attempts()
    for _ in range(3):
        circuit.fail(early)
        circuit.breaker.may_retry(early, FAR)
    circuit.breaker.succeeded()

    circuit.break_down()

    assert early.counted == 3
    assert not early.refunded
    assert circuit.retries() == 17


async def test_a_failure_without_an_outage_costs_an_attempt_and_a_retry_of_the_run() -> None:
    circuit = Circuit()
    attempts = Attempts()

    granted = []
    for _ in range(3):
        circuit.fail(attempts)
        granted.append(circuit.breaker.may_retry(attempts, 3))
        circuit.breaker.succeeded()

    assert attempts.counted == 3
    assert granted == [True, True, False]
    assert circuit.retries() == 18


async def test_an_empty_budget_allows_no_retry() -> None:
    circuit = Circuit()
    assert circuit.retries() == 20

    assert not circuit.breaker.may_retry(Attempts(counted=1), 5)
    assert circuit.breaker.may_retry(Attempts(), 5)


async def test_a_tenth_of_the_successes_are_retries() -> None:
    circuit = Circuit()

    for _ in range(1000):
        circuit.breaker.succeeded()

    assert circuit.retries() == pytest.approx(120, abs=1)


# Sick licenses in a healthy run


async def test_licenses_that_failed_while_others_succeeded_never_pass_for_an_outage() -> None:
    circuit = Circuit()
    sick = [Attempts() for _ in range(8)]
    for attempts in sick:
        circuit.fail(attempts)
    circuit.breaker.succeeded()

    for attempts in sick * 4:
        circuit.fail(attempts)

    assert {attempts.counted for attempts in sick} == {5}
    assert await circuit.next_request() == 0


async def test_sick_licenses_do_not_hide_an_outage_of_the_others() -> None:
    circuit = Circuit()
    sick = Attempts()
    circuit.fail(sick)
    circuit.breaker.succeeded()

    for _ in range(BREAKER_FAILURES):
        circuit.fail(sick)
        circuit.fail(Attempts())

    assert await circuit.next_request() == 5
    assert sick.counted == 1


async def test_only_who_failed_is_suspected() -> None:
    circuit = Circuit()
    failed, spared = Attempts(), Attempts()

    circuit.fail(failed)
    circuit.breaker.succeeded()
    circuit.fail(spared)

    assert failed.suspect
    assert not spared.suspect


@pytest.mark.parametrize("status", [None, 502, 503, 504])
async def test_nobody_answered_may_mean_that_the_server_is_down(status: int | None) -> None:
    circuit = Circuit()
    attempts = Attempts()

    for _ in range(4):
        circuit.fail(attempts, status)

    assert circuit.breaker.looks_down(attempts)


async def test_a_500_is_about_the_license() -> None:
    circuit = Circuit()
    attempts = Attempts()

    circuit.fail(attempts, 503)
    circuit.fail(attempts, 500)

    assert not circuit.breaker.looks_down(attempts)


async def test_an_answer_to_anybody_since_a_license_failed_means_the_server_is_up() -> None:
    circuit = Circuit()
    before, after = Attempts(), Attempts()

    circuit.fail(before)
    circuit.breaker.succeeded()
    circuit.fail(before)
    circuit.fail(after)

    assert not circuit.breaker.looks_down(before)
    assert circuit.breaker.looks_down(after)


# Giving up


async def test_fifteen_minutes_without_a_success_stop_the_run() -> None:
    circuit = Circuit()
    for _ in range(BREAKER_FAILURES):
        circuit.fail(Attempts())
    await asyncio.sleep(PATIENCE - 0.001)
    circuit.fail(Attempts())
    await asyncio.sleep(0.002)

    with pytest.raises(StoppedError, match="15 minutes"):
        circuit.fail(Attempts())


async def test_a_machine_that_slept_is_no_outage() -> None:
    circuit = Circuit()
    circuit.fail(Attempts())
    await asyncio.sleep(10 * PATIENCE)

    circuit.fail(Attempts())

    assert await circuit.next_request() == 0


async def test_patience_starts_with_a_failure_and_not_with_the_silence_before() -> None:
    circuit = Circuit()
    circuit.breaker.succeeded()
    await asyncio.sleep(10 * PATIENCE)

    circuit.fail(Attempts())
    await asyncio.sleep(PATIENCE - 1)
    circuit.fail(Attempts())

    assert await circuit.next_request() == 0


async def test_a_success_starts_the_patience_again() -> None:
    circuit = Circuit()

    for _ in range(5):
        circuit.fail(Attempts())
        await asyncio.sleep(PATIENCE - 1)
        circuit.breaker.succeeded()
        await asyncio.sleep(2)


async def test_an_outage_is_probed_until_the_patience_ends() -> None:
    circuit = Circuit()
    started = now()
    circuit.break_down()

    probes = []

    async def probe() -> NoReturn:
        while True:
            await circuit.next_request()
            probes.append(now() - started)
            circuit.fail(Attempts())

    with pytest.raises(StoppedError):
        await probe()

    assert probes[:5] == [5, 15, 35, 75, 135]
    assert PATIENCE <= probes[-1] < PATIENCE + 60


# Being asked to wait


@pytest.mark.parametrize(("retry_after", "wait"), [(0, 5.5), (7, 7.5), (LONGEST_PAUSE, 300.5)])
async def test_a_busy_server_is_given_the_time_it_asks_for(retry_after: float, wait: float) -> None:
    circuit = Circuit()
    await circuit.next_request()

    circuit.breaker.failed(Attempts(), busy(retry_after=retry_after))

    assert await circuit.next_request() == wait


@pytest.mark.parametrize("status", [429, 503])
async def test_being_asked_to_wait_costs_no_attempt_and_no_retry(status: int) -> None:
    circuit = Circuit()
    attempts = Attempts()

    for _ in range(9):
        await circuit.next_request()
        circuit.breaker.failed(attempts, busy(status))
        assert circuit.breaker.may_retry(attempts, 1)

    assert attempts.counted == 0
    assert circuit.retries() == 20


async def test_a_wait_of_more_than_five_minutes_stops_the_run() -> None:
    for status in (429, 503):
        with pytest.raises(StoppedError, match="301 s"):
            Circuit().breaker.failed(Attempts(), busy(status, LONGEST_PAUSE + 1))


async def test_a_quota_of_an_hour_is_waited_for_as_long_as_the_server_says() -> None:
    circuit = Circuit(RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0))
    refusal = busy(retry_after=7.0)
    refusal.admitted = (1000, 3600.0)

    circuit.breaker.failed(Attempts(), refusal)

    assert await circuit.next_request() == 7.5


async def test_a_wait_without_end_stops_the_run() -> None:
    with pytest.raises(StoppedError):
        Circuit().breaker.failed(Attempts(), busy(429, float("9" * 400)))


async def test_where_nothing_is_let_through_for_a_quarter_of_an_hour_the_run_stops() -> None:
    circuit = Circuit()
    await refused_until(circuit, PATIENCE - 1)

    circuit.breaker.succeeded()
    await refused_until(circuit, now() + PATIENCE - 1)
    await asyncio.sleep(2)

    with pytest.raises(StoppedError, match="refused for 15 minutes"):
        circuit.breaker.failed(Attempts(), busy())


async def refused_until(circuit: Circuit, end: float) -> None:
    """Every request is refused as one too many."""
    while now() < end:
        circuit.breaker.failed(Attempts(), busy())
        await asyncio.sleep(min(7.0, max(end - now(), 0.001)))


async def test_only_429s_count_as_refused_for_being_too_many() -> None:
    circuit = Circuit()

    for _ in range(3):
        circuit.breaker.failed(Attempts(), busy(503))
        circuit.breaker.succeeded()
        circuit.breaker.failed(Attempts(), busy(429))

    assert circuit.breaker.throttled == 3


async def test_a_429_says_that_the_server_is_up() -> None:
    circuit = Circuit()

    for _ in range(5):
        for _ in range(BREAKER_FAILURES - 1):
            circuit.fail(Attempts())
        circuit.breaker.failed(Attempts(), busy())
    await circuit.next_request()

    assert await circuit.lets_two_through()


async def test_a_503_that_asks_to_wait_counts_for_an_outage() -> None:
    circuit = Circuit()

    for _ in range(BREAKER_FAILURES):
        circuit.breaker.failed(Attempts(), busy(503))

    assert not await circuit.lets_two_through()


async def test_one_burst_of_429s_makes_one_pause() -> None:
    rate_limiter = RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0)
    circuit = Circuit(rate_limiter)
    errors = []
    for _ in range(3):
        await rate_limiter.acquire()
        errors.append(busy())

    for error in errors:
        rate_limiter.release()
        circuit.breaker.failed(Attempts(), error)

    assert rate_limiter.limit == 30
    assert circuit.breaker.throttled == 3


async def test_an_answer_that_confirms_nothing_does_not_prove_that_the_token_can_write() -> None:
    circuit = Circuit()

    circuit.breaker.succeeded()

    assert not circuit.breaker.access.has_confirmed


@pytest.mark.parametrize("status", [408, 425, 200])
async def test_an_answer_that_is_of_no_use_is_an_attempt_of_its_license(status: int) -> None:
    circuit, attempts = Circuit(), Attempts()

    for failed in range(1, 4):
        circuit.fail(attempts, status)

        assert attempts.counted == failed
    assert circuit.breaker.may_retry(attempts, 4)
    assert not circuit.breaker.may_retry(attempts, 3)


async def test_only_retries_of_the_streak_that_opens_it_are_refunded() -> None:
    circuit, spender = Circuit(), Attempts()
    for _ in range(10):
        circuit.fail(spender, 408)
        assert circuit.breaker.may_retry(spender, FAR)
        circuit.breaker.succeeded()

    circuit.break_down()

    assert circuit.retries() == 20 - 10 + 1  # ten successes earn one


async def test_what_was_before_a_success_says_nothing_of_what_comes_after_it() -> None:
    circuit, attempts = Circuit(), Attempts()
    circuit.fail(Attempts(), 500)
    circuit.breaker.succeeded()

    circuit.fail(attempts, 503)

    assert circuit.breaker.looks_down(attempts)


async def test_who_failed_in_an_outage_is_no_suspect_after_it() -> None:
    circuit = Circuit()
    licenses = circuit.break_down()

    circuit.breaker.succeeded()

    assert not any(attempts.suspect for attempts in licenses)


async def test_patience_begins_with_the_failure_that_no_success_has_followed() -> None:
    circuit = Circuit()
    circuit.fail(Attempts())
    circuit.breaker.succeeded()
    await asyncio.sleep(2 * PATIENCE)

    circuit.break_down()
    await asyncio.sleep(PATIENCE - 1)

    circuit.fail(Attempts())


async def test_a_server_that_was_not_down_is_not_said_to_answer_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []
    warning = circuit_breaker.log.warning

    def noted(*told: Any, extra: dict[str, Any]) -> None:  # noqa: ANN401
        events.append(extra["event"])
        warning(*told, extra=extra)

    monkeypatch.setattr(circuit_breaker.log, "warning", noted)
    circuit = Circuit()
    circuit.fail(Attempts())

    circuit.breaker.succeeded()
    assert events == []

    circuit.break_down()
    circuit.breaker.succeeded()
    assert events == ["breaker_open", "breaker_closed"]


# Whatever comes


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["ok", None, 408, 500, 503, "429", "503"])),
        max_size=120,
    )
)
async def test_a_license_counts_its_own_failures_at_most_and_is_never_refunded_more(
    events: list[tuple[int, str | int | None]],
) -> None:
    circuit = Circuit()
    licenses = [Attempts() for _ in range(5)]
    failures = [0] * 5

    for number, event in events:
        if event == "ok":
            circuit.breaker.succeeded()
        elif isinstance(event, str):
            circuit.breaker.failed(licenses[number], busy(int(event)))
        else:
            circuit.fail(licenses[number], event)
            failures[number] += 1

        for attempts, most in zip(licenses, failures, strict=True):
            assert 0 <= attempts.counted <= most
    assert circuit.retries() <= 20 + len(events) / 10


async def test_time_at_the_question_is_no_time_without_an_answer() -> None:
    circuit = Circuit()
    circuit.fail(Attempts())
    await asyncio.sleep(2 * PATIENCE)

    circuit.breaker.count_anew()
    circuit.break_down()
    await asyncio.sleep(PATIENCE - 1)
    circuit.fail(Attempts())
    await asyncio.sleep(1)

    with pytest.raises(StoppedError, match="15 minutes"):
        circuit.fail(Attempts())
