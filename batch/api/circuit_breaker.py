"""The health of the server: when everybody waits, and when the run gives up.

An outage is not the license's fault. After `BREAKER_FAILURES` failures in a row the breaker
opens: everybody waits, then one request at a time probes; what failed in that streak is given
back to its license.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch.api.retry import Attempts, Budget
from batch.errors import RejectedError, StoppedError, ThrottledError, TransientError, told

if TYPE_CHECKING:
    from batch.api.rate_limiter import RateLimiter
    from batch.host.clock import Clock


log = logging.getLogger(__name__)

BREAKER_FAILURES = 10
"""Failures in a row, over all licenses, after which the server counts as down."""

OUTAGE = frozenset({None, 502, 503, 504})
"""Statuses (None: no answer) that speak of the service; a 500 may be about one license."""

FIRST_PROBE, LONGEST_PROBE = 5.0, 60.0
"""Seconds before the first probe, and the most between two; they double in between."""

PATIENCE = 900.0
"""Seconds without one success after which the run stops."""

MOST_THROTTLED = 100
"""429 answers after which the run stops: whatever limits us is not understood."""

LONGEST_PAUSE = 300.0
"""The longest Retry-After, in seconds, that is waited for."""

FORBIDDEN_IN_A_ROW = 5
"""403 answers to a PATCH, in a row, that are about the token and not about the license."""


@dataclass(slots=True)
class CircuitBreaker:
    """Hears of every answer of the run.

    A *failure* is no answer or a 5xx, a *success* any other answer. For each request that
    was sent exactly one of `succeeded` and `failed` is called.

    Attributes:
        throttled: 429 answers so far.
    """

    rate_limiter: RateLimiter
    clock: Clock
    throttled: int = 0
    _budget: Budget = field(default_factory=Budget)
    _streak: list[Attempts] = field(default_factory=list)
    _evidence: int = 0
    _outage_like: bool = True
    _spent: int = 0
    _failing_since: float = math.inf
    _opened: float = math.inf
    _probe_wait: float = 0.0
    _confirmed: bool = False
    _forbidden: int = 0

    @property
    def is_down(self) -> bool:
        """Tell whether the server counts as down, so that only probes are sent."""
        return self._probe_wait > 0

    def count_anew(self) -> None:
        """Begin a phase: time in which nothing was asked is no time without an answer."""
        self._failing_since = self.clock.now() if self.is_down else math.inf

    def succeeded(self) -> None:
        """An answer came that says the server is well, whatever it says of the license."""
        self._budget.earn()
        self._end_streak()

    def failed(self, attempts: Attempts, error: TransientError) -> None:
        """No usable answer came, or the server asks to wait.

        Raises:
            StoppedError: The server is down, or refuses, for longer than is sensible to wait.
        """
        # A wait that the server asks for is charged to nobody.
        account = Attempts() if isinstance(error, ThrottledError) else attempts
        if error.status is None or error.status >= 500:
            self._lengthen_streak(account, error)
        else:
            account.counted += 1
            self._end_streak()
        if isinstance(error, ThrottledError):
            self._throttle(error)

    def may_retry(self, attempts: Attempts, most: float) -> bool:
        """Tell whether a request may be sent again; if so, take a retry from the budget.

        It may not after ``most`` failed attempts, nor without a retry in the budget. Failures that
        an outage gave back cost neither.
        """
        if attempts.counted == 0:
            return True
        if attempts.counted >= most or not self._budget.spend():
            return False
        self._spent += 1
        return True

    def looks_down(self, attempts: Attempts) -> bool:
        """Tell whether the server may be down: nobody was answered since a request first failed.

        The breaker will tell; until then it is too early to call it the license's fault.
        """
        own = sum(each is attempts for each in self._streak)
        return self._outage_like and own == attempts.counted

    def confirmed(self) -> None:
        """A PATCH was applied: this token can write."""
        self._confirmed = True
        self._forbidden = 0

    def forbidden(self, error: RejectedError) -> None:
        """A PATCH was answered with 403.

        Raises:
            StoppedError: The token, not the license, is the reason.
        """
        self._forbidden += 1
        if not self._confirmed or self._forbidden >= FORBIDDEN_IN_A_ROW:
            raise StoppedError(
                "the token may not change licenses",
                about=error,
                hint="use a token with the scope license:write.",
            )

    def _end_streak(self) -> None:
        if not (self._streak or self._spent or self.is_down):
            return  # there is none
        for attempts in self._streak:
            attempts.suspect = True
        self._streak.clear()
        self._evidence = 0
        self._outage_like = True
        self._spent = 0
        self._failing_since = math.inf
        if self.is_down:
            self._probe_wait = 0.0
            self._opened = math.inf
            self.rate_limiter.one_at_a_time(False)
            log.warning("the server answers again", extra={"event": "breaker_closed"})

    def _lengthen_streak(self, attempts: Attempts, error: TransientError) -> None:
        now = self.clock.now()
        self._failing_since = min(self._failing_since, now)
        if self.is_down:
            if now - self._failing_since >= PATIENCE:
                raise StoppedError(f"no answer for {PATIENCE / 60:.0f} minutes", about=error)
            if error.sent > self._opened:
                self._wait_for_probe(min(LONGEST_PROBE, self._probe_wait * 2), error)
            return
        attempts.counted += 1
        self._streak.append(attempts)
        self._outage_like &= error.status in OUTAGE
        # Licenses that fail while all others succeed would otherwise, once they are the only
        # ones left in flight, pass for an outage.
        self._evidence += not attempts.suspect
        if self._evidence >= BREAKER_FAILURES:
            self._open(now, error)

    def _open(self, now: float, error: TransientError) -> None:
        for attempts in self._streak:
            attempts.counted -= 1
            attempts.refunded = True
        self._budget.refund(self._spent)
        self._streak.clear()
        self._evidence = self._spent = 0
        self._opened = now
        self.rate_limiter.one_at_a_time(True)
        self._wait_for_probe(FIRST_PROBE, error)

    def _wait_for_probe(self, seconds: float, error: TransientError) -> None:
        self._probe_wait = seconds
        self.rate_limiter.pause(seconds)
        log.warning(
            "the server is down: next try in %.0f s, one at a time (%s)",
            seconds,
            told(error, to_all=True),
            extra={
                "event": "breaker_open",
                "wait_s": seconds,
                "http_status": error.status,
                "error_code": error.code,
            },
        )

    def _throttle(self, error: ThrottledError) -> None:
        self.throttled += error.status == 429
        asked = max(error.retry_after, error.admitted[1] if error.admitted else 0.0)
        if asked > LONGEST_PAUSE:
            raise StoppedError(f"the server asks to wait {asked:.0f} s", about=error)
        if self.throttled >= MOST_THROTTLED:
            raise StoppedError(f"{MOST_THROTTLED} requests were refused as too many (429)")
        if error.status == 429:
            pause = self.rate_limiter.throttled(error.sent, error.retry_after, error.admitted)
        else:
            pause = self.rate_limiter.back_off(error.sent, error.retry_after)
        if pause:
            log.warning(
                "nothing is sent for %.1f s%s (%s)",
                pause,
                "; does somebody else use this address as well?" * (error.status == 429),
                told(error, to_all=True),
                extra={
                    "event": "paused",
                    "wait_s": round(pause, 3),
                    "http_status": error.status,
                    "error_code": error.code,
                },
            )
