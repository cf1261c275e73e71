"""The rate limit in front of the API: a fixed window, as AspNetCoreRateLimit keeps it.

A limiter is asked once for each request, when it arrives, and never waits. Whatever has
``limit``, ``period`` and ``admit`` can stand in for `FixedWindow`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Protocol

from batch.sandbox.message import Reply


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of a limiter on one request.

    Attributes:
        admitted: Whether the request may go on to the API.
        remaining: Requests that the present window still admits, after this one.
        ends: When the present window ends, in seconds of the clock that was asked with.
    """

    admitted: bool
    remaining: int
    ends: float


class Limiter(Protocol):
    """Decides which requests are admitted.

    Attributes:
        limit: Requests admitted in one period.
        period: Length of the period in seconds.
    """

    limit: int
    period: float

    def admit(self, now: float) -> Verdict:
        """Count a request that arrives at ``now``, in seconds of a monotonic clock."""


class FixedWindow:
    """Admits ``limit`` requests in a window that opens with the first request after the last.

    Every request counts, a rejected one too, but none prolongs the window; its last moment
    still belongs to it. Source: AspNetCoreRateLimit, ``ProcessRequestAsync``.
    """

    def __init__(self, limit: int, period: float) -> None:
        self.limit = limit
        self.period = period
        self._ends = float("-inf")
        self._count = 0

    def admit(self, now: float) -> Verdict:
        """Count a request that arrives at ``now``, in seconds of a monotonic clock."""
        if now > self._ends:
            self._ends = now + self.period
            self._count = 0
        self._count += 1
        return Verdict(
            admitted=self._count <= self.limit,
            remaining=max(0, self.limit - self._count),
            ends=self._ends,
        )


def period_name(seconds: float) -> str:
    """A period as the middleware's settings spell it: ``5s``, ``1m``, ``12h``, ``1d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def quota_exceeded(limit: int, period: float, wait: float) -> Reply:
    """The answer to a request that is turned away, ``wait`` seconds before the window ends.

    It bears none of the ``X-Rate-Limit`` headers. Source: AspNetCoreRateLimit,
    ``ReturnQuotaExceededResponse``.
    """
    text = f"API calls quota exceeded! maximum admitted {limit} per {period_name(period)}."
    return Reply(429, text.encode(), "text/plain", {"Retry-After": retry_after(wait)})


def retry_after(seconds: float) -> str:
    """Value of ``Retry-After``: whole seconds, at least 1, rounded to the nearest.

    So it can be half a second short. Source: AspNetCoreRateLimit, ``RetryAfterFrom``.
    """
    return str(floor(max(seconds, 1.0) + 0.5))
