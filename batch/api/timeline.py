"""The course of a session by the minute: what was sent, and when nothing could be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch.formatting import timestamp

if TYPE_CHECKING:
    from batch.api.circuit_breaker import CircuitBreaker
    from batch.api.rate_limiter import RateLimiter
    from batch.host.clock import Clock


@dataclass(slots=True)
class Timeline:
    """Sums by the minute of what rate limiter and circuit breaker count anyway.

    It is told once a second that time has passed, and no request knows of it. So a request near the
    border of two minutes may count for the later one.

    Attributes:
        started_at: When the first minute began: UTC, ISO 8601; empty before anything was sent.
    """

    rate_limiter: RateLimiter
    breaker: CircuitBreaker
    clock: Clock
    started_at: str = ""
    _origin: float = 0.0
    _before: tuple[float, ...] = ()
    _minutes: dict[int, list[float]] = field(default_factory=dict)

    def start(self) -> None:
        """Begin a phase in which requests are sent; the time since the last one counts nowhere."""
        if not self.started_at:
            self.started_at = timestamp(datetime.now(UTC))
            self._origin = self.clock.now()
        self._before = self._totals()

    def tick(self) -> None:
        """Add what has happened since `start`, or since the last call, to the present minute."""
        minute = int((self.clock.now() - self._origin) // 60)
        totals = self._totals()
        sums = self._minutes.setdefault(minute, [0.0] * len(totals))
        for place, (total, before) in enumerate(zip(totals, self._before, strict=True)):
            sums[place] += total - before
        self._before = totals

    def rows(self) -> list[list[float]]:
        """Minutes in which anything was: number, requests, refusals, seconds paused, and down.

        They are counted from 0, and those in which nothing was are left out. While the server is
        down nothing is called a pause.
        """
        rows = []
        for minute, (requests, refusals, held, down) in self._minutes.items():
            seconds = round(max(0.0, held - down), 1), round(down, 1)
            row = [minute, int(requests), int(refusals), *seconds]
            if any(row[1:]):
                rows.append(row)
        return rows

    def _totals(self) -> tuple[float, ...]:
        breaker = self.breaker
        paused = self.rate_limiter.seconds_paused
        return self.rate_limiter.requests, breaker.refusals, paused, breaker.seconds_down
