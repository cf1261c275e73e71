"""Limiters as gateways have them: what gets through them, in how many requests and in what time."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, TypeAlias
from unittest.mock import patch

import pytest

from batch.api import circuit_breaker, overload
from batch.api.circuit_breaker import CircuitBreaker
from batch.api.client import CryptlexClient
from batch.api.overload import Overload
from batch.api.rate_limiter import RateLimiter
from batch.api.responses import BELIEVABLE
from batch.api.retry import Attempts
from batch.api.retrying_client import RetryingClient
from batch.errors import ApiError, ThrottledError, TransientError
from batch.model import Outcome
from tests.support.job_harness import bench, holding, some_ids
from tests.support.server_limiters import SlidingCounter
from tests.support.virtual_time import now, virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable

LICENSES = 300

PAUSE = 6.5
"""Seconds that everybody waits once, when it shows that there is a limit."""


def refused(status: int | None, retry_after: float | None = None) -> TransientError:
    """What a limiter answers that does not say what it admits."""
    if status == 429 or (status and retry_after is not None):
        wait = retry_after or 0.0
        return ThrottledError("refused", status=status, code="refused", retry_after=wait)
    error = TransientError("refused", status=status, code="refused")
    error.is_load = True
    error.arrived = False
    return error


@dataclass
class Bucket:
    """nginx's ``limit_req``: so many per second, and a few at once."""

    rate: float
    burst: int
    full: float = 0.0
    last: float = 0.0

    def admits(self) -> bool:
        self.full = max(0.0, self.full - (now() - self.last) * self.rate)
        self.last = now()
        if self.full > self.burst + 1e-9:
            return False
        self.full += 1
        return True

    def left(self) -> None:
        pass


@dataclass
class Window:
    """Most others: so many in any window."""

    most: int
    period: float
    seen: deque[float] = field(default_factory=deque)

    def admits(self) -> bool:
        while self.seen and self.seen[0] <= now() - self.period:
            self.seen.popleft()
        if len(self.seen) >= self.most:
            return False
        self.seen.append(now())
        return True

    def left(self) -> None:
        pass


@dataclass
class Counter:
    """HAProxy's ``http_req_rate`` as it is: what it refuses counts, for two periods."""

    most: int
    period: float

    def __post_init__(self) -> None:
        self.counter = SlidingCounter(self.most, self.period)

    def admits(self) -> bool:
        return self.counter.admit(now()).admitted

    def left(self) -> None:
        pass


@dataclass
class Connections:
    """nginx's ``limit_conn``: so many at a time."""

    most: int
    inside: int = 0

    def admits(self) -> bool:
        if self.inside >= self.most:
            return False
        self.inside += 1
        return True

    def left(self) -> None:
        self.inside -= 1


Limiter: TypeAlias = Bucket | Window | Counter | Connections


@dataclass
class Gateway:
    """A limiter before an API that takes its time."""

    limiter: Limiter
    status: int | None
    rate_limiter: RateLimiter
    latency: float
    retry_after: float | None = None
    random: Random = field(default_factory=lambda: Random(1))
    requests: int = 0
    refusals: int = 0

    async def request(self) -> None:
        sent = await self.rate_limiter.acquire()
        self.requests += 1
        try:
            await asyncio.sleep(self.latency * 0.1)
            if not self.limiter.admits():
                self.refusals += 1
                error = refused(self.status, self.retry_after)
                error.sent = sent
                raise error
            await asyncio.sleep(self.latency * self.random.uniform(0.7, 1.3))
            self.limiter.left()
        finally:
            self.rate_limiter.release()


@dataclass
class Run:
    requests: int
    refusals: int
    seconds: float
    failed: int
    outages: int


async def run(
    limiter: Limiter,
    status: int | None,
    rate: int | None,
    latency: float = 0.02,
    licenses: int = LICENSES,
    retry_after: float | None = None,
    after_outage: bool = False,
) -> Run:
    """Send a request for each license until it is let through."""
    clock = virtual_clock()
    random = Random(2)
    rate_limiter = RateLimiter(rate, 5.0, clock, jitter=random.random)
    gateway = Gateway(limiter, status, rate_limiter, latency, retry_after)
    api = CryptlexClient("http://localhost:1/v3", "token", rate_limiter)
    breaker = CircuitBreaker(rate_limiter, clock)
    client = RetryingClient(api, rate_limiter, breaker, clock, jitter=random.random)
    client.introduced = True
    breaker.succeeded()  # the look
    if after_outage:
        rate_limiter.one_at_a_time(True)
        rate_limiter.one_at_a_time(False)
    failed = 0

    async def work(_: int) -> None:
        nonlocal failed
        try:
            await client.ask(gateway.request, Attempts(), 5)
        except ApiError:
            failed += 1

    began = now()
    with patch.object(circuit_breaker, "log") as log:
        await client.each(range(licenses), work, 32)
    events = [call.kwargs["extra"]["event"] for call in log.warning.call_args_list]
    seconds = now() - began
    return Run(gateway.requests, gateway.refusals, seconds, failed, events.count("breaker_open"))


