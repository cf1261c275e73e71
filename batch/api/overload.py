"""Too much load: the server refuses some requests since too many are sent, and answers others.

That is no outage, and the fault of no license. All requests pause, and fewer are sent if it is more
than chance.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.api.responses import BELIEVABLE
from batch.errors import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch.api.rate_limiter import RateLimiter
    from batch.api.retry import Attempts
    from batch.errors import ThrottledError, TransientError
    from batch.host.clock import Clock


log = logging.getLogger(__name__)

BUSY, TOO_BUSY = 10, 25
"""Points for requests that were refused while others were answered, and the sum at which that is no
chance any more. An answer takes one point away."""

SIGNS = 3
"""Refusals of one license that count as signs of load; further ones may be about the license."""

FLAPPING = 60.0
"""An outage that begins within so many seconds of the last one, or of a pause, is none: too much is
sent."""


@dataclass(slots=True)
class Overload:
    """Judges whether refusals mean too much load, and if so lets the rate limiter pause.

    Attributes:
        _busy: Points for too much load, up to `TOO_BUSY`.
        _answered: Whether a request was answered since refusals were last taken for load.
        _eased: When that last was, or when an outage ended.
    """

    rate_limiter: RateLimiter
    clock: Clock
    _busy: int = 0
    _answered: bool = False
    _eased: float = -math.inf

    def answered(self) -> None:
        """A request was answered."""
        self._answered = True
        self.rate_limiter.answered()
        if self._busy:
            self._busy -= 1

    def outage_ended(self) -> None:
        """The server answers again: refusals within `FLAPPING` from now mean load."""
        self._eased = self.clock.now()

    def refused_among_answers(self, refused: Sequence[tuple[Attempts, TransientError]]) -> None:
        """Some requests were refused in a row, and then one was answered: send less if that recurs.

        Args:
            refused: Attempts and error of each refusal; at least one.
        """
        if all(attempts.forgiven > SIGNS for attempts, _ in refused):
            return
        self._busy += BUSY
        if self._busy >= TOO_BUSY:
            self._busy = 0
            error = refused[-1][1]
            self._paused(self.rate_limiter.overloaded(error.sent), error)

    def is_waited_out(self, error: TransientError, failing_since: float) -> bool:
        """Pause for a period if all are refused and yet it is hardly an outage; tell whether.

        Some limiters admit a number in each period and then nothing, HAProxy for up to two periods.

        Args:
            error: The last of them.
            failing_since: When the first of them came.
        """
        if not self._answered:
            return False
        now = self.clock.now()
        if now - failing_since < 2 * self.rate_limiter.period and not error.from_api:
            self._paused(self._ease(now, error), error)
            return True
        if now - self._eased < FLAPPING:
            self._ease(now, error)
        return False

    def asked_to_wait(self, error: ThrottledError) -> None:
        """The server asks all requests to wait: pause, and send less if load is the reason."""
        limiter, was_guessing = self.rate_limiter, self.rate_limiter.is_guessing
        admitted = error.admitted
        is_quota = admitted is not None and admitted[1] > BELIEVABLE
        if error.status == 429 or self._is_too_much():
            pause = limiter.throttled(error.sent, error.retry_after, None if is_quota else admitted)
        else:
            pause = limiter.back_off(error.sent, error.retry_after)
        is_ours = was_guessing or is_quota or admitted == (limiter.limit, limiter.period)
        self._paused(pause, error, is_shared=error.status == 429 and not is_ours)

    def _is_too_much(self) -> bool:
        """Tell whether a 503 that asks to wait means load: other requests are answered."""
        if not self._answered:
            return False
        self._answered = False
        self._busy += 2 * BUSY  # twice what a refusal without a pause adds
        if self._busy < TOO_BUSY and not self.rate_limiter.is_guessing:
            return False
        self._busy = 0
        return True

    def _ease(self, now: float, error: TransientError) -> float:
        """Pause for a period; send less afterwards, if it comes again or the limit is a guess."""
        is_again = now - self._eased < FLAPPING or self.rate_limiter.is_guessing
        self._eased, self._answered = now, False
        if is_again:
            return self.rate_limiter.throttled(error.sent, 0.0)
        return self.rate_limiter.back_off(error.sent, 0.0)

    def _paused(self, seconds: float, error: TransientError, *, is_shared: bool = False) -> None:
        """Tell of a pause that everybody makes, maybe since others send from this address too."""
        if not seconds:
            return
        log.warning(
            "nothing is sent for %.1f s%s (%s)",
            seconds,
            "; does somebody else use this address as well?" * is_shared,
            told(error, to_all=True),
            extra={
                "event": "paused",
                "wait_s": round(seconds, 3),
                "http_status": error.status,
                "error_code": error.code,
            },
        )
