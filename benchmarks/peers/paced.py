"""Limiters of other libraries in front of aiohttp, as their documentation shows them.

``python -m benchmarks.peers.paced URL FILE LIMITER``
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import uvloop

from benchmarks.peers import BODY, HEADERS, arguments, tell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LIMIT, PERIOD = 50, 5.0
"""Rate that the API admits: requests, and in how many seconds."""


def aiolimiter() -> Callable[[], Awaitable[object]]:
    from aiolimiter import AsyncLimiter  # noqa: PLC0415

    acquire: Callable[[], Awaitable[object]] = AsyncLimiter(LIMIT, PERIOD).acquire
    return acquire


def pyrate_limiter() -> Callable[[], Awaitable[object]]:
    from pyrate_limiter import Duration, Limiter, Rate  # noqa: PLC0415

    limiter = Limiter(Rate(LIMIT, int(PERIOD) * Duration.SECOND))
    return lambda: limiter.try_acquire_async("api")


def even_pacing() -> Callable[[], Awaitable[object]]:
    start = time.monotonic()
    sent = 0

    async def wait() -> None:
        nonlocal sent
        due = start + sent * PERIOD / LIMIT
        sent += 1
        await asyncio.sleep(due - time.monotonic())

    return wait


LIMITERS = {
    "aiolimiter": aiolimiter,
    "pyrate-limiter": pyrate_limiter,
    "even pacing": even_pacing,
}


async def main() -> None:
    urls, (name,) = arguments()
    wait = LIMITERS[name]()
    statuses: Counter[int] = Counter()

    async def revoke(url: str) -> None:
        async with session.patch(url, data=BODY) as response:
            await response.read()
            statuses[response.status] += 1

    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
        asyncio.TaskGroup() as tasks,
    ):
        started = time.perf_counter()
        for url in urls:
            await wait()
            tasks.create_task(revoke(url))
    tell(time.perf_counter() - started, statuses)


if __name__ == "__main__":
    uvloop.run(main())
