"""The cost of parts of aiohttp: a loop of so many workers with one thing more, or one less.

``python -m benchmarks.peers.parts URL FILE WORKERS PART``; prints microseconds of processor time
for each request.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import uvloop
from yarl import URL

from benchmarks.peers import BODY, HEADERS, arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAIN, TRACING, NO_TIMER = "plain", "with tracing", "without a timer"
ONE_BODY, NO_PARSING, ALL = "one body for all", "URL not parsed", "the last three together"
PARTS = (PLAIN, TRACING, NO_TIMER, ONE_BODY, NO_PARSING, ALL)


async def noted(*_: object) -> None:
    """Hear that the head of a request was sent, as `TRACING` does."""


def session_of(part: str, workers: int) -> aiohttp.ClientSession:
    options: dict[str, Any] = {}
    if part == TRACING:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(noted)
        options["trace_configs"] = [tracing]
    if part in {NO_TIMER, ALL}:
        options["timeout"] = aiohttp.ClientTimeout()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=workers), headers=HEADERS, **options
    )


def url_maker(part: str, url: str) -> Callable[[str], str | URL]:
    if part not in {NO_PARSING, ALL}:
        return str
    base = URL(url)
    return lambda each: base.with_path(each[each.index("/v3/") :], encoded=True)


async def main() -> None:
    urls, (count, part) = arguments()
    todo = iter(urls)
    body: Any = BODY
    if part in {ONE_BODY, ALL}:
        body = aiohttp.BytesPayload(BODY, content_type="application/json")
    made = url_maker(part, urls[0])

    async def work(session: aiohttp.ClientSession, todo: Iterator[str]) -> None:
        for url in todo:
            async with session.patch(made(url), data=body) as response:
                await response.read()

    async with session_of(part, int(count)) as session:
        started = time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(int(count)):
                tasks.create_task(work(session, todo))
        print(json.dumps({"cpu_us": (time.process_time() - started) / len(urls) * 1e6}))


if __name__ == "__main__":
    uvloop.run(main())
