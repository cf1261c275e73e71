from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from batch.api.rate_limiter import MARGIN, RateLimiter, least_seconds
from batch.sandbox.limiter import FixedWindow
from tests.support.server_limiters import (
    LeakyBucket,
    Limiter,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
)
from tests.support.simulated_network import Network, simulate
from tests.support.virtual_time import now, virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable

SERVERS: dict[str, Callable[[], Limiter]] = {
    "fixed window": lambda: FixedWindow(50, 5.0),
    "sliding log": lambda: SlidingLog(50, 5.0),
    "token bucket": lambda: TokenBucket(50, 5.0),
    "nginx": lambda: LeakyBucket(50, 5.0, burst=49),
    "haproxy": lambda: SlidingCounter(50, 5.0),
}


def rate_limiter(limit: int | None = 50, period: float = 5.0, jitter: float = 0.0) -> RateLimiter:
    return RateLimiter(limit, period, virtual_clock(), jitter=lambda: jitter)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("rtt", [0.0, 0.05, 0.1, 0.2])
async def test_no_server_that_admits_fifty_refuses_any_of_them(rtt: float, server: str) -> None:
    traffic = await simulate(1500, Network(rtt))

    limiter = SERVERS[server]()
    assert all(limiter.admit(arrival).admitted for arrival in sorted(traffic.arrived))


@pytest.mark.parametrize("network", [Network(0.1), Network(0.1, jitter=1, slow=0.02)])
async def test_no_window_sees_more_arrivals_than_there_are_slots(network: Network) -> None:
    traffic = await simulate(3000, network)

    assert traffic.busiest(5.0) == 50


@pytest.mark.parametrize("rtt", [0.0, 0.05, 0.1, 0.2])
async def test_almost_all_of_the_possible_rate_is_used(rtt: float) -> None:
    traffic = await simulate(6000, Network(rtt))

    possible = 50 / (5.0 + MARGIN + rtt)
    assert 0.97 * possible <= traffic.rate() <= 1.001 * possible
    assert traffic.longest_stall() < 0.5 + rtt


async def test_a_day_passes_without_a_refusal() -> None:
    traffic = await simulate(840_000, Network(0.1, slow=0.001), workers=40)

    hours = (traffic.sent[-1] - traffic.sent[0]) / 3600
    window, log = FixedWindow(50, 5.0), SlidingLog(50, 5.0)
    arrivals = sorted(traffic.arrived)
    assert hours > 24
    assert all(window.admit(arrival).admitted for arrival in arrivals)
    assert all(log.admit(arrival).admitted for arrival in arrivals)


async def test_requests_leave_at_least_their_share_of_the_period_apart() -> None:
    traffic = await simulate(200, Network(0.3, jitter=1))

    gaps = [b - a for a, b in zip(traffic.sent, traffic.sent[1:], strict=False)]
    assert min(gaps) >= 0.1 - 1e-9


async def test_a_slot_comes_back_a_period_after_the_response_and_not_after_the_request() -> None:
    narrow = rate_limiter(limit=1)
    await narrow.acquire()
    await asyncio.sleep(3)
    narrow.release()
    released = now()

    assert await narrow.acquire() == pytest.approx(released + 5 + MARGIN)