@pytest.mark.parametrize("status", [503, None])
@pytest.mark.parametrize(
    ("limiter", "rate", "alone", "latency"),
    [
        (lambda: Bucket(10, 0), None, 30, 0.02),
        (lambda: Bucket(10, 0), None, 30, 0.001),
        (lambda: Bucket(5, 5), 45, 60, 0.02),
        (lambda: Bucket(5, 5), None, 60, 0.1),
        (lambda: Bucket(20, 10), None, 15, 0.02),
        (lambda: Bucket(100, 20), None, 3, 0.02),
        (lambda: Window(50, 5.0), None, 30, 0.02),
        (lambda: Window(20, 5.0), 45, 75, 0.02),
        (lambda: Counter(50, 5.0), None, 30, 0.02),
        (lambda: Counter(50, 5.0), None, 30, 0.001),
        (lambda: Counter(20, 2.0), None, 30, 0.02),
        (lambda: Counter(20, 5.0), 45, 75, 0.02),
        (lambda: Connections(4), None, LICENSES * 0.02 / 4, 0.02),
        (lambda: Connections(2), None, LICENSES * 0.1 / 2, 0.1),
        (lambda: Connections(1), None, LICENSES * 0.02, 0.02),
    ],
)
async def test_a_gateway_that_does_not_say_what_it_admits_is_found_out(
    limiter: Callable[[], Limiter],
    rate: int | None,
    alone: float,
    latency: float,
    status: int | None,
) -> None:
    ended = await run(limiter(), status, rate, latency)

    assert ended.failed == 0
    assert ended.outages == 0
    assert ended.requests <= 1.5 * LICENSES
    assert ended.seconds <= 2 * alone + PAUSE


LIMITS_OF_A_RATE = pytest.mark.parametrize(
    ("limiter", "rate", "alone"),
    [
        (lambda: Bucket(10, 0), None, 30),
        (lambda: Bucket(5, 5), 45, 60),
        (lambda: Bucket(20, 10), None, 15),
        (lambda: Window(50, 5.0), None, 30),
        (lambda: Window(20, 5.0), 45, 75),
    ],
)


@LIMITS_OF_A_RATE
async def test_a_503_that_asks_to_wait_is_too_much_as_well_while_others_are_answered(
    limiter: Callable[[], Limiter], rate: int | None, alone: float
) -> None:
    ended = await run(limiter(), 503, rate, retry_after=1.0)

    assert ended.failed == 0
    assert ended.outages == 0
    assert ended.requests <= 1.5 * LICENSES
    assert ended.seconds <= 2 * alone + PAUSE


@LIMITS_OF_A_RATE
async def test_429s_that_name_nothing_cost_few_requests(
    limiter: Callable[[], Limiter], rate: int | None, alone: float
) -> None:
    ended = await run(limiter(), 429, rate)

    assert ended.failed == 0
    assert ended.refusals <= 25
    assert ended.seconds <= 2 * alone + PAUSE


async def test_a_limit_that_was_guessed_too_low_is_found_in_a_long_run() -> None:
    ended = await run(Bucket(100, 20), 429, None, licenses=3000)

    assert ended.seconds <= 2 * 30 + PAUSE


async def test_without_a_limiter_all_workers_are_at_work_after_a_moment() -> None:
    ended = await run(Connections(32), 503, None, 0.1, licenses=3000)

    assert ended.refusals == 0
    assert ended.seconds <= 1.4 * 3000 * 0.1 / 32


async def test_the_limiter_of_the_api_says_what_it_admits_and_hardly_has_to_say_it_twice() -> None:
    ids = some_ids(400)
    async with (
        holding(ids, rate=(50, 5.0), latency=(0.0, 0.1)) as sandbox,
        bench(sandbox, ids) as work,
    ):
        began = now()
        await work.run()
        seconds = now() - began

    assert all(sandbox.revoked[each] for each in ids)
    assert {result.outcome for result in work.row_results.values()} == {Outcome.REVOKED}
    assert sandbox.count_429 <= 25
    assert sandbox.requests <= 425
    assert seconds <= 1.2 * 40 + PAUSE


async def test_after_an_outage_as_much_is_sent_as_before_and_no_more() -> None:
    ended = await run(Connections(4), 503, None, 0.1, after_outage=True)

    assert ended.failed == 0
    assert ended.requests <= 1.5 * LICENSES


