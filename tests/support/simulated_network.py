"""Requests through a rate limiter over a network that exists only in the simulation."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from random import Random

from batch.api.rate_limiter import RateLimiter
from tests.support.virtual_time import virtual_clock


@dataclass(frozen=True)
class Network:
    """Round trips of ``rtt`` seconds on average, each way jittered, some of them much slower."""

    rtt: float
    jitter: float = 0.5
    slow: float = 0.0
    slow_rtt: float = 4.0

    def ways(self, random: Random) -> tuple[float, float]:
        rtt = self.slow_rtt if random.random() < self.slow else self.rtt
        there, back = (rtt / 2 * random.uniform(1 - self.jitter, 1 + self.jitter) for _ in range(2))
        return there, back


@dataclass
class Traffic:
    """When requests were sent and when they arrived, in seconds."""

    sent: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)

    def busiest(self, period: float) -> int:
        """Most arrivals in any half-open window of a period."""
        times = sorted(self.arrived)
        return max(bisect_left(times, start + period) - i for i, start in enumerate(times))

    def rate(self) -> float:
        """Requests per second between the first and the last one sent."""
        return (len(self.sent) - 1) / (self.sent[-1] - self.sent[0])

    def longest_stall(self) -> float:
        return max(b - a for a, b in zip(self.sent, self.sent[1:], strict=False))


async def simulate(
    requests: int,
    network: Network,
    *,
    limit: int = 50,
    period: float = 5.0,
    workers: int = 32,
    seed: int = 0,
) -> Traffic:
    clock = virtual_clock()
    rate_limiter = RateLimiter(limit, period, clock)
    random = Random(seed)
    traffic = Traffic()
    todo = iter(range(requests))

    async def work() -> None:
        for _ in todo:
            sent = await rate_limiter.acquire()
            there, back = network.ways(random)
            traffic.sent.append(sent)
            traffic.arrived.append(sent + there)
            await asyncio.sleep(there + back)
            rate_limiter.release()

    await asyncio.gather(*(work() for _ in range(workers)))
    return traffic
