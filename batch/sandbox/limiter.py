"""The rate limit in front of the API: a fixed window, as AspNetCoreRateLimit keeps it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from math import floor
from typing import TYPE_CHECKING

from batch.sandbox.license import TICKS, timestamp
from batch.sandbox.message import JSON, Handler, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of a limiter on one request.

    Attributes:
        admitted: Whether the request may go on to the API.
        remaining: Requests that the present window still admits, after this one.
        ends: When the present window ends, in seconds of the clock that was asked with.
    """

    admitted: bool
    remaining: int
    ends: float


class FixedWindow:
    """Admits ``limit`` requests in a window that opens with the first request after the last.

    Every request counts, a rejected one too, but none prolongs the window; its last moment
    still belongs to it. Source: AspNetCoreRateLimit, ``ProcessRequestAsync``.

    Args:
        limit: Requests admitted in one period.
        period: Length of the period in seconds.
    """

    def __init__(self, limit: int, period: float) -> None:
        self.limit = limit
        self.period = period
        self._ends = float("-inf")
        self._count = 0

    def admit(self, now: float) -> Decision:
        """Count a request that arrives at ``now``, in seconds of a monotonic clock."""
        if now > self._ends:
            self._ends = now + self.period
            self._count = 0
        self._count += 1
        return Decision(
            admitted=self._count <= self.limit,
            remaining=max(0, self.limit - self._count),
            ends=self._ends,
        )


class RateLimit:
    """A handler that turns requests away, and tells admitted ones how many more it will admit.

    Args:
        handler: Answers what is admitted.
        window: Counts the requests.
        wall_clock: The present time in seconds since 1970.
        body: Of a 429, ``text`` or ``json``.
    """

    def __init__(
        self,
        handler: Handler,
        window: FixedWindow,
        wall_clock: Callable[[], float] = time.time,
        body: str = "text",
    ) -> None:
        self._handler = handler
        self._window = window
        self._wall_clock = wall_clock
        self._body = body
        self._reset = (0.0, "")

    def handle(self, request: Request) -> Response:
        """Answer a request, or turn it away."""
        decision = self._window.admit(request.arrived)
        if not decision.admitted:
            wait = decision.ends - request.arrived
            return quota_exceeded(self._window.limit, self._window.period, wait, self._body)
        response = self._handler(request)
        if not response.from_api or response.status == 429:
            return response
        quota = self._quota(decision, request.arrived)
        return replace(response, headers={**response.headers, **quota})

    def _quota(self, decision: Decision, now: float) -> dict[str, str]:
        """The headers of the limiter; the end of a window is told the same way throughout it."""
        if decision.ends != self._reset[0]:
            moment = self._wall_clock() + decision.ends - now
            self._reset = decision.ends, timestamp(int(moment * TICKS))
        return {
            "X-Rate-Limit-Limit": period_name(self._window.period),
            "X-Rate-Limit-Remaining": str(decision.remaining),
            "X-Rate-Limit-Reset": self._reset[1],
        }


def period_name(seconds: float) -> str:
    """A period as the middleware's settings spell it: ``5s``, ``1m``, ``12h``, ``1d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def quota_exceeded(limit: int, period: float, wait: float, body: str = "text") -> Response:
    """The answer to a request that is turned away, ``wait`` seconds before the window ends.

    It bears none of the ``X-Rate-Limit`` headers. Sources: AspNetCoreRateLimit,
    ``ReturnQuotaExceededResponse``; the schema of the Cryptlex Web API for the JSON, a ``message``.
    """
    said = f"API calls quota exceeded! maximum admitted {limit} per {period_name(period)}."
    headers = {"Retry-After": retry_after(wait)}
    if body == "json":
        return Response(429, json.dumps({"message": said}).encode(), JSON, headers)
    return Response(429, said.encode(), "text/plain", headers)


def retry_after(seconds: float) -> str:
    """Value of ``Retry-After``: whole seconds, at least 1, rounded to the nearest.

    So it can be half a second short. Source: AspNetCoreRateLimit, ``RetryAfterFrom``.
    """
    return str(floor(max(seconds, 1.0) + 0.5))
