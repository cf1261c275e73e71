"""A link that takes its time: ``python -m benchmarks.link PORT UPSTREAM SECONDS``.

Bytes wait a quarter to three quarters of the round trip on each way, at random, and arrive in
their order. A connection is made without a delay, unlike one over a real network.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress


async def carry(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, round_trip: float
) -> None:
    """Carry bytes one way until there are no more."""
    loop = asyncio.get_running_loop()
    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            moment, data = await due.get()
            await asyncio.sleep(moment - loop.time())
            if not data:
                break
            target.write(data)
            await target.drain()
        target.close()

    delivery = asyncio.create_task(deliver())
    data = b"-"
    while data:
        data = b""
        with suppress(ConnectionError):
            data = await source.read(65536)
        wait = random.uniform(0.25, 0.75) * round_trip  # noqa: S311 - no secret
        due.put_nowait((loop.time() + wait, data))
    with suppress(ConnectionError):
        await delivery


async def serve(port: int, upstream: int, round_trip: float) -> None:
    """Carry everything that comes to a port to another one and back."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream)
        await asyncio.gather(
            carry(reader, far_writer, round_trip), carry(far_reader, writer, round_trip)
        )

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
