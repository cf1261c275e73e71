"""Pacing: the one rate limiter that every request of the process goes through.

The API admits 50 requests in any window of 5 seconds for an IP address and may blacklist an
address that exceeds it (Cryptlex, "Rate limits"). What counts is when a request *arrives*, which
the sender cannot know; it only knows that the arrival lies between sending and response. So a slot
is held from before the request until a whole period after its response: whatever the network does,
no window sees more arrivals than there are slots. docs/decisions.md has the argument and the
measurements.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.host.clock import Clock


MARGIN = 0.05
"""Seconds added to the period before a slot is used again, for clocks that disagree."""

RECOVERY = 30.0
"""Seconds without a refusal after which a lowered limit comes back by one."""

USUAL = 9.0
"""Requests per second that are tried first where the server has a limit and does not tell which. It
is the default rate, since the same limiter stands before the API on premise."""

FIRST_WIDTH, GROWTH = 4.0, 0.1
"""Requests in flight at first where there is no limit, and by how many more each answer lets."""

MOMENT = 0.05
"""Seconds to wait after a refusal of the only request in flight."""


def least_seconds(limit: int | None, period: float, requests: int) -> float:
    """Return the shortest time in which so many requests can be sent, were all answers instant."""
    if limit is None:
        return 0.0
    return max(0, requests - 1) * (period + MARGIN) / limit


class RateLimiter:
    """At most ``limit`` requests in any window of ``period`` seconds, as the server sees them.

    Take a slot with `acquire` before a request and give it back with `release` once its response
    was read or its connection was closed; first come, first served. A slot that is never given
    back is lost for good.

    Attributes:
        requests: Slots taken so far: requests sent.
        waiting: Tasks that wait for a slot; cancelling one costs no slot.
        limit: Requests in a window now, or None for no limit; lowered by `throttled`.
        period: Length of the window in seconds.
    """

    def __init__(
        self,
        limit: int | None,
        period: float,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.requests = 0
        self.waiting: set[asyncio.Task[Any]] = set()
        self.limit = limit
        self.period = period
        self._ceiling = math.inf if limit is None else float(limit)
        self._clock = clock
        self._jitter = jitter
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._in_flight = 0
        self._cooling: deque[float] = deque()
        self._last_sent = -math.inf
        self._paused_until = -math.inf
        self._pauses = 0.0
        self._backed_off = -math.inf
        self._limit_changed = -math.inf
        self._proven = 0
        self._width = FIRST_WIDTH if limit is None else math.inf
        self._growth = GROWTH
        self._moment = MOMENT
        self._answers: deque[float] = deque(maxlen=1 << 14)

    async def acquire(self) -> float:
        """Wait for a slot and return the moment of sending, on the rate limiter's clock."""
        # Who waits already comes first, where there is not room for everybody.
        has_room = self._in_flight + len(self.waiting) < self._width
        if self.limit is None and has_room and self._wait(now := self._clock.now()) <= 0:
            return self._take(now)
        task = asyncio.current_task()
        assert task is not None
        self.waiting.add(task)
        try:
            async with self._turn:
                while (wait := self._wait(now := self._clock.now())) > 0:
                    if wait == math.inf:
                        self._changed.clear()
                        await self._changed.wait()
                    else:
                        await self._clock.sleep(wait)
                return self._take(now)
        finally:
            self.waiting.discard(task)

    def release(self) -> None:
        """Give a slot back; it can be taken again a period from now."""
        self._in_flight -= 1
        if self.limit is not None:
            self._cooling.append(self._clock.now() + self.period + MARGIN)
        self._changed.set()

    def give_back(self) -> None:
        """Give a slot back that was not used."""
        self.requests -= 1
        self._in_flight -= 1
        self._changed.set()

    def pause(self, seconds: float) -> float:
        """Hold everybody back for so many seconds from now, unless they already are for longer.

        Returns:
            The seconds by which that prolongs the time in which nothing is sent.
        """
        until = max(self._paused_until, self._clock.now() + seconds)
        prolonged = until - max(self._paused_until, self._clock.now())
        self._paused_until = until
        self._pauses += prolonged
        return prolonged

    @property
    def seconds_paused(self) -> float:
        """Seconds so far in which everybody was held back by a pause."""
        return self._pauses - self.paused

    def quiet(self) -> float:
        """Seconds from now in which nobody else may send, if nothing more is sent here."""
        return self.paused if self.limit is None else max(self.paused, self.period + MARGIN)

    @property
    def paused(self) -> float:
        """Seconds for which everybody is held back yet."""
        return max(0.0, self._paused_until - self._clock.now())

    @property
    def in_flight(self) -> int:
        """Requests that have no answer yet."""
        return self._in_flight

    @property
    def is_guessing(self) -> bool:
        """Tell whether there is no limit, or one that is doubled until it proves too high."""
        return self.limit is None or self._proven > 0

    def answered(self) -> None:
        """Note that a request was answered: if others wait, a few more may be in flight."""
        self._moment = MOMENT
        if self.limit is None:
            self._answers.append(self._last_sent)
        if self.waiting:
            self._width += self._growth

    def refused(self) -> None:
        """Note that a request may have been one too many: one fewer may be in flight.

        If it was the only one, the next waits for a moment, which doubles until one is answered.
        """
        if self._width < 2:
            self.pause(self._moment)
            self._moment = min(1.0, self._moment * 2)
        self._width = max(1.0, self._width - 1.0)
        self._growth = min(self._growth, GROWTH)

    def one_at_a_time(self, single: bool) -> None:
        """Let only one request be in flight; or again one, two, four, until one is refused."""
        self._width = 1.0
        self._growth = 0.0 if single else 1.0
        self._changed.set()

    def back_off(self, sent: float, retry_after: float) -> float:
        """Pause for everybody, once for all answers of a burst that ask for it.

        Args:
            sent: What `acquire` returned for the request that was answered so.
            retry_after: Seconds the server asks for, rounded by it to the nearest whole one.

        Returns:
            The seconds by which that prolongs the time in which nothing is sent.
        """
        if sent <= self._backed_off:
            return self.pause(retry_after)
        self._backed_off = self._clock.now()
        return self.pause(max(retry_after, self.period) + 0.5 + self._jitter())

    def throttled(
        self, sent: float, retry_after: float, admitted: tuple[int, float] | None = None
    ) -> float:
        """React to a 429: `back_off`, and lower the limit once for all 429s of a burst.

        Args:
            sent: As for `back_off`.
            retry_after: As for `back_off`.
            admitted: Requests and seconds that the server says it admits, where it says so.

        Returns:
            As `back_off`.
        """
        if sent > self._backed_off:
            self._lower(admitted)
        return self.back_off(sent, retry_after)

    def overloaded(self, sent: float) -> float:
        """React to refusals that do not end as to a 429, unless fewer in flight may be enough.

        Args:
            sent: As for `back_off`.

        Returns:
            As `back_off`.
        """
        return self.throttled(sent, 0.0) if self.limit is not None or self._width < 2 else 0.0

    def _lower(self, admitted: tuple[int, float] | None) -> None:
        now = self._clock.now()
        self._limit_changed = now
        rate = math.inf if self.limit is None else self.limit / self.period
        if admitted and admitted[0] / admitted[1] < rate:
            self.limit, self.period = admitted
            self._ceiling, self._proven = self.limit, 0
        elif self.limit is None:
            lately = sum(moment > now - self.period for moment in self._answers)
            self.limit = self._proven = max(math.floor(USUAL * self.period), lately * 3 // 4)
        elif self._proven:
            # It was doubled once too often.
            self.limit, self._proven = min(self._proven, self.limit * 3 // 4), 0
        else:
            # Someone else behind this address uses the rest of what is admitted.
            self.limit = max(1, self.limit * 3 // 4)

    def _take(self, now: float) -> float:
        self.requests += 1
        self._in_flight += 1
        self._last_sent = now
        return now

    def _wait(self, now: float) -> float:
        """Seconds until the next request may go; infinite if that takes a release first."""
        if self._in_flight + 1 > self._width + 1e-6:  # tenths add up to a little less
            return math.inf
        wait = self._paused_until - now
        if self.limit is None:
            return wait
        self._recover(now)
        while self._cooling and self._cooling[0] <= now:
            self._cooling.popleft()
        missing = self._in_flight + len(self._cooling) - self.limit
        if missing >= 0 and self._proven:
            missing -= self._grow(now)
        if missing >= len(self._cooling):
            return math.inf
        if missing >= 0:
            wait = max(wait, self._cooling[missing] - now)
        return max(wait, self._last_sent + self.period / self.limit - now)

    def _recover(self, now: float) -> None:
        assert self.limit is not None
        while self.limit < self._ceiling and now - self._limit_changed >= RECOVERY:
            self.limit += 1
            self._limit_changed += RECOVERY

    def _grow(self, now: float) -> int:
        """Double a guessed limit that was used up without a refusal; return by how much."""
        assert self.limit is not None
        if now - max(self._limit_changed, self._paused_until) < self.period:
            return 0
        self._limit_changed, self._proven = now, self.limit
        self.limit *= 2
        return self._proven
