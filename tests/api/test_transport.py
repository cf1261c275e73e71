"""When an attempt has taken too long, on a clock that jumps."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from batch.api.transport import Attempt, Deadlines, Route, failure_of
from tests.support.virtual_time import now

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context


async def attempt(deadlines: Deadlines, seconds: float) -> str:
    """Make an attempt of so many seconds, and say how it ended."""
    made = deadlines.begin()
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        return "over" if made.ran_out() else "cancelled"
    finally:
        deadlines.end(made)
    return "done"


async def test_each_attempt_may_take_its_whole_time_and_no_more() -> None:
    deadlines = Deadlines(5)
    ended: dict[str, tuple[str, float]] = {}

    async def begin(name: str, wait: float, seconds: float) -> None:
        await asyncio.sleep(wait)
        how = await attempt(deadlines, seconds)
        ended[name] = how, now()

    started = now()
    async with asyncio.TaskGroup() as tasks:
        for each in (("quick", 0, 4.9), ("slow", 0, 60), ("later", 3, 60), ("last", 4, 4.9)):
            tasks.create_task(begin(*each))

    assert {name: how for name, (how, _) in ended.items()} == {
        "quick": "done", "slow": "over", "later": "over", "last": "done"
    }  # fmt: skip
    assert {name: moment - started for name, (_, moment) in ended.items()} == pytest.approx(
        {"quick": 4.9, "slow": 5, "later": 8, "last": 8.9}
    )


async def test_an_attempt_after_a_pause_is_watched_again() -> None:
    deadlines = Deadlines(5)

    assert await attempt(deadlines, 1) == "done"
    await asyncio.sleep(60)
    started = now()

    assert await attempt(deadlines, 60) == "over"
    assert now() - started == pytest.approx(5)


async def test_a_task_whose_time_was_over_is_not_cancelled_any_more() -> None:
    deadlines = Deadlines(5)

    for _ in range(3):
        assert await attempt(deadlines, 60) == "over"
        await asyncio.sleep(0)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_elsewhere_is_none_of_time() -> None:
    deadlines = Deadlines(5)
    task = asyncio.create_task(attempt(deadlines, 60))
    await asyncio.sleep(1)

    task.cancel()

    assert await task == "cancelled"


async def test_a_cancellation_from_elsewhere_in_the_same_moment_wins() -> None:
    deadlines = Deadlines(5)
    task = asyncio.create_task(attempt(deadlines, 60))
    asyncio.get_running_loop().call_later(5, task.cancel)

    assert await task == "cancelled"


async def test_what_was_cancelled_before_may_still_run_out_of_time() -> None:
    deadlines = Deadlines(5)

    async def cancelled_once() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return await attempt(deadlines, 60)
        return "never"

    task = asyncio.create_task(cancelled_once())
    await asyncio.sleep(1)
    task.cancel()

    assert await task == "over"


async def test_an_attempt_that_does_not_heed_its_end_is_cancelled_once() -> None:
    deadlines = Deadlines(5)
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        made = deadlines.begin()
        for _ in range(4):
            try:
                await asyncio.sleep(4)
            except asyncio.CancelledError:
                cancelled += 1
        deadlines.end(made)

    async def later() -> str:
        await asyncio.sleep(1)
        return await attempt(deadlines, 60)

    await asyncio.gather(stubborn(), attempt(deadlines, 60), later())

    assert cancelled == 1


async def test_all_attempts_are_watched_by_one_timer_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deadlines, started = Deadlines(5), now()
    loop, timers = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def noted(
        when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if callback == deadlines._check:
            timers.append(when - started)
        return call_at(when, callback, *args, context=context)

    async def begin(wait: float) -> None:
        await asyncio.sleep(wait)
        await attempt(deadlines, 60)

    monkeypatch.setattr(loop, "call_at", noted)
    await asyncio.gather(*map(begin, (0, 0, 1, 1, 4, 5.5)))

    assert timers == pytest.approx([5, 6, 9, 10.5])


async def test_nothing_is_watched_once_it_is_closed() -> None:
    deadlines = Deadlines(5)
    task = asyncio.create_task(attempt(deadlines, 60))
    await asyncio.sleep(1)

    deadlines.close()

    assert await task == "done"


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (aiohttp.ClientOSError(104, "Connection reset by peer"), "Connection reset by peer"),
        (aiohttp.ClientOSError(), ": the server closed the connection"),
        (aiohttp.ServerDisconnectedError("half a head"), ": the server closed the connection"),
        (aiohttp.ClientPayloadError("whatever it holds"), ": ClientPayloadError"),
    ],
)
async def test_a_connection_that_failed_is_told_without_what_the_server_has_sent(
    cause: Exception, said: str
) -> None:
    task = asyncio.current_task()
    assert task is not None

    error = failure_of(cause, Attempt(task, now(), 0), Route("localhost:443"))
    assert str(error).endswith(said)


@pytest.mark.parametrize(
    ("proxy", "setting"), [("", "--base-url"), ("127.0.0.1:3128", "HTTPS_PROXY")]
)
async def test_a_refused_connection_asks_for_the_port_of_whoever_has_refused_it(
    proxy: str, setting: str
) -> None:
    task, route = asyncio.current_task(), Route("api.example:443", proxy)
    assert task is not None
    host, _, port = (proxy or route.server).partition(":")
    key: Any = SimpleNamespace(host=host, port=int(port), ssl=True)
    cause = aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "Connection refused"))

    error = failure_of(cause, Attempt(task, now(), 0), route)

    assert error.hint == f"does it run, and is the port in {setting} right?"
