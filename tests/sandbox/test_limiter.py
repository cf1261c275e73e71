"""The sandbox's rate limit, and those of other servers."""

from __future__ import annotations

import re
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import aiohttp
import pytest

from batch.sandbox import Account, Sandbox
from batch.sandbox.limiter import FixedWindow, period_name, retry_after
from tests.sandbox.test_api import ask
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.server_limiters import (
    LeakyBucket,
    Limiter,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def admitted(limiter: Limiter, arrivals: Iterable[float]) -> list[float]:
    return [now for now in arrivals if limiter.admit(now).admitted]


def test_a_fixed_window_opens_with_the_first_request_after_the_last_one_closed() -> None:
    limiter = FixedWindow(2, 5.0)

    assert admitted(limiter, [100.0, 104.9, 104.95]) == [100.0, 104.9]
    assert admitted(limiter, [107.0, 111.9, 112.0]) == [107.0, 111.9]
    assert admitted(limiter, [112.1]) == [112.1]


def test_the_last_moment_of_a_fixed_window_belongs_to_it() -> None:
    limiter = FixedWindow(1, 5.0)

    assert admitted(limiter, [100.0, 105.0, 105.001]) == [100.0, 105.001]


def test_a_rejected_request_does_not_prolong_a_fixed_window() -> None:
    limiter = FixedWindow(1, 5.0)

    assert admitted(limiter, [100.0, *(100.0 + n for n in range(1, 6)), 105.5]) == [100.0, 105.5]


def test_a_fixed_window_tells_what_remains_and_when_it_ends() -> None:
    limiter = FixedWindow(2, 5.0)

    decisions = [limiter.admit(now) for now in (100.0, 101.0, 102.0)]

    assert [decision.remaining for decision in decisions] == [1, 0, 0]
    assert {decision.ends for decision in decisions} == {105.0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5.0, "5"), (4.5, "5"), (4.49, "4"), (1.5, "2"), (0.2, "1"), (0.0, "1")],
)
def test_retry_after_is_rounded_to_the_nearest_second_but_never_zero(
    seconds: float, text: str
) -> None:
    assert retry_after(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (60, "1m"), (90, "90s"), (7200, "2h"), (86400, "1d")]
)
def test_periods_are_named_as_in_the_settings_of_the_middleware(seconds: int, text: str) -> None:
    assert period_name(seconds) == text


async def test_every_answer_that_is_not_a_429_tells_what_is_left_of_the_window() -> None:
    clock = partial(next, count(1.79e9))
    async with FaultySandbox(Account.generate(1), rate=(3, 60.0), wall_clock=clock) as sandbox:
        answers = [
            await ask(sandbox, "GET", "/licenses", token="wrong"),
            await ask(sandbox, "GET", "/nowhere"),
            await ask(sandbox, "GET", "/status"),
        ]

    quotas = [
        {name: text for name, text in answer.headers.items() if name.startswith("X-Rate-Limit")}
        for answer in answers
    ]
    assert [answer.status for answer in answers] == [401, 404, 200]
    assert [quota["X-Rate-Limit-Remaining"] for quota in quotas] == ["2", "1", "0"]
    assert {quota["X-Rate-Limit-Limit"] for quota in quotas} == {"1m"}
    (reset,) = {quota["X-Rate-Limit-Reset"] for quota in quotas}
    assert re.fullmatch(r"2026-09-21T14:1[34]:\d\d\.\d{7}Z", reset)


async def test_a_request_too_many_is_turned_away_without_touching_the_account() -> None:
    account = Account.generate(1, revoked=0.0)
    (license_,) = account
    async with FaultySandbox(account, rate=(1, 5.0)) as sandbox:
        await ask(sandbox, "GET", "/status")
        answer = await ask(sandbox, "PATCH", f"/licenses/{license_.id}", json={"revoked": True})

        assert answer.status == 429
        assert answer.body == b"API calls quota exceeded! maximum admitted 1 per 5s."
        assert answer.headers["Content-Type"] == "text/plain"
        assert answer.headers["Retry-After"] == "5"
        assert not [name for name in answer.headers if name.startswith("X-Rate-Limit")]
        assert sandbox.count_429 == 1
        assert sandbox.revoked[license_.id] is False
        assert (sandbox.log[1].status, sandbox.log[1].applied) == (429, False)


