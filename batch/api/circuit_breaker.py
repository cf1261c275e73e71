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
from batch.errors import (
    ForeignError,
    RejectedError,
    StoppedError,
    ThrottledError,
    TransientError,
    in_front,
    told,
)

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

BUSY, TOO_BUSY = 10, 25
"""Each time that some are refused while others are answered adds ten, each answer takes one away;
at twenty-five it is no chance: more is sent than is admitted."""

SIGNS = 3
"""Refusals of one license that speak of the load: further ones may be its own."""

FLAPPING = 60.0
"""Seconds from one outage, or pause, to the next that make it no outage: it comes of what is
sent."""

LONGEST_PAUSE = 300.0
"""The longest Retry-After, in seconds, that is waited for."""

FOREIGN_IN_A_ROW = 5
"""Probes, or licenses without one changed in between, that somebody in front of the API has
refused in a row, after which the run stops."""

FORBIDDEN_IN_A_ROW = 5
"""403 answers to a PATCH, in a row, that are about the token and not about the license."""


@dataclass(slots=True)
class CircuitBreaker:
    """Hears of every answer of the run.

    A *failure* is no answer or a 5xx, a *success* any other answer. For each request that
    was sent exactly one of `succeeded` and `failed` is called.

    Attributes:
        throttled: 429 answers so far.
        _answered: Somebody was answered since refusals were last taken for too much.
        _eased: When they last were, or an outage ended.
    """

    rate_limiter: RateLimiter
    clock: Clock
    throttled: int = 0
    _budget: Budget = field(default_factory=Budget)
    _streak: list[Attempts] = field(default_factory=list)
    _refused: list[tuple[Attempts, TransientError]] = field(default_factory=list)
    _busy: int = 0
    _answered: bool = False
    _eased: float = -math.inf
    _evidence: int = 0
    _outage_like: bool = True
    _spent: int = 0
    _failing_since: float = math.inf
    _opened: float = math.inf
    _probe_wait: float = 0.0
    _confirmed: bool = False
    _forbidden: int = 0
    _foreign: int = 0
    _blocked: int = 0

    @property
    def is_down(self) -> bool:
        """Tell whether the server counts as down, so that only probes are sent."""
        return self._probe_wait > 0

    def count_anew(self) -> None:
        """Begin a phase: time in which nothing was asked is no time without an answer."""
        self._failing_since = self.clock.now() if self.is_down else math.inf

    def succeeded(self) -> None:
        """An answer came that says the server is well, whatever it says of the license."""
        self._answered = True
        self._budget.earn()
        self.rate_limiter.answered()
        if self._busy:
            self._busy -= 1
        if self._streak or self._spent or self._failing_since < math.inf or self._probe_wait:
            self._end_streak()

    def failed(self, attempts: Attempts, error: TransientError) -> None:
        """No usable answer came, or the server asks to wait.

        Raises:
            StoppedError: The server is down, or refuses, for longer than is sensible to wait.
        """
        since = self._failing_since = min(self._failing_since, self.clock.now())
        # A wait that the server asks for is charged to nobody.
        account = Attempts() if isinstance(error, ThrottledError) else attempts
        if isinstance(error, ForeignError):
            self._block(attempts, error)
        elif error.status is None or error.status >= 500:
            self._lengthen_streak(account, error)
        else:
            account.counted += 1
            self._end_streak()
        if isinstance(error, ThrottledError):
            self._failing_since = since  # somebody answers, and lets nothing through
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

    @property
    def has_confirmed(self) -> bool:
        """Tell whether a PATCH was applied in this run: somebody lets them through."""
        return self._confirmed

    def confirmed(self) -> None:
        """A PATCH was applied: this token can write."""
        self._confirmed = True
        self._forbidden = self._blocked = 0

    def forbidden(self, error: RejectedError) -> None:
        """A PATCH was answered with 403.

        Raises:
            StoppedError: The token, not the license, is the reason.
        """
        self._forbidden += 1
        if not self._confirmed or self._forbidden >= FORBIDDEN_IN_A_ROW:
            who = "the token" if error.from_api else "the token, or something in front of the API,"
            raise StoppedError(
                f"{who} may not change licenses",
                about=error,
                hint="use a token with the scope license:write.",
            )

    def _end_streak(self) -> None:
        self._failing_since = math.inf
        refused, self._refused = self._refused, []
        for attempts in self._streak:
            attempts.suspect = True
        for attempts, _ in refused:
            # Others are answered: it is not its fault, and the server is not down.
            attempts.suspect = not attempts.forgive()
        self._streak.clear()
        self._evidence = 0
        self._outage_like = True
        if refused:
            self._budget.refund(self._spent)
        self._spent = 0
        if self.is_down:
            self._probe_wait = 0.0
            self._opened = math.inf
            self._foreign = 0
            self._eased = self.clock.now()
            self.rate_limiter.one_at_a_time(False)
            log.warning("the server answers again", extra={"event": "breaker_closed"})
        elif any(attempts.forgiven <= SIGNS for attempts, _ in refused):
            self._slow_down(refused[-1][1])

    def _slow_down(self, error: TransientError) -> None:
        """Send less, if refusals among answers are more than chance."""
        self._busy += BUSY
        if self._busy >= TOO_BUSY:
            self._busy = 0
            self._paused(self.rate_limiter.overloaded(error.sent), error)

    def _lengthen_streak(self, attempts: Attempts, error: TransientError) -> None:
        now = self.clock.now()
        if self.is_down:
            if now - self._failing_since >= PATIENCE:
                raise StoppedError(f"no answer for {PATIENCE / 60:.0f} minutes", about=error)
            if error.sent > self._opened:
                self._wait_longer(error)
            return
        attempts.counted += 1
        self._streak.append(attempts)
        if error.is_load:
            self.rate_limiter.refused()
            self._refused.append((attempts, error))
        self._outage_like &= error.status in OUTAGE
        # Licenses that fail while all others succeed would otherwise, once they are the only
        # ones left in flight, pass for an outage.
        self._evidence += not attempts.suspect
        if self._evidence >= BREAKER_FAILURES:
            self._open(now, error)

    def _block(self, attempts: Attempts, error: ForeignError) -> None:
        """Have everybody wait: some refuse for longer with every request that comes meanwhile."""
        if self.is_down:
            if error.sent > self._opened:
                self._foreign += 1
                if self._foreign >= FOREIGN_IN_A_ROW:
                    raise in_front(error, reached=True).becomes(StoppedError)
                self._wait_longer(error)
            return
        attempts.counted += 1
        self._end_streak()
        # Reading may be let through, and would end each outage.
        self._blocked += self._confirmed and not attempts.forgiven
        if self._blocked >= FOREIGN_IN_A_ROW:
            raise in_front(error, reached=True, changes=True).becomes(StoppedError)
        if attempts.forgive():
            self.rate_limiter.throttled(error.sent, 0.0)
            self._open(self.clock.now(), error)

    def _open(self, now: float, error: TransientError) -> None:
        for attempts in self._streak:
            attempts.refunded |= attempts.forgive()
        self._budget.refund(self._spent)
        is_load = len(self._refused) == len(self._streak) > 0
        self._streak.clear()
        self._refused.clear()
        self._evidence = self._spent = 0
        is_sudden = now - self._failing_since < 2 * self.rate_limiter.period
        if is_load and is_sudden and self._answered and not error.from_api:
            # Some admit a number in each period and then nothing, HAProxy for up to two periods.
            self._paused(self._ease(now, error), error)
            return
        self._opened = now
        if is_load and self._answered and now - self._eased < FLAPPING:
            self._ease(now, error)
        self.rate_limiter.one_at_a_time(True)
        self._wait_for_probe(FIRST_PROBE, error)

    def _ease(self, now: float, error: TransientError) -> float:
        """Pause for a period; send less afterwards, if it comes again or the limit is a guess."""
        is_again = now - self._eased < FLAPPING or self.rate_limiter.is_guessing
        self._eased, self._answered = now, False
        if is_again:
            return self.rate_limiter.throttled(error.sent, 0.0)
        return self.rate_limiter.back_off(error.sent, 0.0)

    def _wait_longer(self, error: TransientError) -> None:
        """Wait twice as long as before, since a probe was answered like that."""
        self._wait_for_probe(min(LONGEST_PROBE, self._probe_wait * 2), error)

    def _wait_for_probe(self, seconds: float, error: TransientError) -> None:
        self._probe_wait = seconds
        self.rate_limiter.pause(seconds)
        who = "something in front of the API refuses" if isinstance(error, ForeignError) else ""
        log.warning(
            "%s: next try in %.0f s, one at a time (%s)",
            who or "the server is down",
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
        if self.clock.now() - self._failing_since >= PATIENCE:
            minutes = f"{PATIENCE / 60:.0f} minutes"
            raise StoppedError(f"everything was refused for {minutes}", about=error)
        limiter, was_guessing = self.rate_limiter, self.rate_limiter.is_guessing
        if error.status == 429 or self._is_too_much():
            pause = limiter.throttled(error.sent, error.retry_after, error.admitted)
        else:
            pause = limiter.back_off(error.sent, error.retry_after)
        is_ours = was_guessing or error.admitted == (limiter.limit, limiter.period)
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