@pytest.mark.parametrize(
    ("admitted", "pace"),
    [((20, BELIEVABLE), (20, BELIEVABLE)), ((20, BELIEVABLE + 1), (30, 5.0))],
)
async def test_a_window_that_is_too_long_for_a_pace_lowers_the_limit_as_if_untold(
    admitted: tuple[int, float], pace: tuple[int, float]
) -> None:
    rate_limiter = RateLimiter(40, 5.0, virtual_clock(), jitter=lambda: 0.0)
    refusal = ThrottledError("busy", status=429, code="busy", retry_after=7.0, admitted=admitted)

    Overload(rate_limiter, virtual_clock()).asked_to_wait(refusal)

    assert (rate_limiter.limit, rate_limiter.period) == pace


@pytest.mark.parametrize(
    ("limit", "admitted", "is_asked"),
    [(45, None, True), (45, (50, 5.0), True), (45, (20, 5.0), False), (None, None, False),
     (None, (20, 5.0), False), (45, (1000, 3600.0), False)],
)  # fmt: skip
async def test_somebody_else_is_suspected_only_where_the_limit_was_kept(
    limit: int | None,
    admitted: tuple[int, float] | None,
    is_asked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(overload.log, "warning", lambda text, *p, **_: said.append(text % p))
    rate_limiter = RateLimiter(limit, 5.0, virtual_clock(), jitter=lambda: 0.0)
    refusal = ThrottledError("busy", status=429, code="busy", retry_after=0.0, admitted=admitted)
    refusal.sent = await rate_limiter.acquire()
    rate_limiter.release()
    Overload(rate_limiter, virtual_clock()).asked_to_wait(refusal)

    assert len(said) == 1
    assert ("somebody else" in said[0]) is is_asked


def judge(limit: int = 40) -> tuple[Overload, RateLimiter]:
    """A judge, and the limit that it may lower."""
    rate_limiter = RateLimiter(limit, 5.0, virtual_clock(), jitter=lambda: 0.0)
    return Overload(rate_limiter, virtual_clock()), rate_limiter


def one(forgiven: int = 0) -> list[tuple[Attempts, TransientError]]:
    """A license that was refused, and was forgiven so many refusals."""
    return [(Attempts(forgiven=forgiven), refused(503))]


@pytest.mark.parametrize(
    ("rounds", "times"), [([5], 1), ([6], 0), ([5, 6], 1), ([5, 5], 2)], ids=str
)
async def test_the_third_refusal_is_no_chance_unless_six_were_answered_since_the_first(
    rounds: list[int], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lower(_: RateLimiter, sent: float) -> float:
        lowered.append(sent)
        return 0.0

    it, _ = judge()
    lowered: list[float] = []
    monkeypatch.setattr(RateLimiter, "overloaded", lower)

    for answers in rounds:  # what was taken for too much once does not count again
        it.refused_among_answers(one())
        for _ in range(answers):
            it.answered()
        it.refused_among_answers(one())
        it.refused_among_answers(one())

    assert len(lowered) == times


@pytest.mark.parametrize(("forgiven", "lowers"), [(3, True), (4, False)])
async def test_three_refusals_of_a_license_speak_of_the_load_and_no_further_ones(
    forgiven: int, lowers: bool
) -> None:
    it, rate_limiter = judge()

    for _ in range(3):
        it.refused_among_answers(one(forgiven))

    assert (rate_limiter.limit != 40) is lowers


@pytest.mark.parametrize(("seconds", "lowers"), [(59, True), (60, False)])
async def test_refusals_within_a_minute_of_an_outage_come_of_what_is_sent(
    seconds: float, lowers: bool
) -> None:
    it, rate_limiter = judge()
    it.outage_ended()
    await virtual_clock().sleep(seconds)
    it.answered()

    assert it.is_waited_out(refused(503), virtual_clock().now())

    assert (rate_limiter.limit != 40) is lowers


async def test_where_nobody_was_answered_yet_refusals_are_not_waited_out() -> None:
    it, _ = judge()

    assert not it.is_waited_out(refused(503), virtual_clock().now())


@pytest.mark.parametrize(
    ("seconds", "from_api", "waited"), [(9.9, False, True), (10, False, False), (1, True, False)]
)
async def test_two_periods_are_waited_for_a_gateway_that_refuses_everybody_and_no_longer(
    seconds: float, from_api: bool, waited: bool
) -> None:
    it, _ = judge()
    it.answered()
    began = virtual_clock().now()
    await virtual_clock().sleep(seconds)
    error = refused(503)
    error.from_api = from_api

    assert it.is_waited_out(error, began) is waited


@pytest.mark.parametrize(("seconds", "lowers"), [(59, True), (60, False)])
async def test_an_outage_within_a_minute_of_the_last_one_lowers_the_limit_though_it_is_one(
    seconds: float, lowers: bool
) -> None:
    it, rate_limiter = judge()
    it.outage_ended()
    it.answered()
    await virtual_clock().sleep(seconds)

    assert not it.is_waited_out(refused(503), virtual_clock().now() - 10)

    assert (rate_limiter.limit != 40) is lowers