async def test_the_limit_stands_in_front_of_the_faults() -> None:
    async with Sandbox(Account.generate(1), rate=(2, 60.0), faults=0.5, seed=1) as sandbox:
        answers = [await outcome(sandbox) for _ in range(8)]

    assert 429 not in answers[:2]
    assert answers[2:] == [429] * 6


async def outcome(sandbox: Sandbox) -> int | None:
    """The status of an answer, or None where a fault kept it back."""
    try:
        return (await ask(sandbox, "GET", "/nowhere")).status
    except aiohttp.ClientError:
        return None


async def test_a_request_that_is_turned_away_does_not_use_up_a_scripted_fault() -> None:
    async with FaultySandbox(Account.generate(1), rate=(1, 60.0)) as sandbox:
        sandbox.fail_all(500, times=2)
        answers = [await ask(sandbox, "GET", "/status") for _ in range(2)]
        sandbox.fail_all(502, times=1)

        assert [answer.status for answer in answers] == [500, 429]
        assert [entry.fault for entry in sandbox.log] == ["500", ""]


async def test_without_a_rate_there_is_no_limit_and_no_header_of_one() -> None:
    async with Sandbox(Account.generate(1)) as sandbox:
        answers = [await ask(sandbox, "GET", "/status") for _ in range(5)]

    assert {answer.status for answer in answers} == {200}
    assert not [name for name in answers[0].headers if name.startswith("X-Rate-Limit")]


def test_a_sliding_log_admits_no_more_than_its_limit_in_any_window() -> None:
    assert admitted(SlidingLog(2, 5.0), [0, 3, 4, 5, 7.9, 8, 9]) == [0, 3, 5, 8]


def test_a_token_bucket_admits_a_burst_and_then_as_fast_as_it_fills() -> None:
    assert admitted(TokenBucket(2, 4.0), [0, 0, 0, 1, 2, 3, 4, 100, 100, 100]) == [
        *(0, 0, 2, 4),
        *(100, 100),
    ]


def test_a_leaky_bucket_admits_its_burst_and_one_more() -> None:
    assert admitted(LeakyBucket(2, 4.0, burst=0), [0, 1.9, 2, 3, 4.5]) == [0, 2, 4.5]
    assert admitted(LeakyBucket(2, 4.0, burst=1), [0, 0, 0, 2, 2]) == [0, 0, 2]


def test_a_sliding_counter_remembers_the_window_before() -> None:
    limiter = SlidingCounter(4, 4.0)

    assert admitted(limiter, [0, 0, 0, 0, 0]) == [0, 0, 0, 0]
    assert admitted(limiter, [4.0, 7.0, 7.9]) == [7.0, 7.9]
    assert admitted(limiter, [50.0] * 5) == [50.0] * 4


async def test_a_429_may_be_json_with_a_message_and_the_same_headers() -> None:
    rate = (1, 5.0)
    async with (
        Sandbox(Account(), rate=rate) as texts,
        Sandbox(Account(), rate=rate, throttled_body="json") as jsons,
    ):
        (_, text), (_, json) = [
            [await ask(sandbox, "GET", "/status") for _ in range(2)] for sandbox in (texts, jsons)
        ]

    assert (text.status, json.status) == (429, 429)
    assert json.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.json == {"message": text.body.decode()}
    assert json.headers["Retry-After"] == text.headers["Retry-After"] == "5"
    assert not [name for name in json.headers if name.startswith("X-Rate-Limit")]
