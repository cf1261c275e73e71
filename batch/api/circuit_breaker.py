"""The health of the server: when everybody waits, and when the run gives up.

An outage is not the license's fault. After `BREAKER_FAILURES` failures in a row the breaker
opens: everybody waits, then one request at a time probes, and the failures of that streak do not
count against their licenses. `Overload` judges whether there is too much load, `Access` whether
changes are refused.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch.api.access import FOREIGN_IN_A_ROW, Access
from batch.api.overload import Overload
from batch.api.retry import Attempts, Budget
from batch.errors import ForeignError, StoppedError, ThrottledError, TransientError, in_front, told

if TYPE_CHECKING:
    from batch.api.rate_limiter import RateLimiter
    from batch.host.clock import Clock


log = logging.getLogger(__name__)

BREAKER_FAILURES = 10
"""Failures in a row, over all licenses, after which the server counts as down."""

OUTAGE = frozenset({None, 502, 503, 504})
"""Statuses (None: no answer) that may mean an outage; a 500 may be about one license."""

FIRST_PROBE, LONGEST_PROBE = 5.0, 60.0
"""Seconds before the first probe, and the most between two; they double in between."""

PATIENCE = 900.0
"""Seconds without one success after which the run stops."""

LONGEST_PAUSE = 300.0
"""The longest Retry-After, in seconds, that is waited for."""


@dataclass(slots=True)
class _Streak:
    """Failures in a row, over all licenses, and what they have cost.

    Attributes:
        failed: Attempts of the license of each failure.
        refused: The same, and the error, of failures that may mean too much load.
        evidence: How many of the failures may mean an outage.
        spent: Retries that the run has spent meanwhile.
    """

    failed: list[Attempts] = field(default_factory=list)
    refused: list[tuple[Attempts, TransientError]] = field(default_factory=list)
    evidence: int = 0
    spent: int = 0

    @property
    def may_be_load(self) -> bool:
        """Tell whether all failures may mean too much load."""
        return len(self.refused) == len(self.failed) > 0

    def add(self, attempts: Attempts, error: TransientError) -> None:
        """Count a failure against its license, until it is known whether it was an outage."""
        attempts.counted += 1
        self.failed.append(attempts)
        if error.is_load:
            self.refused.append((attempts, error))
        # Licenses that fail while all others succeed would otherwise, once they are the only
        # ones left in flight, pass for an outage.
        self.evidence += not attempts.suspect

    def blame(self) -> None:
        """Others are answered: licenses that failed are suspects, unless load may explain it."""
        for attempts in self.failed:
            attempts.suspect = True
        for attempts, _ in self.refused:
            attempts.suspect = not attempts.forgive()

    def refund(self) -> None:
        """It was an outage: the failures do not count against their licenses."""
        for attempts in self.failed:
            attempts.refunded |= attempts.forgive()


@dataclass(slots=True)
class _Outage:
    """Time in which only probes are sent.

    Attributes:
        began: When it was noticed; requests that left before are no probes.
        wait: Seconds before the next probe.
        foreign: Probes in a row that something in front of the API has refused.
    """

    began: float
    wait: float = FIRST_PROBE
    foreign: int = 0


@dataclass(slots=True)
class CircuitBreaker:
    """Decides by every answer of the run whether the server is down.

    A *failure* is no answer or a 5xx, a *success* any other answer. For each request that
    was sent exactly one of `succeeded` and `failed` is called.

    Attributes:
        throttled: 429 answers so far.
        refusals: Answers so far that refuse whatever is sent: 429, a 503 that names a time, and
            those of something in front of the API.
        access: Hears how each PATCH ended.
        _failing_since: When the first failure since the last success came; else infinite.
        _outage_like: Whether all failures since the last success may mean an outage.
    """

    rate_limiter: RateLimiter
    clock: Clock
    throttled: int = 0
    refusals: int = 0
    access: Access = field(default_factory=Access)
    _overload: Overload = field(init=False)
    _budget: Budget = field(default_factory=Budget)
    _streak: _Streak = field(default_factory=_Streak)
    _outage: _Outage | None = None
    _outages: float = 0.0
    _failing_since: float = math.inf
    _outage_like: bool = True

    def __post_init__(self) -> None:
        self._overload = Overload(self.rate_limiter, self.clock)

    @property
    def is_down(self) -> bool:
        """Tell whether the server counts as down, so that only probes are sent."""
        return self._outage is not None

    @property
    def seconds_down(self) -> float:
        """Seconds so far in which the server counted as down."""
        since = self.clock.now() - self._outage.began if self._outage else 0.0
        return self._outages + since

    def count_anew(self) -> None:
        """Begin a phase: time in which nothing is sent does not count as one without answers."""
        self._failing_since = self.clock.now() if self.is_down else math.inf

    def succeeded(self) -> None:
        """An answer came that says the server is well, whatever it says of the license."""
        self._budget.earn()
        self._overload.answered()
        streak = self._streak
        if streak.failed or streak.spent or self._failing_since < math.inf or self._outage:
            self._end_streak()

    def failed(self, attempts: Attempts, error: TransientError) -> None:
        """No usable answer came, or the server asks to wait.

        Raises:
            StoppedError: The server is down, or refuses, for longer than is sensible to wait.
        """
        since = self._failing_since = min(self._failing_since, self.clock.now())
        # A wait that the server asks for is charged to nobody.
        account = Attempts() if isinstance(error, ThrottledError) else attempts
        self.refusals += isinstance(error, (ThrottledError, ForeignError))
        if isinstance(error, ForeignError):
            self._block(attempts, error)
        elif error.status is None or error.status >= 500:
            self._lengthen_streak(account, error)
        else:
            account.counted += 1
            self._end_streak()
        if isinstance(error, ThrottledError):
            self._failing_since = since  # somebody answers, and lets nothing through
            self.throttled += error.status == 429
            self._check_patience(error)
            self._overload.asked_to_wait(error)

    def may_retry(self, attempts: Attempts, most: float) -> bool:
        """Tell whether a request may be sent again; if so, take a retry from the budget.

        It may not after ``most`` failed attempts, nor without a retry in the budget. Failures that
        an outage gave back cost neither.
        """
        if attempts.counted == 0:
            return True
        if attempts.counted >= most or not self._budget.spend():
            return False
        self._streak.spent += 1
        return True

    def looks_down(self, attempts: Attempts) -> bool:
        """Tell whether the server may be down: nobody was answered since a request first failed.

        The breaker will tell; until then it is too early to call it the license's fault.
        """
        own = sum(each is attempts for each in self._streak.failed)
        return self._outage_like and own == attempts.counted

    def _end_streak(self) -> None:
        """Somebody answers: the server is not down, or not any more."""
        streak, self._streak = self._streak, _Streak()
        self._failing_since = math.inf
        self._outage_like = True
        streak.blame()
        if streak.refused:
            self._budget.refund(streak.spent)
        if self._outage:
            self._outages = self.seconds_down
            self._outage = None
            self._overload.outage_ended()
            self.rate_limiter.one_at_a_time(False)
            log.warning("the server answers again", extra={"event": "breaker_closed"})
        elif streak.refused:
            self._overload.refused_among_answers(streak.refused)

    def _lengthen_streak(self, attempts: Attempts, error: TransientError) -> None:
        if self._outage:
            if self.clock.now() - self._failing_since >= PATIENCE:
                raise StoppedError(f"no answer for {PATIENCE / 60:.0f} minutes", about=error)
            self._probed(self._outage, error)
            return
        if error.is_load:
            self.rate_limiter.refused()
        self._outage_like &= error.status in OUTAGE
        self._streak.add(attempts, error)
        if self._streak.evidence >= BREAKER_FAILURES:
            self._open(error)

    def _block(self, attempts: Attempts, error: ForeignError) -> None:
        """Have everybody wait: some gateways refuse for longer with every request meanwhile."""
        if self._outage:
            self._probed(self._outage, error)
            return
        attempts.counted += 1
        self._end_streak()
        self.access.blocked(attempts, error)
        if attempts.forgive():
            self.rate_limiter.throttled(error.sent, 0.0)
            self._open(error)

    def _open(self, error: TransientError) -> None:
        """Have everybody wait for a probe, or for a pause if too much load explains the streak."""
        streak, self._streak = self._streak, _Streak()
        streak.refund()
        self._budget.refund(streak.spent)
        if streak.may_be_load and self._overload.is_waited_out(error, self._failing_since):
            return
        self._outage = _Outage(self.clock.now())
        self.rate_limiter.one_at_a_time(True)
        self._wait_for_probe(self._outage, error)

    def _probed(self, outage: _Outage, error: TransientError) -> None:
        """Wait twice as long for the next probe, if this was the answer to one."""
        if error.sent <= outage.began:
            return
        if isinstance(error, ForeignError):
            outage.foreign += 1
            if outage.foreign >= FOREIGN_IN_A_ROW:
                raise in_front(error, reached=True).becomes(StoppedError)
        else:
            outage.foreign = 0
        outage.wait = min(LONGEST_PROBE, outage.wait * 2)
        self._wait_for_probe(outage, error)

    def _wait_for_probe(self, outage: _Outage, error: TransientError) -> None:
        self.rate_limiter.pause(outage.wait)
        who = "something in front of the API refuses" if isinstance(error, ForeignError) else ""
        log.warning(
            "%s: next try in %.0f s, one at a time (%s)",
            who or "the server is down",
            outage.wait,
            told(error, to_all=True),
            extra={
                "event": "breaker_open",
                "wait_s": outage.wait,
                "http_status": error.status,
                "error_code": error.code,
            },
        )

    def _check_patience(self, error: ThrottledError) -> None:
        """Raise StoppedError if a wait is too long, or nothing was let through for too long."""
        if error.retry_after > LONGEST_PAUSE:
            raise StoppedError(f"the server asks to wait {error.retry_after:.0f} s", about=error)
        if self.clock.now() - self._failing_since >= PATIENCE:
            minutes = f"{PATIENCE / 60:.0f} minutes"
            raise StoppedError(f"everything was refused for {minutes}", about=error)
