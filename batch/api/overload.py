"""Too much load: what is refused because of what is sent, while others are answered.

It is no outage and no license's fault. Everybody pauses, and less is sent where refusals are more
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
"""Each time that some are refused while others are answered adds ten, each answer takes one away;
at twenty-five it is no chance: more is sent than is admitted."""

SIGNS = 3
"""Refusals of one license that speak of the load: further ones may be its own."""

FLAPPING = 60.0
"""Seconds from one outage, or pause, to the next that make it no outage: it comes of what is
sent."""


@dataclass(slots=True)
class Overload:
    """The judge of refusals that may mean too much load, and what is done about them.

    Attributes:
        _busy: How much speaks for it, up to `TOO_BUSY`.
        _answered: Somebody was answered since refusals were last taken for too much.
        _eased: When they last were, or an outage ended.
    """

    rate_limiter: RateLimiter
    clock: Clock
    _busy: int = 0
    _answered: bool = False
    _eased: float = -math.inf

    def answered(self) -> None:
        """A request was answered: so much at least is admitted."""
        self._answered = True
        self.rate_limiter.answered()
        if self._busy:
            self._busy -= 1

    def outage_ended(self) -> None:
        """The server answers again: what is refused soon after comes of what is sent."""
        self._eased = self.clock.now()

    def refused_among_answers(self, refused: Sequence[tuple[Attempts, TransientError]]) -> None:
        """Some were refused in a row, and then somebody was answered: send less if that recurs.

        Args:
            refused: Their licenses, and with what; at least one.
        """
        if all(attempts.forgiven > SIGNS for attempts, _ in refused):
            return
        self._busy += BUSY
        if self._busy >= TOO_BUSY:
            self._busy = 0
            error = refused[-1][1]
            self._paused(self.rate_limiter.overloaded(error.sent), error)

    def is_waited_out(self, error: TransientError, failing_since: float) -> bool:
        """Pause for a period if refusals of everybody are hardly an outage, and tell whether.

        Some admit a number in each period and then nothing, HAProxy for up to two periods.

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
        """The server asks everybody to wait: pause, and send less if that comes of what is sent."""
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
        """Tell whether a 503 that asks to wait comes of what is sent: others are answered."""
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
