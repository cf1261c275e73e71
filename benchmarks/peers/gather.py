"""The first try of many: a task for every license, all gathered, a semaphore between them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import aiohttp
import uvloop

from benchmarks.peers import BODY, HEADERS, arguments, tell


async def main() -> None:
    urls, (most,) = arguments()
    statuses: Counter[int] = Counter()
    semaphore = asyncio.Semaphore(int(most))

    async def revoke(url: str) -> None:
        async with semaphore, session.patch(url, data=BODY) as response:
            await response.read()
            statuses[response.status] += 1

    async with aiohttp.ClientSession(headers=HEADERS) as session:
        started = time.perf_counter()
        await asyncio.gather(*map(revoke, urls))
        tell(time.perf_counter() - started, statuses)


if __name__ == "__main__":
    uvloop.run(main())
