"""Rate limiters of servers: what they have in common, and those of others than the API.

A client that must never be turned away has to please all of them, since nobody promises that the
API keeps its present one. All count a period of ``period`` seconds and admit ``limit`` requests.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from batch.sandbox.limiter import Decision


class Limiter(Protocol):
    """Decides which requests are admitted, as the sandbox's `FixedWindow` does."""

    limit: int
    period: float

    def admit(self, now: float) -> Decision:
        """Count a request that arrives at ``now``, in seconds of a monotonic clock."""


class SlidingLog:
    """Admits a request if fewer than ``limit`` were admitted in the period before it.

    The strictest of all: it turns away whoever sends more than ``limit`` in any window.
    """

    def __init__(self, limit: int, period: float) -> None:
        self.limit = limit
        self.period = period
        self._admitted: deque[float] = deque()

    def admit(self, now: float) -> Decision:
        while self._admitted and now - self._admitted[0] >= self.period:
            self._admitted.popleft()
        admitted = len(self._admitted) < self.limit
        if admitted:
            self._admitted.append(now)
        return Decision(admitted, self.limit - len(self._admitted), self._admitted[0] + self.period)


class TokenBucket:
    """Holds ``limit`` tokens, refilled evenly; a request takes one."""

    def __init__(self, limit: int, period: float) -> None:
        self.limit = limit
        self.period = period
        self._tokens = float(limit)
        self._then = float("-inf")

    def admit(self, now: float) -> Decision:
        refill = (now - self._then) * self.limit / self.period
        self._tokens = min(float(self.limit), self._tokens + refill)
        self._then = now
        admitted = self._tokens >= 1
        if admitted:
            self._tokens -= 1
        missing = max(0.0, 1 - self._tokens)
        return Decision(admitted, int(self._tokens), now + missing * self.period / self.limit)


class LeakyBucket:
    """Leaks evenly; a request that would make it run over is turned away, as by a GCRA.

    Args:
        limit: Requests that leak away in one period.
        period: Seconds.
        burst: Requests that it holds beside the one that arrives. Source: nginx, ``limit_req``
            with ``burst`` and ``nodelay``.
    """

    def __init__(self, limit: int, period: float, *, burst: int) -> None:
        self.limit = limit
        self.period = period
        self._spacing = period / limit
        self._tolerance = burst * self._spacing
        self._due = float("-inf")

    def admit(self, now: float) -> Decision:
        admitted = now >= self._due - self._tolerance
        if admitted:
            self._due = max(now, self._due) + self._spacing
        room = int((self._tolerance - (self._due - now)) / self._spacing) + 1
        return Decision(admitted, max(0, room), max(now, self._due - self._tolerance))


class SlidingCounter:
    """Estimates a sliding window from two fixed ones; the older fades as the younger ages.

    Source: HAProxy, ``http_req_rate``; it counts what it turns away as well.
    """

    def __init__(self, limit: int, period: float) -> None:
        self.limit = limit
        self.period = period
        self._start = float("-inf")
        self._before = 0
        self._count = 0

    def admit(self, now: float) -> Decision:
        age = now - self._start
        if age >= self.period:
            self._before = self._count if age < 2 * self.period else 0
            self._start = self._start + self.period if age < 2 * self.period else now
            self._count = 0
        self._count += 1
        fading = 1 - (now - self._start) / self.period
        estimate = self._count + self._before * fading
        remaining = max(0, int(self.limit - estimate))
        return Decision(int(estimate) <= self.limit, remaining, self._start + self.period)
