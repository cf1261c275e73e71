"""A bare aiohttp loop: so many workers over one iterator. The floor of this client."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import uvloop

from benchmarks.peers import BODY, HEADERS, arguments, tell

if TYPE_CHECKING:
    from collections.abc import Iterator


async def main() -> None:
    urls, (workers,) = arguments()
    statuses: Counter[int] = Counter()
    todo = iter(urls)
    connector = aiohttp.TCPConnector(limit=int(workers))
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(int(workers)):
                tasks.create_task(work(session, todo, statuses))
        tell(time.perf_counter() - started, statuses)


async def work(session: aiohttp.ClientSession, todo: Iterator[str], statuses: Counter[int]) -> None:
    for url in todo:
        async with session.patch(url, data=BODY) as response:
            await response.read()
            statuses[response.status] += 1


if __name__ == "__main__":
    uvloop.run(main())
