"""Limits on what one license, and the whole run, may cost: pure rules without a clock."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.errors import ApiError


MOST_FORGIVEN = 10
"""Failures of one license that are forgiven; any more are taken for its own."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter.

    Attributes:
        max_attempts: Requests for one license, the first one included.
        base: Ceiling of the first wait, in seconds; it doubles with every attempt.
        cap: Longest wait between two attempts, in seconds.
    """

    max_attempts: int = 5
    base: float = 1.0
    cap: float = 30.0

    def wait(self, failures: int, jitter: Callable[[], float] = random.random) -> float:
        """Seconds to wait after so many failures (at least 1) of one license."""
        return jitter() * min(self.cap, self.base * 2.0 ** min(failures - 1, 32))


@dataclass(slots=True)
class Attempts:
    """Requests and failures of one license so far.

    Attributes:
        sent: Requests that left, the first included.
        counted: Failures that count against its attempts; an outage and too much load give them
            back.
        forgiven: How many were given back.
        refunded: Whether an outage has given some back since this was last set to False.
        suspect: Whether it failed while others were answered, so that the license may be at fault.
        unsettled: A request got no usable answer and may have been carried out.
        open_until: A request that got no answer may be carried out until this moment, on the
            run's clock; a gateway's 504 does not stop the server behind it.
        updated: When the license was changed last, by the answer to a PATCH that did not confirm
            it; in seconds since 1970 on the server's clock, or None.
        error: The last thing that went wrong.
    """

    sent: int = 0
    counted: int = 0
    forgiven: int = 0
    refunded: bool = False
    suspect: bool = False
    unsettled: bool = False
    open_until: float = -math.inf
    updated: float | None = None
    error: ApiError | None = None

    def forgive(self) -> bool:
        """Give a failure back that was not the license's fault, unless that happens to it often."""
        if self.forgiven >= MOST_FORGIVEN:
            return False
        self.counted -= 1
        self.forgiven += 1
        return True

    def refund(self) -> None:
        """Let it be sent again after an outage, unless that happens to it often."""
        if not self.refunded:
            self.refunded = self.forgiven < MOST_FORGIVEN
            self.forgiven += self.refunded


@dataclass(slots=True)
class Budget:
    """Retries that the whole run may spend: a sick server is not to get five requests a license.

    Attributes:
        tenths: What is left, in tenths of a retry. Starts at 20 retries; a success adds a tenth.
    """

    tenths: int = 200

    def earn(self) -> None:
        """Count one success."""
        self.tenths += 1

    def spend(self) -> bool:
        """Take one retry, if there is one."""
        if self.tenths < 10:
            return False
        self.tenths -= 10
        return True

    def refund(self, retries: int) -> None:
        """Put back the retries that an outage has used up."""
        self.tenths += 10 * retries


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """Limit of failed licenses beyond which the run itself must be wrong.

    Attributes:
        count: Failed and unknown licenses that are still accepted, or None.
        percent: The same as a share of the planned sends (0 to 100), at least ten licenses;
            used where no count is set.
    """

    count: int | None = None
    percent: float = 20.0

    FIRST = 20
    """Licenses sent first: if all of them failed, no later one will do better."""

    def most(self, planned: int) -> float:
        """Failures accepted in a run with so many planned sends."""
        return self.count if self.count is not None else max(10.0, planned * self.percent / 100)

    def exceeded(self, *, planned: int, sent: int, failures: int) -> bool:
        """Tell whether a run that has settled ``sent`` of ``planned`` licenses must stop."""
        return failures > self.most(planned) or (failures == sent == self.FIRST)