async def test_whoever_comes_first_goes_first() -> None:
    narrow = rate_limiter(limit=1)
    order: list[int] = []

    async def go(number: int) -> None:
        await narrow.acquire()
        order.append(number)
        narrow.release()

    await asyncio.gather(*(go(number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]


async def test_a_pause_holds_everybody_and_the_longest_counts() -> None:
    for limit in (50, None):
        paused, start = rate_limiter(limit=limit), now()
        paused.pause(7)
        paused.pause(3)

        sent = await asyncio.gather(*(paused.acquire() for _ in range(3)))

        assert min(sent) == pytest.approx(start + 7)


async def test_without_a_limit_nobody_waits() -> None:
    free, start = rate_limiter(limit=None), now()

    for _ in range(500):
        await free.acquire()
        free.release()

    assert now() == start
    assert free.requests == 500


async def in_flight(limiter: RateLimiter, answers: int = 0) -> int:
    """How many of a thousand requests are let go before one of them is answered.

    So many are answered then, while the others still wait; all are given back in the end.
    """
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(1000)]
    await asyncio.sleep(100)
    gone = sum(task.done() for task in waiting)
    for _ in range(answers or gone):
        limiter.answered()
    for task in waiting[gone:]:
        task.cancel()
    for _ in range(gone):
        limiter.release()
    return gone


async def test_without_a_limit_four_are_in_flight_at_first_and_one_more_for_ten_answers() -> None:
    free = rate_limiter(limit=None)

    assert [await in_flight(free, answers=10) for _ in range(4)] == [4, 5, 6, 7]


async def test_where_nobody_waits_no_more_are_let_go() -> None:
    free = rate_limiter(limit=None)
    for _ in range(100):
        free.answered()

    assert await in_flight(free) == 4


async def test_with_a_limit_any_number_is_in_flight() -> None:
    assert await in_flight(rate_limiter(limit=45)) == 45


@pytest.mark.parametrize("limit", [45, None])
async def test_after_an_outage_requests_come_back_one_two_four(limit: int | None) -> None:
    limiter = rate_limiter(limit=limit)
    limiter.one_at_a_time(True)
    assert await in_flight(limiter, answers=3) == 1  # as those that had left before
    limiter.one_at_a_time(False)

    assert [await in_flight(limiter) for _ in range(5)] == [1, 2, 4, 8, 16]


async def test_each_refusal_without_a_limit_takes_one_away_of_what_is_in_flight() -> None:
    free, seen = rate_limiter(limit=None), []

    for _ in range(5):
        seen.append(await in_flight(free))
        free.refused()
        assert (free.overloaded(now()) > 0) is (len(seen) >= 3)

    assert seen == [4, 3, 2, 1, 1]


async def test_after_refusals_of_the_only_one_in_flight_the_wait_doubles_until_an_answer() -> None:
    free, waits = rate_limiter(limit=None), []
    free.one_at_a_time(True)

    async def refuse() -> None:
        asked = now()
        await free.acquire()
        free.release()
        waits.append(now() - asked)
        free.refused()

    for _ in range(8):
        await refuse()
    free.answered()
    for _ in range(2):
        await refuse()

    expected = [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1, 0.05]
    assert waits == pytest.approx(expected)


async def test_refusals_of_one_in_flight_set_a_limit_from_what_was_answered() -> None:
    for answered, limit in ((0, 45), (60, 45), (80, 60)):
        free = rate_limiter(limit=None)
        await free.acquire()
        free.release()
        for _ in range(500):  # more than a period ago
            free.answered()
        await asyncio.sleep(5)
        await free.acquire()
        free.release()
        for _ in range(answered):
            free.answered()
        free.one_at_a_time(True)

        assert free.overloaded(now()) == 5.5

        assert (free.limit, free.period) == (limit, 5.0)


async def test_a_limit_that_was_guessed_doubles_each_period_until_that_is_refused() -> None:
    free, seen = rate_limiter(limit=None), []
    free.throttled(await free.acquire(), 0)
    free.release()

    for _ in range(4):
        for _ in range(free.limit or 0):
            await free.acquire()
            free.release()
        seen.append(free.limit)
        await free.acquire()
        free.release()
    free.throttled(now(), 0)
    seen.append(free.limit)
    await asyncio.sleep(5.5 + 29)
    await free.acquire()
    free.release()
    seen.append(free.limit)
    free.throttled(now(), 0)
    seen.append(free.limit)

    assert seen == [45, 90, 180, 360, 180, 181, 135]


async def test_a_guessed_limit_that_is_never_used_up_is_not_doubled() -> None:
    free = rate_limiter(limit=None)
    free.throttled(await free.acquire(), 0)
    free.release()

    for _ in range(1100):  # doubled each time, it would be beyond any float
        await asyncio.sleep(10)
        await free.acquire()
        free.release()

    assert free.limit == 45 + 11000 // 30


async def test_what_the_server_says_ends_the_guessing() -> None:
    told = rate_limiter(limit=None)
    told.throttled(await told.acquire(), 0)
    told.release()
    for admitted in ((1, 5.0), None):
        told.throttled(await told.acquire(), 0, admitted)
        told.release()

        assert told.limit == 1
    for _ in range(4):
        await told.acquire()
        told.release()
    assert told.limit == 1


async def test_refusals_with_a_limit_lower_it() -> None:
    limited = rate_limiter(limit=40)

    assert limited.overloaded(await limited.acquire()) == 5.5

    assert limited.limit == 30


@pytest.mark.parametrize("limit", [5, None])
async def test_a_long_run_holds_no_more_moments_than_there_are_slots(limit: int | None) -> None:
    limiter = rate_limiter(limit)
    for _ in range(50):
        await limiter.acquire()
        limiter.release()

    assert len(limiter._cooling) <= (limit or 0)


async def test_one_at_a_time_waits_for_the_answer_before() -> None:
    single = rate_limiter(limit=None)
    single.one_at_a_time(True)
    first = await single.acquire()
    second = asyncio.create_task(single.acquire())

    await asyncio.sleep(60)
    assert not second.done()
    single.release()

    async with asyncio.timeout(3600):
        assert await second == first + 60


async def test_one_at_a_time_ends_for_those_who_wait_already() -> None:
    single = rate_limiter(limit=None)
    single.one_at_a_time(True)
    await single.acquire()
    second = asyncio.create_task(single.acquire())
    await asyncio.sleep(3)

    single.one_at_a_time(False)
    single.answered()

    async with asyncio.timeout(3600):
        assert await second == 1003


async def test_with_every_slot_in_flight_the_next_waits_for_an_answer() -> None:
    narrow = rate_limiter(limit=1)
    await narrow.acquire()
    second = asyncio.create_task(narrow.acquire())

    await asyncio.sleep(60)
    assert not second.done()
    narrow.release()

    async with asyncio.timeout(3600):
        assert await second == pytest.approx(1060 + 5 + MARGIN)


async def test_more_workers_than_slots_exceed_nothing() -> None:
    traffic = await simulate(1000, Network(8.0, jitter=0.9), workers=120)

    assert traffic.busiest(5.0) <= 50


async def test_giving_up_waiting_costs_no_slot() -> None:
    narrow = rate_limiter(limit=2)
    await narrow.acquire()
    waiting = [asyncio.create_task(narrow.acquire()) for _ in range(5)]
    await asyncio.sleep(0.01)

    for task in waiting[:4]:
        assert task in narrow.waiting
        task.cancel()

    assert await waiting[4] == pytest.approx(1000 + 2.5)
    assert narrow.requests == 2
    assert not narrow.waiting


async def test_one_burst_of_429s_is_answered_once() -> None:
    burst = rate_limiter(jitter=1.0)
    sent = [await burst.acquire() for _ in range(3)]
    await asyncio.sleep(0.2)

    pauses = [burst.throttled(moment, retry_after=5) for moment in sent]

    assert pauses == [6.5, 0, 0]
    assert burst.limit == 37


async def test_a_later_answer_of_a_burst_only_asks_for_what_it_says() -> None:
    limiter = rate_limiter()
    sent = await limiter.acquire()
    assert limiter.back_off(sent, 1) == 5.5

    assert limiter.back_off(sent, 1) == 0
    assert limiter.back_off(sent, 30) == 24.5
    assert limiter.quiet() == 30


@pytest.mark.parametrize(
    ("limit", "seconds", "quiet"),
    [(50, 0, 5 + MARGIN), (50, 1, 5 + MARGIN), (50, 20, 20), (None, 0, 0), (None, 20, 20)],
)
async def test_the_next_run_keeps_quiet_for_a_period_or_for_what_is_left_of_a_pause(
    limit: int | None, seconds: float, quiet: float
) -> None:
    limiter = rate_limiter(limit)
    limiter.pause(seconds)
    assert limiter.quiet() == quiet

    await asyncio.sleep(60)

    assert limiter.quiet() == (5 + MARGIN if limit else 0)


async def test_a_429_without_a_word_where_there_is_no_limit_sets_the_usual_one() -> None:
    limiter = rate_limiter(None)

    assert limiter.throttled(await limiter.acquire(), 0) == 5.5
    assert limiter.limit == 45


async def test_a_429_after_the_pause_is_a_new_one() -> None:
    again = rate_limiter()
    again.throttled(await again.acquire(), retry_after=9)
    resumed = now() + 9.5

    sent = await again.acquire()
    again.throttled(sent, retry_after=0)

    assert sent == pytest.approx(resumed)
    assert again.limit == 27


@pytest.mark.parametrize(("retry_after", "pause"), [(0, 5.5), (3, 5.5), (5, 5.5), (60, 60.5)])
async def test_a_pause_lasts_what_is_asked_and_at_least_a_period(
    retry_after: float, pause: float
) -> None:
    paused = rate_limiter()

    assert paused.throttled(await paused.acquire(), retry_after) == pause


async def test_the_limit_becomes_what_the_server_says_it_admits_and_stays_there() -> None:
    told = rate_limiter()
    told.throttled(await told.acquire(), 1, admitted=(20, 10.0))

    assert (told.limit, told.period) == (20, 10.0)
    await asyncio.sleep(3600)
    await told.acquire()
    assert told.limit == 20


async def test_a_longer_window_that_the_server_names_is_waited_for() -> None:
    told = rate_limiter(limit=45)
    sent = [await told.acquire() for _ in range(45)]
    last = sent[-1]
    told.throttled(last, 0, admitted=(50, 60.0))

    assert await told.acquire() >= last + 60


@pytest.mark.parametrize(("limit", "lowered"), [(45, 33), (50, 37)])
async def test_a_server_that_says_it_admits_as_much_as_is_used_means_others_use_it_too(
    limit: int, lowered: int
) -> None:
    shared = rate_limiter(limit)
    shared.throttled(await shared.acquire(), 1, admitted=(50, 5.0))

    assert (shared.limit, shared.period) == (lowered, 5.0)


async def test_a_server_without_a_known_limit_can_name_one() -> None:
    free = rate_limiter(limit=None)
    free.throttled(await free.acquire(), 1, admitted=(10, 1.0))

    assert (free.limit, free.period) == (10, 1.0)


async def test_a_lowered_limit_comes_back_by_one_every_thirty_seconds() -> None:
    lowered = rate_limiter(limit=8)
    lowered.throttled(await lowered.acquire(), 1)
    lowered.release()
    assert lowered.limit == 6

    seen = []
    for wait in (29, 1, 30, 30, 300):
        await asyncio.sleep(wait)
        await lowered.acquire()
        lowered.release()
        seen.append(lowered.limit)

    assert seen == [6, 7, 8, 8, 8]


async def test_a_lowered_limit_holds_back_slots_that_were_free() -> None:
    lowered = rate_limiter(limit=4)
    for _ in range(4):
        await lowered.acquire()
        lowered.release()
    lowered.throttled(now(), 0)
    resumed = now() + 5.5
    assert lowered.limit == 3

    sent = [await lowered.acquire() for _ in range(3)]

    assert sent[0] == pytest.approx(resumed)
    assert sent[2] - sent[0] >= 2 * 5 / 3 - 1e-9


async def test_the_limit_never_falls_below_one() -> None:
    low = rate_limiter(limit=1)
    low.throttled(await low.acquire(), 1)

    assert low.limit == 1


def test_the_least_time_is_that_of_the_slots() -> None:
    assert least_seconds(50, 5.0, 1000) == pytest.approx(999 * 5.05 / 50)
    assert least_seconds(50, 5.0, 0) == 0
    assert least_seconds(None, 5.0, 1_000_000) == 0
    assert not math.isnan(least_seconds(1, 5.0, 1))


async def test_who_has_waited_for_a_slot_is_not_overtaken() -> None:
    limiter, order = rate_limiter(5), []

    async def ask(name: str) -> None:
        await limiter.acquire()
        order.append(name)
        limiter.release()

    limiter.one_at_a_time(True)
    await limiter.acquire()
    first = asyncio.create_task(ask("first"))
    await asyncio.sleep(10)
    limiter.release()
    await ask("second")
    await first

    assert order == ["first", "second"]


@pytest.mark.parametrize("seconds", [0.5, 1.0, 7.0])
async def test_without_a_limit_a_pause_is_waited_for_to_its_end(seconds: float) -> None:
    limiter = rate_limiter(None)
    limiter.pause(seconds)
    asked = now()

    assert await limiter.acquire() == asked + seconds


async def test_two_429s_of_one_moment_lower_the_limit_once() -> None:
    limiter, sent = rate_limiter(40), now()

    limiter.throttled(sent, 0.0)
    limiter.throttled(sent, 0.0)

    assert limiter.limit == 30


async def test_without_a_limit_who_waits_comes_before_who_comes_again() -> None:
    rate_limiter = RateLimiter(None, 5.0, virtual_clock())
    rate_limiter.one_at_a_time(True)
    order = []

    async def send(name: str, times: int) -> None:
        for _ in range(times):
            await rate_limiter.acquire()
            order.append(name)
            await asyncio.sleep(0.1)
            rate_limiter.release()

    await asyncio.gather(send("a", 9), send("b", 1))

    assert order[:2] == ["a", "b"]
